"""Base of the reinforcement-learning tasks: an environment and its update ratio.

There are two units of time: an agent step is one decision, a gradient step is one update. After
`learning_starts` agent steps, exactly `utd` updates are made per agent step; fractions accumulate.
A priming of n updates (`suite.tasks.priming`) comes before these::

    updates(agent steps) = n + floor((agent steps - learning_starts) * utd)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from suite.agents.dqn import QLearningConfig
from suite.clock import Clock, Duration
from suite.errors import ConfigError, nearest
from suite.metrics.base import METRICS
from suite.models.base import check_bytes
from suite.ranges import ANY, Range
from suite.replay.sizes import RingSize
from suite.rows import RETURNS
from suite.tasks.base import Request, TaskConfig
from suite.tasks.evaluation import EvaluationConfig
from suite.tasks.priming import PrimingConfig
from suite.tasks.switch import SwitchConfig

FINEST = 1_000_000
"""Largest denominator of an update-to-data ratio; 0.3 is then 3/10 and 0.333... is 1/3."""

KEPT_STEPS = {"fresh": 0, "auto": 200_000, "replay": sys.maxsize}
"""Steps of the lanes that a restored run repeats at most; with auto that is under a minute."""

Utd = Annotated[float, Field(ge=1 / FINEST)]
"""Updates per agent step."""


MOST_LANES = 10_000
"""Environments of a runner, and runners."""


class RLTaskConfig(TaskConfig):
    """Base of every reinforcement-learning task's config.

    Attributes:
        backends: simulators that have the task's environments.
        backend: the one that is used.
        utd: updates per agent step, the update-to-data ratio.
        lanes: environments that a runner steps together.
        runners: remote processes that act; 0 acts in the learner's own.
        overlap: whether remote runners make the next block while this one is learnt from, with
            weights one block older; runs are then not repeatable to the last bit.
        learning_starts: agent steps before the first update, taken with the initial exploration.
        resume_env: how a restored run comes back to its episodes: ``replay`` takes all actions
            since the start again, which continues to the last bit but takes minutes per million;
            ``fresh`` begins new episodes and counts the open ones as truncated; ``auto`` replays
            up to 200,000 steps of the lanes.
        evaluation: separate episodes; their mean return is then the score of the run.
        priming: updates on the first `learning_starts` steps alone, before acting goes on.
    """

    engine: ClassVar[Literal["supervised", "rl", "rllib"]] = "rl"
    primary_metric: ClassVar[tuple[str, str]] = ("mean_return_20", "")
    primary_unit: ClassVar[str] = "return"
    default_metrics: ClassVar[tuple[str, ...]] = (
        "effective_lr",
        "relative_update",
        "parameter_norm",
    )
    stack: ClassVar[int] = 1
    """Frames in an observation."""
    backends: ClassVar[tuple[str, ...]] = ("envpool",)
    later: ClassVar[frozenset[str]] = frozenset({"priming"})

    backend: str = "envpool"
    frame_skip: int = 1
    utd: Utd = 1.0
    lanes: Annotated[int, Field(ge=1, le=MOST_LANES)] = 1
    runners: Annotated[int, Field(ge=0, le=MOST_LANES)] = 0
    overlap: bool = False
    learning_starts: Annotated[int, Field(ge=1)] = 1000
    resume_env: Literal["auto", "replay", "fresh"] = "auto"
    evaluation: EvaluationConfig | None = None
    priming: PrimingConfig = PrimingConfig()

    @field_validator("backend")
    @classmethod
    def _backend_exists(cls, value: str) -> str:
        if value not in cls.backends:
            raise ConfigError("", value, f"{nearest(value, cls.backends)} for this kind of task")
        return value

    @model_validator(mode="after")
    def _primes_one_phase(self) -> Self:
        if self.priming.updates and self.at_switch is not None:
            expected = "no priming of a sequence, whose visits are its phases; updates: 0"
            raise ConfigError("priming.updates", self.priming.updates, expected)
        return self

    @property
    def score(self) -> tuple[str, str]:
        """The return of the evaluations if there are any, else that of training."""
        return self.primary_metric if self.evaluation is None else ("evaluation_return", "")

    @property
    def returns(self) -> Range:
        """Returns that an episode can have."""
        return ANY

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Those of all returns, of means of them too."""
        return dict.fromkeys(RETURNS, self.returns)

    @property
    def all_lanes(self) -> int:
        """Number of environments in all."""
        return self.lanes * max(self.runners, 1)

    @cached_property
    def exact_utd(self) -> Fraction:
        """Updates per agent step as the fraction that was meant."""
        return Fraction(self.utd).limit_denominator(FINEST)

    def updates(self, agent_steps: int) -> int:
        """Return the number of updates that are due after `agent_steps` agent steps."""
        primed = self.priming.updates if agent_steps >= self.learning_starts else 0
        return primed + self.updates_for(agent_steps - self.learning_starts)

    def due(self, update: int) -> int:
        """Return the agent steps after which the update is due, the first being number 1."""
        return self.learning_starts + self.steps_for(max(0, update - self.priming.updates))

    def updates_for(self, agent_steps: int) -> int:
        """Return the number of updates for `agent_steps` agent steps without a warm-up."""
        ratio = self.exact_utd
        return max(0, agent_steps) * ratio.numerator // ratio.denominator

    def steps_for(self, updates: int) -> int:
        """Return the fewest agent steps without a warm-up that `updates` updates are for."""
        ratio = self.exact_utd
        return -(-updates * ratio.denominator // ratio.numerator)

    def agent_steps(self, budget: Duration | None) -> int:
        """Return the length of a run in agent steps.

        Raises:
            ConfigError: if the budget is missing, in another unit, or allows no update.
        """
        if budget is None:
            raise ConfigError("budget", None, "agent steps or frames, as in {agent_steps: 20000}")
        unit, value = budget.parts()
        if unit not in ("agent_steps", "frames"):
            raise ConfigError(
                "budget", {unit: value}, "agent steps or frames, as in {agent_steps: 20000}"
            )
        steps = int(value) if unit == "agent_steps" else int(value) // self.frame_skip
        if self.updates_for(steps - self.learning_starts) < 1:
            raise ConfigError(
                "budget",
                {unit: value},
                f"more than task.learning_starts = {self.learning_starts} agent steps, enough for "
                f"one update at task.utd = {self.utd:g}",
            )
        return steps

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock that knows agent steps and frames; a priming is its first phase."""
        primed = self.priming.updates
        return Clock(
            self.updates(self.agent_steps(budget)),
            (0, primed) if primed else (0,),
            agent_steps_per_step=1 / self.exact_utd,
            frames_per_agent_step=self.frame_skip,
            learning_starts=self.learning_starts,
            priming=primed,
        )

    def in_agent_steps(self, duration: Duration, budget: Duration | None, key: str = "") -> int:
        """Return a duration in agent steps, rounded to the nearest; a fraction is of the run.

        Raises:
            ConfigError: if the task does not have that unit of time.
        """
        unit, value = duration.parts()
        if unit == "agent_steps":
            return int(value)
        if unit == "frames":
            return round(value / self.frame_skip)
        if unit == "fraction":
            return round(value * self.agent_steps(budget))
        return round(self.clock(budget).steps(duration, key) / self.exact_utd)

    def epsilon_length(self, anneal: Duration, budget: Duration | None, visit: int = 0) -> int:
        """Return the length of a visit's line of epsilon in agent steps.

        The line begins where learning does; a fraction is of what is left of the run there.

        Raises:
            ConfigError: if the task does not have that unit of time.
        """
        if anneal.fraction is not None:
            return round(anneal.fraction * (self.agent_steps(budget) - self.learning_starts))
        return self.in_agent_steps(anneal, budget, "agent.epsilon.anneal")

    def evaluations(self, budget: Duration | None) -> list[int]:
        """Return the agent steps after which the policy is evaluated, the end being the last.

        Raises:
            ConfigError: if they are in a unit that the task does not have.
        """
        if self.evaluation is None:
            return []
        end = self.agent_steps(budget)
        if self.evaluation.every is None:
            return [end]
        every = self.in_agent_steps(self.evaluation.every, budget, "task.evaluation.every")
        return [*range(self.evaluation.at_least_one(every), end, every), end]

    def check(self, run: Request) -> None:
        """Check that the parts of a run of this task fit together.

        Raises:
            ConfigError: if they do not.
        """
        assert isinstance(run.agent, QLearningConfig)
        self.agent_steps(run.budget)
        if (learners := run.resources.learners) and run.agent.batch_size % learners:
            raise ConfigError(
                "resources.learners", learners, f"a divisor of batch_size = {run.agent.batch_size}"
            )
        if run.resources.learners:
            self._check_learners(run)
        if self.overlap and self.runners == 0:
            raise ConfigError("task.overlap", True, "false, or task.runners of at least 1")
        self.priming.check(self.learning_starts, run.agent.replay_capacity, self.overlap)
        self.epsilon_length(run.agent.epsilon.anneal, run.budget)
        self.evaluations(run.budget)
        if (by_error := run.agent.prioritized) is not None:
            self.in_agent_steps(by_error.anneal, run.budget, "agent.prioritized.anneal")
        self._check_lanes(run.agent)
        for index, name in enumerate(run.metric_names):
            if METRICS[name].needs & {"predictions", "splits", "task"}:
                raise ConfigError(
                    f"metrics.names[{index}]",
                    name,
                    "a metric that needs no labelled data; returns and the batch loss are always "
                    "recorded",
                )

    def _check_lanes(self, agent: QLearningConfig) -> None:
        """Check that learning begins with something that can be sampled.

        A window of `n_step` actions needs the observation after it, too. A full replay holds such
        windows at any capacity.

        Raises:
            ConfigError: if the warm-up is too short for that.
        """
        lanes, window = self.all_lanes, agent.n_step + 1
        if -(-self.learning_starts // lanes) < window:
            raise ConfigError(
                "task.learning_starts",
                self.learning_starts,
                f"at least {lanes * (window - 1) + 1}, so that each lane (of {lanes}) has "
                f"{window} steps, for agent.n_step = {agent.n_step}",
            )

    def _check_learners(self, run: Request) -> None:
        """Check what learners that share a batch cannot do.

        Raises:
            ConfigError: if it is asked for.
        """
        assert isinstance(run.agent, QLearningConfig)
        if run.agent.replay_device == "learner":
            raise ConfigError(
                "agent.replay_device", "learner", "host, with several learners (resources.learners)"
            )
        for index, intervention in enumerate(run.interventions):
            if intervention.looks_at_batches:
                raise ConfigError(
                    f"interventions[{index}]",
                    intervention.kind,
                    "no resources.learners: it needs whole batches, and learners split them",
                )

    def kept_steps(self) -> int:
        """Return for how many steps of the lanes the actions are kept, to be taken again."""
        return KEPT_STEPS[self.resume_env]

    def replay_bytes(self, agent: QLearningConfig) -> int:
        """Return the memory of a full replay of the agent's, its sum tree included."""
        shape = self.spec().inputs.shape
        frame = prod(shape[1:]) if self.stack > 1 else 4 * prod(shape)
        sizes = RingSize.of(
            agent.replay_capacity, self.all_lanes, self.stack, agent.n_step, self.time_limit
        )
        return sizes.nbytes(frame, agent.prioritized is not None)

    def check_memory(self, run: Request) -> None:
        """Check that a full replay and a batch can be held.

        Raises:
            ConfigError: if they are more than `suite.models.base.MOST_BYTES`.
        """
        assert isinstance(run.agent, QLearningConfig)
        check_bytes("agent.replay_capacity", self.replay_bytes(run.agent), "a full replay")
        batch = 4 * run.agent.batch_size * prod(self.spec().inputs.shape)
        check_bytes("agent.batch_size", batch, "a batch")

    @property
    def pool(self) -> str:
        """The simulator's name of the environment."""
        raise NotImplementedError

    @property
    def time_limit(self) -> int | None:
        """Agent steps after which an episode is cut; None for the simulator's own number.

        Episodes are cut by the engine, not by the simulator, which is made without a limit.
        """
        return None

    def pool_options(self) -> dict[str, Any]:
        """Return the simulator's options for its environments, except the time limit."""
        return {}

    def clip(self) -> float | None:
        """Return the bound on the size of the rewards that are learnt from, or None."""
        return None

    def life_loss_stops(self) -> bool:
        """Return whether a lost life ends the bootstrap."""
        return False

    # What a sequence of environments overrides. A visit is the time spent in one of them.

    @property
    def at_switch(self) -> SwitchConfig | None:
        """What happens between visits; None where there is only one."""
        return None

    def played(self, visit: int) -> RLTaskConfig:
        """Return the task of the one environment that a visit is to."""
        return self

    def layer(self, visit: int) -> str:
        """Return the layer of a visit's returns in the rows."""
        return ""

    def visit_end(self, visit: int) -> int:
        """Return the agent steps of the run after which a visit is over, exactly."""
        return sys.maxsize

    def learns_from(self, visit: int) -> int:
        """Return the agent steps of the run after which a visit's replay is learnt from."""
        return self.learning_starts

    def explores_from(self, visit: int) -> int:
        """Return the agent steps of the run at which a visit's epsilon begins to count."""
        return 0

    def waited(self, agent_steps: int) -> int:
        """Return how many of the first `agent_steps` agent steps call for no updates."""
        return min(agent_steps, self.learning_starts)

    def visit_evaluated(self, means: Sequence[float]) -> float:
        """Return what the evaluations of a visit come to: the last of their mean returns."""
        return means[-1]

    def visit_values(self, visit: int, latest: Mapping[str, float]) -> list[tuple[str, str, float]]:
        """Return what the rows say of a finished visit: metric, layer, value.

        Args:
            visit: the one that has just ended.
            latest: mean return of the latest visit by layer; none where no game was finished.
        """
        return []
