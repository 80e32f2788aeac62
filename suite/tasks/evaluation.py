"""Episodes that judge a policy apart from its training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from suite.clock import Duration
from suite.config import Config
from suite.errors import ConfigError


class EvaluationConfig(Config):
    """Whole episodes of the current policy, separate from training.

    Attributes:
        episodes: number of episodes.
        every: length between evaluations; without it there is one, at the end.
        epsilon: share of random actions.
        noise: whether noisy layers draw noise; without it they act by their means.
    """

    episodes: Annotated[int, Field(ge=1)] = 100
    every: Duration | None = None
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.001
    noise: bool = False

    def at_least_one(self, every: int) -> int:
        """Return the agent steps between evaluations as they are.

        Raises:
            ConfigError: if there are none.
        """
        if every < 1:
            wanted = "at least one agent step, or no such key for one evaluation at the end"
            raise ConfigError("task.evaluation.every", every, wanted)
        return every
