"""Environments of envpool, ALE or Gymnasium, with the task's options and the run's own seed.

Each is imported only when it is used, so one is enough if the other cannot be installed.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from suite.errors import ConfigError
from suite.rl.wrapped import WrappedPool
from suite.seeding import Seeds
from suite.tasks.envpool import EnvpoolConfig
from suite.tasks.gym import GymConfig
from suite.tasks.one_environment import OneEnvironmentConfig
from suite.tasks.rl import RLTaskConfig

SEEDS = 2**31
"""Simulators take seeds of 31 bits."""


def make_pool(task: RLTaskConfig, lanes: int, seed: int, threads: int = 1) -> Any:
    """Return `lanes` environments that are stepped together, from the task's back end.

    An environment is reset on the step after its episode has ended, for any action it is given
    then. Of the two marks of an end that ``step`` returns, the first says whether the episode is
    truly over, the second whether its time is up (`RLTaskConfig.time_limit`); where both happen in
    one step, both say so.

    Args:
        task: what to make.
        lanes: number of environments.
        seed: of the first; the others count on from it.
        threads: of the simulator.

    Raises:
        ConfigError: if the back end is not installed.
    """
    pool = _make_pool(task, lanes, seed, threads)
    if isinstance(task, OneEnvironmentConfig) and task.wrap.changes:
        return WrappedPool(pool, task.wrap)
    return pool


def _make_pool(task: RLTaskConfig, lanes: int, seed: int, threads: int) -> Any:
    """Return the environments as their simulator has them.

    Raises:
        ConfigError: if the back end is not installed.
    """
    try:
        if task.backend == "ale":
            from suite.rl.ale_backend import AlePool

            return AlePool(task, lanes, seed, threads)
        if isinstance(task, GymConfig):
            from suite.rl.gym_backend import GymPool

            return GymPool(task, lanes, seed)
        if isinstance(task, EnvpoolConfig):
            from suite.rl.envpool_ids import EnvpoolIds

            return EnvpoolIds(task, lanes, seed, threads)
        from suite.rl.envpool_backend import EnvPool

        return EnvPool(task, lanes, seed, threads)
    except ModuleNotFoundError as error:
        raise ConfigError(
            "task.backend", task.backend, f"a back end that is installed ({error})"
        ) from None


Spaces = tuple[gymnasium.spaces.Box, "gymnasium.spaces.Discrete[np.int64]"]
"""Of observations and of actions, of one environment."""


def pool_seed(seeds: Seeds, worker: int | str, generation: int, visit: int = 0) -> int:
    """Return the seed of a pool: different for every runner, visit and time it is made again."""
    stream = f"env/{worker}/{generation}"
    return seeds.seed(f"{stream}/visit/{visit}" if visit else stream)


def spaces_of(pool: Any) -> Spaces:
    """Return the spaces of one environment of the pool, the bounds as wide as the type allows.

    Raises:
        ConfigError: if it has no discrete actions.
    """
    if not isinstance(pool.action_space, gymnasium.spaces.Discrete):
        raise ConfigError("task", pool.action_space, "an environment with discrete actions")
    shape, dtype = pool.observation_space.shape, pool.observation_space.dtype
    low, high = (0, 255) if dtype == np.uint8 else (-np.inf, np.inf)
    box = gymnasium.spaces.Box(low, high, shape, dtype.type)
    return box, gymnasium.spaces.Discrete(int(pool.action_space.n))
