"""Atari from ALE's own vector environment (Bellemare et al. 2013; ale-py), stepped like envpool.

This is the second back end, for machines without envpool, and a check of the first: emulator,
games, screens and their scaling are the same, so equal actions give equal frames and rewards. These
differences of ALE are corrected here:

- The stack of a new game repeats its first frame; ALE's is padded with black frames.
- A time limit counts agent steps and shows the last frame. ALE counts frames, including those
  before the agent acts, and leaves out the screen on which it stops. So ALE gets no limit; the game
  is cut here and reset on the next step, whose action is ignored as after any end.
- `info` has envpool's `reward` and `elapsed_step`.

These differences remain:

- Idle frames at the start of a game are 0 to `noop_max` - 1, in envpool 1 to `noop_max`. With
  `fire_on_reset` ALE fires first and idles one frame less, envpool idles and then fires; the two
  agree for `noop_max` 1.
- Random draws of the number of idle frames and of sticky actions. The same seed gives other games.
- The last frame of a finished game repeats the one before; nothing is learnt from it.
"""

from __future__ import annotations

import numpy as np
from ale_py.vector_env import AtariVectorEnv

from suite.errors import ConfigError
from suite.replay.frame_ring import Array, Bools
from suite.rl.envs import SEEDS
from suite.tasks.atari import AtariConfig
from suite.tasks.rl import RLTaskConfig

NEVER = 2**31 - 1
"""Frames of a game that is not cut by ALE."""


class AlePool:
    """Lanes of one game, stepped together; what `reset` and `step` return is as envpool's.

    Args:
        task: what to make.
        lanes: number of environments.
        seed: of the first; the others count on from it.
        threads: of ALE.

    Attributes:
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: if the task is not an Atari game.
    """

    def __init__(self, task: RLTaskConfig, lanes: int, seed: int, threads: int = 1) -> None:
        if not isinstance(task, AtariConfig):
            raise ConfigError("task.backend", task.backend, "envpool for this kind of task")
        self._limit = task.time_limit
        self._stack = task.stack
        self._seed: int | None = int(seed) % (SEEDS - lanes)
        self._env = AtariVectorEnv(
            task.game,
            lanes,
            num_threads=threads,
            max_num_frames_per_episode=NEVER,
            repeat_action_probability=task.sticky,
            full_action_space=task.full_action_space,
            stack_num=task.stack,
            frameskip=task.frame_skip,
            noop_max=task.noop_max,
            use_fire_reset=task.fire_on_reset,
            reward_clipping=False,
        )
        self.observation_space = self._env.single_observation_space
        self.action_space = self._env.single_action_space
        self._elapsed = np.zeros(lanes, np.int32)
        self._over = np.zeros(lanes, np.bool_)  # the game is over
        self._timed_out = np.zeros(lanes, np.bool_)  # it is not, but its time is

    def reset(self) -> tuple[Array, dict[str, Array]]:
        """Begin a game in every lane; return observations and info.

        Called again it begins new games, with the draws that are next.
        """
        obs: Array
        obs, info = self._env.reset(seed=self._seed)
        self._seed = None
        for marks in (self._elapsed, self._over, self._timed_out):
            marks[:] = 0
        return self._stacked(obs), self._info(info, np.zeros(len(obs), np.float32))

    def step(self, actions: Array) -> tuple[Array, Array, Bools, Bools, dict[str, Array]]:
        """Take actions (lanes,); in lanes whose game has ended, begin another one.

        Returns:
            Observations, rewards, whether the game is over, whether its time is, info. Both may be
            at once.
        """
        begun = self._over | self._timed_out
        obs, rewards, over, _, info = self._env.step(actions)
        if self._timed_out.any():
            obs, info = self._env.reset(options={"reset_mask": self._timed_out})
        self._elapsed = np.where(begun, 0, self._elapsed + 1).astype(np.int32)
        self._over = over & ~begun
        late = self._elapsed >= self._limit
        self._timed_out = late & ~self._over
        rewards = np.where(begun, 0, rewards).astype(np.float32)
        info = self._info(info, rewards)
        return self._stacked(obs), rewards, self._over, late, info

    def _stacked(self, obs: Array) -> Array:
        """Put the first frame of a game in place of what would be older."""
        for lane in np.flatnonzero(self._elapsed < self._stack - 1):
            first = self._stack - 1 - self._elapsed[lane]
            obs[lane, :first] = obs[lane, first]
        return obs

    def _info(self, info: dict[str, Array], rewards: Array) -> dict[str, Array]:
        return {
            "lives": info["lives"],
            "reward": rewards,
            "elapsed_step": self._elapsed.copy(),
        }

    def close(self) -> None:
        """Close the environments."""
        self._env.close()
