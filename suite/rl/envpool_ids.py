"""Any environment of envpool, left as it is: its own time limit, its observations as one array."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from suite.environments.failure import EnvironmentFailed
from suite.replay.frame_ring import Array, Bools
from suite.rl.envpool_backend import make_envpool
from suite.tasks.envpool import EnvpoolConfig


class EnvpoolIds:
    """Lanes of one environment, stepped together.

    Args:
        task: what to make.
        lanes: number of environments.
        seed: of the first; the others count on from it.
        threads: of envpool.

    Attributes:
        observation_space: of one environment, as arrays.
        action_space: of one environment.

    Raises:
        ConfigError: if there is no such environment.
    """

    def __init__(self, task: EnvpoolConfig, lanes: int, seed: int, threads: int = 1) -> None:
        self._view, shown = task.view, task.shown()
        self._name, self._first = task.env, shown.first_action
        self._pool = make_envpool(task, lanes, seed, threads, task.time_limit)
        box = gymnasium.spaces.Box(-np.inf, np.inf, self._view.shape, np.float32)
        self.observation_space = box
        self.action_space: gymnasium.spaces.Discrete[np.int64] = gymnasium.spaces.Discrete(
            shown.actions
        )

    def reset(self) -> tuple[Array, dict[str, Array]]:
        """Begin an episode in every lane; return observations and an empty info.

        Raises:
            EnvironmentFailed: if an observation is not in its space.
        """
        obs, _ = self._pool.reset()
        return self._seen(obs), {}

    def step(self, actions: Array) -> tuple[Array, Array, Bools, Bools, dict[str, Array]]:
        """Take actions (lanes,); in lanes whose episode has ended, begin another one.

        Returns:
            Observations, rewards, whether the episode is over, whether its time is, info.

        Raises:
            EnvironmentFailed: if an observation is not in its space.
        """
        taken = (actions + self._first).astype(np.int32)
        obs, rewards, over, late, _ = self._pool.step(taken)
        return self._seen(obs), rewards.astype(np.float32), over, late, {}

    def _seen(self, obs: Any) -> Array:
        try:
            return self._view.batch(obs)
        except EnvironmentFailed as error:
            raise EnvironmentFailed(f"{self._name}: {error}") from error

    def close(self) -> None:
        """Close the environments."""
        self._pool.close()
