"""Lanes of an environment that is changed by `suite.environments.wrap`."""

from __future__ import annotations

from typing import Any

from suite.environments.wrap import Wrap, WrapConfig
from suite.replay.frame_ring import Array, Bools


class WrappedPool:
    """Lanes stepped together; what `reset` and `step` return is the pool's, changed.

    Args:
        pool: the lanes, with discrete actions.
        config: what is changed.

    Attributes:
        observation_space: of one environment.
        action_space: of one environment.

    Raises:
        ConfigError: if the changes do not fit the observations.
    """

    def __init__(self, pool: Any, config: WrapConfig) -> None:
        self._pool = pool
        self.observation_space, self.action_space = pool.observation_space, pool.action_space
        shape, actions = tuple(self.observation_space.shape), int(self.action_space.n)
        self._wrap = Wrap(config, shape, actions)

    def reset(self) -> tuple[Array, dict[str, Array]]:
        """Begin an episode in every lane; return observations and info."""
        obs, info = self._pool.reset()
        return self._wrap.observations(obs), info

    def step(self, actions: Array) -> tuple[Array, Array, Bools, Bools, dict[str, Array]]:
        """Take the agent's actions (lanes,).

        Returns:
            Observations, rewards, whether the episode is over, whether its time is, info.
        """
        obs, rewards, over, late, info = self._pool.step(self._wrap.actions(actions))
        return self._wrap.observations(obs), self._wrap.rewards(rewards), over, late, info

    def close(self) -> None:
        """Close the environments."""
        self._pool.close()
