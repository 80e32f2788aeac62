"""Environments of Gymnasium, stepped one after the other, or each in a process of its own.

Gymnasium's vector environments begin the next episode on the step after an end, as envpool does.
Both marks of an end are the environment's own; the wrapper of its time limit adds the second mark
to the first where both hold.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from suite.environments.registered import find
from suite.replay.frame_ring import Array, Bools
from suite.rl.envs import SEEDS
from suite.rl.processes import in_processes
from suite.rl.watched import watched
from suite.tasks.gym import GymConfig


class GymPool:
    """Lanes of one environment, stepped together; what `reset` and `step` return is as envpool's.

    Args:
        task: what to make.
        lanes: number of environments.
        seed: of the first; the others count on from it.

    Attributes:
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: if it cannot be made.
    """

    def __init__(self, task: GymConfig, lanes: int, seed: int) -> None:
        entry, options = find(task.env), task.view_options()
        make = partial(watched, entry, task.pool_options(), task.max_episode_steps, options)
        self._seed: int | None = int(seed) % (SEEDS - lanes)
        self._env: Any
        if task.processes:
            self._env = in_processes(make, lanes, entry)
        else:
            mode = AutoresetMode.NEXT_STEP
            self._env = SyncVectorEnv([make] * lanes, copy=False, autoreset_mode=mode)
        self.observation_space = self._env.single_observation_space
        self.action_space = self._env.single_action_space

    def reset(self) -> tuple[Array, dict[str, Array]]:
        """Begin an episode in every lane; return observations and an empty info.

        Called again it begins new episodes, with the draws that are next.

        Raises:
            EnvironmentFailed: if an environment raises.
        """
        obs, _ = self._env.reset(seed=self._seed)
        self._seed = None
        return obs.copy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Bools, Bools, dict[str, Array]]:
        """Take actions (lanes,); in lanes whose episode has ended, begin another one.

        Returns:
            Observations, rewards, whether the episode is over, whether it was cut, info. Both may
            be at once.

        Raises:
            EnvironmentFailed: if an environment raises.
        """
        obs, rewards, over, late, _ = self._env.step(actions)
        return obs.copy(), rewards.astype(np.float32), over, late, {}

    def close(self) -> None:
        """Close the environments."""
        self._env.close()
