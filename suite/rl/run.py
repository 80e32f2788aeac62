"""A run of the reinforcement-learning engine, with the exact types of task and agent."""

from __future__ import annotations

from pydantic import SerializeAsAny

from suite.agents.dqn import QLearningConfig
from suite.errors import ConfigError
from suite.run_config import RunConfig
from suite.tasks.rl import RLTaskConfig
from suite.training.observer import measuring_steps


class RLRun(RunConfig):
    """The request for a run of an `RLTaskConfig` by a `QLearningConfig`; made by `of` alone."""

    task: SerializeAsAny[RLTaskConfig]
    agent: SerializeAsAny[QLearningConfig]

    @classmethod
    def of(cls, run: RunConfig) -> RLRun:
        """Return a run as one of this engine, all its values the same.

        Raises:
            ConfigError: if it is none.
        """
        if isinstance(run, cls):
            return run
        if not isinstance(run.task, RLTaskConfig):
            raise ConfigError("task.kind", run.task.kind, "a reinforcement-learning task")
        if not isinstance(run.agent, QLearningConfig):
            kind = None if run.agent is None else run.agent.kind
            raise ConfigError("agent", kind, "an agent that learns action values, such as dqn")
        return cls.model_construct(run.model_fields_set, **dict(run))

    def measuring_steps(self) -> list[int]:
        """Return the gradient steps to measure at: the end of a priming is always one."""
        clock = self.clock()
        return sorted({*measuring_steps(self.metrics, clock), clock.priming})
