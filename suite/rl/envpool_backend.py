"""Environments from envpool (Weng et al. 2022), with our own time limits.

An episode may terminate on exactly the step of its time limit: the return is then complete, and
nothing may be bootstrapped. But envpool reports every end at the limit as a truncation. So its
limit is set one step later, where it is never reached, and episodes are cut here. Every end that
envpool reports is then a real one.

As in envpool, a lane whose episode has ended begins another one on the next step, and the action of
that step is ignored. After a cut these lanes are reset (`reset`). This makes no random draws that
envpool would not make itself, so games are the same as with its own limit.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from suite.replay.frame_ring import Array, Bools
from suite.rl.envs import SEEDS
from suite.tasks.rl import RLTaskConfig

MOST = 2**31 - 1
"""The longest episode that envpool accepts: in effect no limit."""


def make_envpool(task: RLTaskConfig, lanes: int, seed: int, threads: int, limit: int | None) -> Any:
    """Return envpool's own lanes of a task's environment.

    Args:
        task: what to make.
        lanes: number of environments.
        seed: of the first; the others count on from it.
        threads: of envpool.
        limit: its time limit in steps.
    """
    import envpool

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the precision of bounds, which are not used
        pool = envpool.make(
            task.pool,
            env_type="gymnasium",
            num_envs=lanes,
            num_threads=threads,
            seed=seed % SEEDS,
            max_episode_steps=limit,
            **task.pool_options(),
        )
        _ = pool.observation_space  # made now, in silence, and kept
    return pool


class EnvPool:
    """Lanes of one environment, stepped together.

    Args:
        task: what to make.
        lanes: number of environments.
        seed: of the first; the others count on from it.
        threads: of envpool.

    Attributes:
        observation_space: of one environment.
        action_space: of one environment.
    """

    def __init__(self, task: RLTaskConfig, lanes: int, seed: int, threads: int = 1) -> None:
        import envpool

        limit = task.time_limit
        if limit is None:
            limit = envpool.make_spec(task.pool).config.max_episode_steps
        self._limit = limit
        self._pool = make_envpool(task, lanes, seed, threads, min(limit + 1, MOST))
        self.observation_space = self._pool.observation_space
        self.action_space = self._pool.action_space
        self._cut = np.zeros(lanes, np.bool_)  # lanes that envpool does not know to have ended

    def reset(self) -> tuple[Array, dict[str, Array]]:
        """Begin an episode in every lane; return observations and info."""
        self._cut[:] = False
        obs, info = self._pool.reset()
        return obs, info

    def step(self, actions: Array) -> tuple[Array, Array, Bools, Bools, dict[str, Array]]:
        """Take actions (lanes,); in lanes whose episode has ended, begin another one.

        Returns:
            Observations, rewards, whether the episode is over, whether its time is, info. Both may
            be at once.
        """
        if self._cut.any():
            obs, rewards, over, info = self._begin(actions)
        else:
            obs, rewards, over, _, info = self._pool.step(actions)
        late = info["elapsed_step"] >= self._limit
        self._cut = late & ~over
        return obs, rewards, over, late, info

    def _begin(self, actions: Array) -> tuple[Array, Array, Bools, dict[str, Array]]:
        """Begin an episode in the lanes that were cut, and step the others."""
        begun, others = (np.flatnonzero(mask).astype(np.int32) for mask in (self._cut, ~self._cut))
        parts: list[tuple[Array, ...]] = []  # observations, rewards, ends, info by key
        fresh, info = self._pool.reset(begun)
        keys = [key for key in ("lives", "reward", "elapsed_step") if key in info]
        nothing = np.zeros(len(begun), np.float32)
        parts.append((fresh, nothing, nothing != 0, *(info[key] for key in keys)))
        if len(others):
            obs, rewards, over, _, info = self._pool.step(actions[others], others)
            parts.append((obs, rewards, over, *(info[key] for key in keys)))
        order = np.argsort(np.concatenate([begun, others]))
        obs, rewards, over, *told = (
            np.concatenate(part)[order] for part in zip(*parts, strict=True)
        )
        return obs, rewards, over, dict(zip(keys, told, strict=True))

    def close(self) -> None:
        """Close the environments."""
        self._pool.close()
