"""An environment that an algorithm of RLlib learns: actions may be discrete or continuous."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from suite.agents.rllib import RLlibAgentConfig
from suite.clock import Clock, Duration
from suite.environments import registered
from suite.environments.spaces import Backend, Spaces, spaces_of
from suite.errors import ConfigError
from suite.metrics.base import check_of_parameters
from suite.models.base import ModelConfig, ModelSpec
from suite.models.inputs import Floats
from suite.models.mlp import MlpConfig
from suite.ranges import ANY, Range
from suite.tasks.any_environment import AnyEnvironmentConfig
from suite.tasks.base import TASKS, Request, TaskConfig
from suite.tasks.envpool import EnvpoolConfig
from suite.tasks.one_environment import LONGEST
from suite.tasks.rl import KEPT_STEPS, MOST_LANES, RLTaskConfig

ACTIVATIONS = ("relu", "leaky_relu", "gelu")
"""Nonlinearities that RLlib's networks can have, too."""


@TASKS.register("rllib")
class RLlibTaskConfig(TaskConfig):
    """One environment of Gymnasium or envpool, whose observations are vectors.

    The budget is in agent steps and a multiple of the agent's batch. RLlib steps all lanes
    together, so a batch may be up to ``lanes - 1`` steps longer; rows have the true number.

    Attributes:
        env: id.
        backend: the library that has it, ``gymnasium`` (plugins register theirs there) or
            ``envpool`` (MuJoCo among others).
        kwargs: options of the environment.
        max_episode_steps: time limit in agent steps; the environment's own by default.
        lanes: environments that are stepped together.
        resume_env: how a restored run comes back to its episodes: ``replay`` takes all actions
            since the start again and continues to the last bit, if the environment repeats itself;
            ``fresh`` begins new episodes, and the open ones are lost; ``auto`` replays up to
            200,000 steps of the lanes.
    """

    engine: ClassVar[Literal["supervised", "rl", "rllib"]] = "rllib"
    primary_metric: ClassVar[tuple[str, str]] = RLTaskConfig.primary_metric
    primary_unit: ClassVar[str] = RLTaskConfig.primary_unit
    default_metrics: ClassVar[tuple[str, ...]] = RLTaskConfig.default_metrics
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "rllib", "env": "CartPole-v1", "lanes": 2},
        "model": {"kind": "mlp", "width": 8, "depth": 1, "norm": "layer"},
        "agent": {"kind": "ppo", "batch_size": 16, "minibatch_size": 8, "epochs": 2},
        "budget": {"agent_steps": 48},
    }

    kind: Literal["rllib"] = "rllib"
    env: str
    backend: Backend = "gymnasium"
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    max_episode_steps: Annotated[int, Field(ge=1, le=LONGEST)] | None = None
    lanes: Annotated[int, Field(ge=1, le=MOST_LANES)] = 8
    resume_env: Literal["auto", "replay", "fresh"] = "auto"

    @model_validator(mode="after")
    def _not_ours(self) -> RLlibTaskConfig:
        fixed = (EnvpoolConfig if self.backend == "envpool" else AnyEnvironmentConfig).fixed
        for key in self.kwargs:
            if key in fixed:
                raise ConfigError(
                    f"kwargs.{key}", self.kwargs[key], f"no such key: {fixed[key]} says it"
                )
        return self

    @property
    def seed_key(self) -> str:
        """The environment: arms with other options or batches start from the same weights."""
        return f"{self.kind}/{self.env}"

    @property
    def label(self) -> str:
        """The environment's id, without a module, as names of tasks may be."""
        return self.env.rpartition(":")[2].replace("/", "_")

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Losses of policies may be negative."""
        return {"batch_loss": ANY}

    def kept_steps(self) -> int:
        """Return for how many steps of the lanes the actions are kept, to be taken again.

        That is 0 if they say nothing of the state.
        """
        chance = self.backend == "gymnasium" and registered.find(self.env).nondeterministic
        return 0 if chance else KEPT_STEPS[self.resume_env]

    def spaces(self) -> Spaces:
        """Return the spaces of the environment.

        Raises:
            ConfigError: if there is no such environment, or it is of a kind that is not learnt.
        """
        return spaces_of(self.backend, self.env, self.kwargs)

    def spec(self) -> ModelSpec:
        """Return the size of observations, and the outputs of a policy.

        Raises:
            ConfigError: if there is no such environment, or it is of a kind that is not learnt.
        """
        spaces = self.spaces()
        return ModelSpec(inputs=Floats((spaces.inputs,)), outputs=spaces.outputs)

    def agent_steps(self, budget: Duration | None) -> int:
        """Return the length of a run in agent steps.

        Raises:
            ConfigError: if the budget is missing or in another unit.
        """
        unit, value = (None, None) if budget is None else budget.parts()
        if unit != "agent_steps":
            given = None if budget is None else {unit: value}
            raise ConfigError("budget", given, "agent steps, as in {agent_steps: 102400}")
        assert value is not None
        return int(value)

    def clock_of(self, run: Request) -> Clock:
        """Return the lengths of a run: every batch has the same number of updates.

        Raises:
            ConfigError: if the budget is not a multiple of the batch.
        """
        agent, steps = run.agent, self.agent_steps(run.budget)
        assert isinstance(agent, RLlibAgentConfig)
        batches, rest = divmod(steps, agent.batch)
        if rest or not batches:
            near = max(batches, 1) * agent.batch
            wanted = f"a multiple of the agent's batch of {agent.batch}, such as {near}"
            raise ConfigError("budget", {"agent_steps": steps}, wanted)
        each = Fraction(agent.batch, agent.updates)
        return Clock(batches * agent.updates, agent_steps_per_step=each, frames_per_agent_step=1)

    def check(self, run: Request) -> None:
        """Check that the parts of a run of this task fit together.

        Raises:
            ConfigError: if they do not.
        """
        super().check(run)
        agent = run.agent
        assert isinstance(agent, RLlibAgentConfig)
        self.clock_of(run)
        _check_model(run.model)
        if agent.batch % self.lanes:
            raise ConfigError("task.lanes", self.lanes, f"a divisor of the batch of {agent.batch}")
        for index, intervention in enumerate(run.interventions):
            if intervention.looks_at_batches:
                wanted = "an intervention that needs no pass through the network"
                raise ConfigError(f"interventions[{index}]", intervention.kind, wanted)
        check_of_parameters(run.metric_names, "metrics.names")
        agent.check()


def _check_model(model: ModelConfig) -> None:
    """Check that a network is one that RLlib has: it builds it, from these sizes.

    Raises:
        ConfigError: if it is not.
    """
    if not isinstance(model, MlpConfig):
        raise ConfigError("model.kind", model.kind, "mlp, whose sizes RLlib's network then has")
    for key, possible in (
        ("norm", ("none", "layer")),
        ("norm_place", ("before",)),
        ("activation", ACTIVATIONS),
    ):
        if (value := getattr(model, key)) not in possible:
            raise ConfigError(f"model.{key}", value, f"for RLlib {' or '.join(possible)}")
