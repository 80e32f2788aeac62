"""The algorithm: act, store, learn, in the exact ratio of the run.

::

    until the budget of agent steps is spent:
        where a visit has ended: another environment, and forget what `task.switch` says
        block <- runner steps the environments    # at most max(lanes, 1 / UTD) agent steps
        ring <- block
        while updates are due:                    # floor((agent steps - warm-up) * UTD) in all,
            learner <- a batch from the ring      # and first those of a priming
        runner <- the learner's weights

Many updates that are due at once, such as those of a priming, are spread over calls of `advance`,
between which there may be a checkpoint; nothing acts until they are made.

An algorithm works under ``ray.tune.Tuner`` and with ``config.build_algo()``. One call of ``train``
lasts about `iteration_agent_steps` agent steps, or as many updates of a priming, or `iteration_s`
seconds.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EPISODE_RETURN_MEAN,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger
from ray.tune.result import DONE

from suite.launch.rllib.acting import ActingAlgorithm
from suite.launch.rllib.config import NapDQNConfig
from suite.launch.rllib.evaluator import evaluate
from suite.launch.rllib.learner import NapLearner
from suite.launch.rllib.learning import Learning, LocalLearning, RemoteLearning
from suite.launch.rllib.runner import EnvPoolRunner, Exploration
from suite.launch.rllib.sampling import (
    LocalSampler,
    RemoteSampler,
    Sampler,
)
from suite.launch.rllib.temporary import TemporaryFolder
from suite.replay.frame_ring import Ints, Sample
from suite.replay.prioritized import PrioritizedRing
from suite.rl.recorder import Recorder
from suite.rl.replay import annealing, make_ring
from suite.rl.run import RLRun
from suite.rl.visits import Visits
from suite.run_config import RunConfig
from suite.schedules.base import AdaptiveSchedule
from suite.training.observer import Value

CHECK_EVERY = 100
"""Gradient steps between looks at whether the loss is finite."""

MOST_UPDATES = 32
"""Largest number of updates in one `advance`."""

BYTES_AT_ONCE = 2**20
"""Most bytes of the observations of batches that are drawn at once."""

PROBE = 64
"""Observations on which features are read."""


class NapDQN(TemporaryFolder, ActingAlgorithm):
    """Deep Q-learning with rates, targets and interventions counted in gradient steps.

    Attributes:
        run: the request.
        ring: the replay.
        recorder: makes rows.
        gradient_steps: updates made.
        agent_steps: decisions taken.
    """

    config: NapDQNConfig  # type: ignore[assignment]  # of Trainable it is a mapping
    metrics: MetricsLogger
    env_runner: EnvPoolRunner
    env_runner_group: EnvRunnerGroup
    learner_group: LearnerGroup

    @classmethod
    def get_default_config(cls) -> NapDQNConfig:
        """Return a config without a run."""
        return NapDQNConfig()

    def setup(self, config: Any) -> None:
        """Build runner and learner, then everything between them."""
        super().setup(config)
        self.run = RLRun.of(RunConfig.from_mapping(self.config.run or {}))
        self.task = task = self.run.task
        self.clock = self.run.clock()
        self.budget = task.agent_steps(self.run.budget)
        space = self.env_runner.spaces[0]
        remote = self.run.resources.learners > 0
        self.learning: Learning = (
            RemoteLearning(self.learner_group) if remote else LocalLearning(self.learner)
        )
        self.ring = make_ring(self.run, space, self.learning.device)
        self.recorder = Recorder(task.frame_skip)
        self.visits = Visits(task)
        self.gradient_steps = self.agent_steps = 0
        self._begun = False
        adaptive = isinstance(self.run.build_schedule(), AdaptiveSchedule)
        self._eventful = adaptive or bool(self.run.interventions)
        self._beta = annealing(self.run)
        self._due = frozenset(self.run.measuring_steps())
        self._measured_at = 0
        self._evaluations = deque(task.evaluations(self.run.budget))
        self._evaluated = 0
        self._missing = 0
        self.sampler: Sampler = LocalSampler(self.env_runner)
        if task.runners > 0:
            self.sampler = RemoteSampler(self.env_runner_group, task.lanes, task.overlap)

    @property
    def learner(self) -> NapLearner:
        """The local learner."""
        return cast("NapLearner", self.learner_group._learner)

    @property
    def finished(self) -> bool:
        """Whether the budget is spent and all that it calls for is done."""
        if self.agent_steps < self.budget or self.due > 0:
            return False
        return not self._evaluations and not self._ends_visit

    @property
    def due(self) -> int:
        """Updates that the agent steps so far call for and that are not made yet."""
        return min(self.task.updates(self.agent_steps), self.clock.total) - self.gradient_steps

    @property
    def _primed(self) -> int:
        """Updates of the priming that are made."""
        return min(self.gradient_steps, self.clock.priming)

    def advance(self) -> None:
        """Act for one block, unless updates are left to make, and make at most `MOST_UPDATES`."""
        self.prepare()
        if self.acts:
            for arrival in self.sampler.sample(*self.block()):
                self.remember(arrival)
        due = self.due
        if due > 0:
            self.begin()
        left = min(due, MOST_UPDATES)
        while left > 0:
            count = min(left, self.at_once)
            sample = self.draw(count)
            for batch in self.learning.batches(sample, self.run.agent.batch_size):
                self._learn(batch, sample.index)
            left -= count
        if due <= 0:
            self.rest()
        elif due <= MOST_UPDATES:
            self.sampler.sync(self.learning.weights())
            self.rest()

    def rest(self) -> None:
        """Do what comes after the updates that were due: evaluations, the end of a visit."""
        self._evaluate_until(self.agent_steps)
        if self._ends_visit:
            self.recorder.record(self.gradient_steps, self.agent_steps, self.visits.close())

    def begin(self) -> None:
        """Before the first update: take the probe from what was seen, and measure step 0.

        Evaluations that were to come before a priming are not left until after it.
        """
        if self._begun:
            return
        self._begun = True
        if self.clock.priming:
            self._evaluate_until(self.task.learning_starts - 1)
        generator = self.run.seeds.numpy("probe")

        def draw(size: int) -> Ints:
            return self.ring.uniform(size, generator)

        self.learning.start(torch.as_tensor(self.ring.sample(PROBE, draw).s_tm1).clone())
        self._measure()

    @property
    def at_once(self) -> int:
        """Batches drawn at once; those of a prioritised replay depend on the errors before."""
        if isinstance(self.ring, PrioritizedRing):
            return 1
        sample_bytes = 2 * self.run.agent.batch_size * self.ring.stack * self.ring.frame_bytes
        return max(1, BYTES_AT_ONCE // sample_bytes)

    def draw(self, count: int) -> Sample:
        """Return the batches of the next updates, one after the other."""
        size = self.run.agent.batch_size
        if isinstance(self.ring, PrioritizedRing):
            return self.ring.sample(size, beta=self._beta(self.gradient_steps))
        return self.ring.samples(size, count)

    def _learn(self, batch: Any, index: Ints) -> None:
        """Make one update.

        Args:
            batch: as `learning` takes it.
            index: its slots.
        """
        self.learning.learn(batch)
        errors = self.learning.errors() if isinstance(self.ring, PrioritizedRing) else None
        self.updated(index, errors)

    def updated(self, index: Ints, errors: NDArray[np.float32] | None) -> None:
        """Count an update and record what it calls for.

        Args:
            index: slots of its batch.
            errors: of its batch, where the replay draws by them.

        Raises:
            DivergedError: if the loss is looked at and is not finite.
        """
        if errors is not None:
            assert isinstance(self.ring, PrioritizedRing)
            self.ring.update(index, errors)
        self.gradient_steps += 1
        if self._eventful:
            for step, metric, layer, value in self.learning.events():
                self.recorder.record(step, self.agent_steps, [(metric, layer, value)])
        if self.gradient_steps in self._due:
            self.learning.check()
            self._measure()
        elif self.gradient_steps % CHECK_EVERY == 0:
            self.learning.check()
        if self.gradient_steps == self.clock.priming:
            self._phase(1)

    def _measure(self) -> None:
        values = self.learning.measure()
        exploration = Exploration.of(self.run, self.visits.index)
        values.append(("epsilon", "", exploration(self._explored)))
        self._record(values)

    def _record(self, values: list[Value]) -> None:
        """Hand on a measurement."""
        waited = self.task.waited(self.agent_steps)
        paced = self.gradient_steps - self._primed, self.agent_steps - waited
        self.recorder.measured(self.gradient_steps, self.agent_steps, paced, values)
        self._measured_at = self.agent_steps

    def _evaluate_until(self, agent_steps: int) -> None:
        """Make the evaluations that are to come after at most so many agent steps of the run."""
        while self._evaluations and self._evaluations[0] <= agent_steps:
            self._evaluate()

    def _evaluate(self) -> None:
        """Let the policy play in separate environments and record the returns."""
        self._evaluations.popleft()
        LocalSampler(self.env_runner).sync(self.learning.weights())
        config, module, visit = self.task.evaluation, self.env_runner.module, self.visits.index
        assert config is not None
        games = evaluate(self.run, config, module, self._evaluated, visit)
        self._evaluated += 1
        returns, layer = [game.score for game in games], self.visits.layer
        mean = sum(returns) / len(returns)
        self.visits.evaluated(mean)
        values = [("evaluation_episode_return", layer, value) for value in returns]
        values.append(("evaluation_return", layer, mean))
        self.recorder.record(self.gradient_steps, self.agent_steps, values)

    def training_step(self) -> None:
        """Go on for `iteration_agent_steps`, `iteration_s` or to the end of the budget."""
        until = self.agent_steps + self._primed + self.config.iteration_agent_steps
        deadline = time.monotonic() + self.config.iteration_s
        games = self.recorder.games
        while self.agent_steps + self._primed < until and not self.finished:
            self.advance()
            if time.monotonic() > deadline:
                break
        self.conclude()
        latest = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        self.metrics.log_value(latest, self.agent_steps, window=1)
        if self.recorder.games > games and self.recorder.returns:
            mean = self.recorder.mean_return
            self.metrics.log_value((ENV_RUNNER_RESULTS, EPISODE_RETURN_MEAN), mean, window=1)
        self.metrics.log_value(
            (LEARNER_RESULTS, DEFAULT_MODULE_ID, "gradient_steps"), self.gradient_steps, window=1
        )

    def conclude(self) -> None:
        """At the end of the run, record what came after the latest measurement."""
        if self.finished and self.agent_steps > self._measured_at:
            self._record([])

    def restore_env_runners(self, env_runner_group: EnvRunnerGroup) -> list[int]:
        """Do nothing: the sampler brings runners back that were restarted.

        RLlib would give them the state of the local one: its generators and its environment.
        """
        return []

    def step(self) -> dict[str, Any]:
        """Return the results of an iteration, done when the run is `finished`."""
        results = super().step()
        return {**results, DONE: self.finished}
