"""One Gymnasium environment as the engine steps it: arrays out, actions from 0, faults by name.

It holds in a process of its own, too, where an error must come back as plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from suite.environments.failure import EnvironmentFailed
from suite.environments.registered import make
from suite.environments.view import Floats, View, ViewOptions


class Watched(gymnasium.Env[Floats, np.int64]):
    """An environment with arrays of one shape as observations, and actions from 0.

    Args:
        env: of Gymnasium, with discrete actions.
        name: what it is called in messages.
        options: what is made of its observations.

    Raises:
        ConfigError: if no array can be made of its observations.
    """

    def __init__(self, env: Any, name: str, options: ViewOptions) -> None:
        self._env, self._name = env, name
        self._view = View(env.observation_space, options)
        self._first = int(env.action_space.start)
        self.metadata: dict[str, Any] = {}
        self.observation_space = spaces.Box(-np.inf, np.inf, self._view.shape, np.float32)
        self.action_space = spaces.Discrete(int(env.action_space.n))

    def _guarded(self, what: str, act: Callable[[], Any]) -> Any:
        """Return what `act` returns.

        Raises:
            EnvironmentFailed: if it raises anything.
        """
        try:
            return act()
        except EnvironmentFailed as error:
            raise EnvironmentFailed(f"{self._name}: {what}: {error}") from error
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise EnvironmentFailed(f"{self._name}: {what} raised {said}") from error

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode; return its first observation, (*shape), and nothing more.

        Raises:
            EnvironmentFailed: if the environment raises.
        """

        def act() -> Floats:
            obs, _ = self._env.reset(seed=seed)
            return self._view.one(obs)

        return self._guarded("reset", act), {}

    def step(self, action: np.int64) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Take an action; return observation, reward, both marks of an end, and nothing more.

        Raises:
            EnvironmentFailed: if the environment raises.
        """

        def act() -> tuple[Floats, float, bool, bool, dict[str, Any]]:
            obs, reward, over, late, _ = self._env.step(self._first + int(action))
            return self._view.one(obs), float(reward), bool(over), bool(late), {}

        result: tuple[Floats, float, bool, bool, dict[str, Any]] = self._guarded("step", act)
        return result

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


def watched(
    entry: Any, kwargs: Mapping[str, Any], limit: int | None, options: ViewOptions
) -> Watched:
    """Return a new environment of an entry of Gymnasium's registry.

    Args:
        entry: from `suite.environments.registered.find`.
        kwargs: for its constructor.
        limit: steps after which an episode is cut; None for the registered number.
        options: what is made of its observations.

    Raises:
        ConfigError: if it cannot be made.
    """
    return Watched(make(entry, kwargs, limit), entry.id, options)
