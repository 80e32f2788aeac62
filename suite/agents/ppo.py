"""Proximal policy optimization (Schulman et al. 2017), as RLlib has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from suite.agents.base import AGENTS
from suite.agents.rllib import RLlibAgentConfig
from suite.errors import ConfigError


@AGENTS.register("ppo")
class PpoConfig(RLlibAgentConfig):
    """RLlib's PPO, with clipped ratios and generalised advantages.

    Every batch is learnt from with exactly ``epochs * (batch_size // minibatch_size)`` updates, so
    that the length of a run in gradient steps is known. RLlib itself would make one or two more,
    because it lengthens each episode by a step.

    Attributes:
        batch_size: agent steps between two looks at them, ``train_batch_size_per_learner``.
        minibatch_size: agent steps of an update.
        epochs: passes over a batch, ``num_epochs``.
        shared: whether policy and values share their hidden layers.
    """

    algorithm: ClassVar[tuple[str, str]] = ("ray.rllib.algorithms.ppo", "PPOConfig")
    fixed: ClassVar[Mapping[str, str]] = {
        "train_batch_size": "agent.batch_size says it",
        "train_batch_size_per_learner": "agent.batch_size says it",
        "minibatch_size": "agent.minibatch_size says it",
        "num_epochs": "agent.epochs says it",
    }

    kind: Literal["ppo"] = "ppo"
    batch_size: Annotated[int, Field(ge=1)] = 2048
    minibatch_size: Annotated[int, Field(ge=1)] = 64
    epochs: Annotated[int, Field(ge=1)] = 10
    shared: bool = False

    @model_validator(mode="after")
    def _fits(self) -> PpoConfig:
        if self.batch_size % self.minibatch_size:
            wanted = f"a divisor of batch_size = {self.batch_size}"
            raise ConfigError("minibatch_size", self.minibatch_size, wanted)
        return self

    @property
    def batch(self) -> int:
        """Agent steps between two calls of the learner."""
        return self.batch_size

    @property
    def minibatch(self) -> int:
        """Agent steps in an update."""
        return self.minibatch_size

    @property
    def updates(self) -> int:
        """Updates that each batch is learnt from with."""
        return self.epochs * (self.batch_size // self.minibatch_size)

    def arguments(self) -> dict[str, Any]:
        """Return what ``AlgorithmConfig.training`` is told, except for the rate."""
        return {
            "train_batch_size_per_learner": self.batch_size,
            "minibatch_size": self.minibatch_size,
            "num_epochs": self.epochs,
            **self.training,
        }
