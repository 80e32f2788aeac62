"""Any environment of envpool (Weng et al. 2022): MiniGrid, Box2D, highway, Jumanji and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from suite.environments import pooled
from suite.environments.shown import Shown
from suite.tasks.any_environment import AnyEnvironmentConfig
from suite.tasks.base import TASKS


@TASKS.register("envpool")
class EnvpoolConfig(AnyEnvironmentConfig):
    """One environment of envpool with discrete actions, learnt by deep Q-learning.

    Rewards of some environments depend on their time limit (MiniGrid's are 1 - 0.9 n / limit after
    n steps), so it is envpool's own that ends episodes here. An episode that ends on exactly the
    last step counts as cut.
    """

    fixed: ClassVar[dict[str, str]] = AnyEnvironmentConfig.fixed | {
        "env_seed": "seeds",
        "num_threads": "resources.threads",
        "batch_size": "task.lanes",
        "max_num_players": "one player",
        "thread_affinity_offset": "the machine",
        "gym_reset_return_info": "envpool",
    }
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "envpool",
            "env": "MiniGrid-Empty-5x5-v0",
            "observation": ["image", "direction"],
            "flatten": True,
            "learning_starts": 40,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 1, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100, "target_every": 5},
        "budget": {"agent_steps": 52},
    }
    kind: Literal["envpool"] = "envpool"

    def shown(self) -> Shown:
        """Return what the environment shows and takes.

        Raises:
            ConfigError: if there is none, or Q-learning cannot use it.
        """
        return pooled.shown(self.env, self.kwargs)
