"""Small environments with few inputs and discrete actions (Barto 1983; Brockman et al. 2016).

They use the engine of Atari, without stacks of frames. They run in minutes on a CPU, for tests of
learning and for statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from suite.errors import ConfigError, nearest
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.ranges import ANY, Range
from suite.tasks.base import TASKS
from suite.tasks.one_environment import OneEnvironmentConfig

ENVIRONMENTS = {
    "Acrobot-v1": ModelSpec(inputs=Floats((6,)), outputs=3),
    "CartPole-v1": ModelSpec(inputs=Floats((4,)), outputs=2),
    "Catch-v0": ModelSpec(inputs=Floats((10, 5)), outputs=3),
    "LunarLander-v3": ModelSpec(inputs=Floats((8,)), outputs=4),
    "MountainCar-v0": ModelSpec(inputs=Floats((2,)), outputs=3),
}
"""Environments with real-valued inputs and discrete actions, by name."""

REWARDS = {
    "Acrobot-v1": Range(-1, 0),
    "CartPole-v1": Range(0, 1),
    "MountainCar-v0": Range(-1, 0),
}
"""Rewards of a step where, with the time limit, they bound the return."""

TIME_LIMITS = {
    "Acrobot-v1": 500,
    "CartPole-v1": 500,
    "Catch-v0": 2**31 - 1,  # none: an episode is over after nine steps
    "LunarLander-v3": 1000,
    "MountainCar-v0": 200,
}
"""Their own time limits in agent steps, as Gymnasium has them."""


@TASKS.register("classic_control")
class ClassicControlConfig(OneEnvironmentConfig):
    """One small control problem, such as CartPole, learnt by deep Q-learning."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "classic_control", "learning_starts": 40},
        "model": {"kind": "mlp", "width": 8, "depth": 1, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100, "target_every": 5},
        "budget": {"agent_steps": 52},
    }
    kind: Literal["classic_control"] = "classic_control"
    env: str = "CartPole-v1"

    @field_validator("env")
    @classmethod
    def _env_exists(cls, value: str) -> str:
        if value not in ENVIRONMENTS:
            raise ConfigError(
                "", value, f"one with discrete actions: {nearest(value, ENVIRONMENTS)}"
            )
        return value

    def spec(self) -> ModelSpec:
        """Return what the environment shows of its state, and the number of its actions."""
        return ENVIRONMENTS[self.env]

    @property
    def own_returns(self) -> Range:
        """Up to 500 of CartPole, for instance, one for each step until its time limit.

        Catch pays 1 or -1 once; landing on the moon is not bounded.
        """
        if self.env == "Catch-v0":
            return Range(-1, 1)
        if self.env not in REWARDS:
            return ANY
        return REWARDS[self.env].times(self.time_limit)

    @property
    def time_limit(self) -> int:
        """Agent steps after which an episode is cut: as configured, or the environment's own."""
        return self.max_episode_steps or TIME_LIMITS[self.env]
