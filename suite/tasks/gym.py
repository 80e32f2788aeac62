"""Any environment that is registered with Gymnasium (Towers et al. 2024): a user's own, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from suite.environments import registered
from suite.environments.shown import Shown
from suite.tasks.any_environment import AnyEnvironmentConfig
from suite.tasks.base import TASKS


@TASKS.register("gym")
class GymConfig(AnyEnvironmentConfig):
    """One environment of Gymnasium with discrete actions, learnt by deep Q-learning.

    Its id may have the module that registers it in front, ``module:Id-v0``; a plugin's needs none.

    Attributes:
        processes: whether each environment has a process of its own; it pays where a step takes
            milliseconds.
    """

    backends: ClassVar[tuple[str, ...]] = ("gymnasium",)
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "gym", "env": "CartPole-v1", "learning_starts": 40},
        "model": {"kind": "mlp", "width": 8, "depth": 1, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100, "target_every": 5},
        "budget": {"agent_steps": 52},
    }
    kind: Literal["gym"] = "gym"
    backend: str = "gymnasium"
    processes: bool = False

    def shown(self) -> Shown:
        """Return what the environment shows and takes; it is made for this once in a process.

        Raises:
            ConfigError: if there is none, it cannot be made, or Q-learning cannot use it.
        """
        return registered.shown(self.env, self.kwargs)

    def kept_steps(self) -> int:
        """Return for how many steps the actions are kept: none if they say nothing of the state."""
        return 0 if registered.find(self.env).nondeterministic else super().kept_steps()
