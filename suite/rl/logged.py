"""One environment for a runner of RLlib: counts steps and returns, and finds back to its step.

The actions since it was made can be kept: with the same seed, repeating them leads to the same
step. Its number of steps and its finished episodes are the run's, whatever RLlib makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from suite.environments import registered
from suite.environments.failure import EnvironmentFailed
from suite.environments.spaces import Backend
from suite.rl.lanes import Game

Floats = NDArray[np.float32]
Finished = Callable[[Game], object]


class Logged(gymnasium.Env[Floats, Any]):
    """An environment with vectors as observations, whose actions are kept.

    Args:
        env: as Gymnasium has it.
        name: what it is called in messages.

    Attributes:
        finished: hears of every episode that has ended.
        most: actions that are kept at most; beyond that none are.
        steps: actions taken.
        over: whether the episode has ended, and the next one has not begun.
    """

    def __init__(self, env: Any, name: str) -> None:
        self._env, self._name = env, name
        self.metadata: dict[str, Any] = {}
        shape = self._env.observation_space.shape
        self.observation_space = Box(-np.inf, np.inf, shape, np.float32)
        self.action_space, self._first = self._env.action_space, 0
        if isinstance(self.action_space, Discrete):  # RLlib's policies number actions from 0
            self._first = int(self.action_space.start)
            self.action_space = Discrete(int(self.action_space.n))
        self.finished: Finished | None = None
        self.most = 0
        self.steps, self.over = 0, False
        self._score, self._length = 0.0, 0
        self._log: list[Any] = []
        self._again: NDArray[Any] | None = None
        self._was_over = False
        self._obs = np.zeros(shape, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode, or after `restore` come back to where that one was.

        Raises:
            EnvironmentFailed: if the environment raises.
        """
        again, self._again = self._again, None
        self._begin(seed)
        for action in () if again is None else again:
            if self.over:
                self._begin(None)
            self._take(action)
        if again is not None and self.over and not self._was_over:
            self._begin(None)  # the next episode had begun, though without an action
        return self._obs, {}

    def _begin(self, seed: int | None) -> None:
        self._obs = self._guarded("reset", lambda: self._env.reset(seed=seed)[0])
        self.over, self._score, self._length = False, 0.0, 0

    def _guarded(self, what: str, act: Callable[[], Any]) -> Floats:
        """Return the observation that `act` returns.

        Raises:
            EnvironmentFailed: if it raises anything, or returns another shape.
        """
        try:
            obs = np.asarray(act(), np.float32)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise EnvironmentFailed(f"{self._name}: {what} raised {said}") from error
        if obs.shape != self.observation_space.shape:
            shapes = f"{obs.shape}, not {self.observation_space.shape}"
            raise EnvironmentFailed(f"{self._name}: {what} showed an observation of shape {shapes}")
        return obs

    def _take(self, action: Any) -> tuple[float, bool, bool]:
        said: list[Any] = []

        def act() -> Any:
            obs, *rest = self._env.step(action)
            said.extend(rest)
            return obs

        self._obs = self._guarded("step", act)
        reward, over, late = float(said[0]), bool(said[1]), bool(said[2])
        self.steps += 1
        self._score, self._length, self.over = self._score + reward, self._length + 1, over or late
        if len(self._log) < self.most:
            self._log.append(action)
        return reward, over, late

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Take an action; return observation, reward, both marks of an end, and nothing more.

        Raises:
            EnvironmentFailed: if the environment raises.
        """
        discrete = isinstance(self.action_space, Discrete)
        action = self._first + int(action) if discrete else np.array(action)
        reward, over, late = self._take(action)
        if self.over and self.finished is not None:
            self.finished(Game(self._score, self._length))
        return self._obs, reward, over, late, {}

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps, whether an end awaits its reset, and the actions if kept."""
        kept = len(self._log) == self.steps
        actions = np.asarray(self._log) if kept else None
        return {"steps": self.steps, "over": self.over, "actions": actions}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next `reset` lead back; without actions it begins another episode."""
        actions = state["actions"]
        self.steps = int(state["steps"])
        if actions is not None:
            self.steps, self._log = 0, []
            self._again, self._was_over = np.asarray(actions), bool(state["over"])


class Pooled:
    """One environment of envpool, as Gymnasium has it; made anew when it is seeded.

    Args:
        env: id.
        options: of the environment.
    """

    def __init__(self, env: str, options: Mapping[str, Any]) -> None:
        self._id, self._options = env, dict(options)
        self._pool = self._new(0)
        self.observation_space = self._pool.observation_space
        self.action_space = self._pool.action_space

    def _new(self, seed: int) -> Any:
        import envpool

        return envpool.make_gymnasium(self._id, num_envs=1, seed=seed, **self._options)

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        if seed is not None:
            self._pool = self._new(seed)
        return self._pool.reset()[0][0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action."""
        obs, reward, over, late, _ = self._pool.step(np.asarray(action)[None])
        return obs[0], reward[0], over[0], late[0], {}

    def close(self) -> None:
        """Close the environment."""
        self._pool.close()


def opened(backend: Backend, env: str, kwargs: Mapping[str, Any], limit: int | None) -> Any:
    """Return a new environment, with Gymnasium's interface.

    Args:
        backend: the library that has it.
        env: its id there.
        kwargs: options of the environment.
        limit: agent steps after which an episode is cut; None for the environment's own number.

    Raises:
        ConfigError: if it cannot be made.
    """
    if backend == "envpool":
        return Pooled(env, kwargs if limit is None else {**kwargs, "max_episode_steps": limit})
    return registered.make(registered.find(env), kwargs, limit)
