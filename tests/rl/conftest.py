"""An environment of the tests' own, registered with Gymnasium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest


class Counting(gymnasium.Env[Any, Any]):
    """Shows its seeded start and the steps so far; is over after `over` steps, cut after `cut`.

    Args:
        over: steps of an episode.
        cut: steps after which it says itself that it is cut; 0 for never.
        fault: "raise", "shape" or "die", after 5 steps in all.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(3, start=5)

    def __init__(self, over: int = 4, cut: int = 0, fault: str = "") -> None:
        self.over, self.cut, self.fault, self.steps = over, cut, fault, 0

    def _seen(self) -> Any:
        size = 3 if self.fault == "shape" and self.steps > 5 else 2
        return np.array([self.first, self.done, 0.0][:size])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.first, self.done = float(self.np_random.random()), 0
        return self._seen(), {"lives": 3}

    def step(self, action: Any) -> Any:
        assert action in (5, 6, 7)
        self.steps, self.done = self.steps + 1, self.done + 1
        if self.fault == "raise" and self.steps > 5:
            raise ZeroDivisionError("the motor is stuck")
        if self.fault == "die" and self.steps > 5:
            import os

            os._exit(3)
        over, cut = self.done == self.over, self.done == self.cut
        return self._seen(), float(action), over, cut, {"lives": 2}


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    made_by: Any = Counting
    gymnasium.register("Counting-v0", made_by, max_episode_steps=6)
    yield
    del gymnasium.registry["Counting-v0"]
