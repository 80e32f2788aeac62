"""A run of an algorithm of RLlib, with the exact types of task and agent."""

from __future__ import annotations

from pydantic import SerializeAsAny

from suite.agents.rllib import RLlibAgentConfig
from suite.errors import ConfigError
from suite.models.mlp import MlpConfig
from suite.run_config import RunConfig
from suite.tasks.rllib import RLlibTaskConfig
from suite.training.observer import measuring_steps


class StockRun(RunConfig):
    """The request for a run of RLlib's algorithms; made by `of` alone."""

    task: SerializeAsAny[RLlibTaskConfig]
    agent: SerializeAsAny[RLlibAgentConfig]
    model: SerializeAsAny[MlpConfig]

    @classmethod
    def of(cls, run: RunConfig) -> StockRun:
        """Return a run as one of this engine, all its values the same.

        Raises:
            ConfigError: if it is none.
        """
        if isinstance(run, cls):
            return run
        if not isinstance(run.task, RLlibTaskConfig):
            raise ConfigError("task.kind", run.task.kind, "a task that RLlib's algorithms learn")
        if not isinstance(run.agent, RLlibAgentConfig):
            kind = None if run.agent is None else run.agent.kind
            raise ConfigError("agent", kind, "an algorithm of RLlib, such as ppo")
        if not isinstance(run.model, MlpConfig):
            raise ConfigError("model.kind", run.model.kind, "mlp")
        return cls.model_construct(run.model_fields_set, **dict(run))

    @property
    def batches(self) -> int:
        """Calls of the learner."""
        return self.clock().total // self.agent.updates

    def measuring_steps(self) -> list[int]:
        """Return the gradient steps to measure at."""
        return measuring_steps(self.metrics, self.clock())
