"""Records the rows of a run, with their step, frames and seconds."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from suite.rl.lanes import Game
from suite.rows import Row
from suite.training.observer import Value

WINDOW = 20
"""Finished games that the mean return is taken over."""

Sink = Callable[[Sequence[Row]], None]


class Recorder:
    """Makes rows and hands them to a sink, if there is one.

    Args:
        frame_skip: emulator frames per agent step.

    Attributes:
        sink: takes rows, in the order of their steps.
        layer: of the returns, where a run has several environments.
        returns: of the latest games.
        games: number of finished games.
    """

    def __init__(self, frame_skip: int) -> None:
        self.frame_skip = frame_skip
        self.sink: Sink | None = None
        self.layer = ""
        self.returns: deque[float] = deque(maxlen=WINDOW)
        self.games = 0
        self._seconds = 0.0  # of training before this session
        self._since = time.perf_counter()
        self._measured = (0, 0.0)  # agent steps and seconds at the latest measurement

    @property
    def mean_return(self) -> float:
        """Mean return of the latest games; not a number before the first."""
        return sum(self.returns) / len(self.returns) if self.returns else float("nan")

    def now(self) -> float:
        """Return the seconds of training so far, over all sessions."""
        return self._seconds + max(time.perf_counter() - self._since, 0.0)

    def pause(self) -> None:
        """Stop the clock."""
        self._seconds = self.now()
        self._since = math.inf

    def go_on(self) -> None:
        """Let the clock run again."""
        self._since = time.perf_counter()

    def record(self, step: int, agent_steps: int, values: Sequence[Value]) -> None:
        """Hand on one row per value."""
        if self.sink is None or not values:
            return
        frames, now = agent_steps * self.frame_skip, self.now()
        self.sink([Row(step, frames, now, name, layer, value) for name, layer, value in values])

    def enter(self, layer: str) -> None:
        """Continue in another environment: the mean return starts again."""
        self.layer = layer
        self.returns.clear()

    def finished(self, step: int, agent_steps: int, games: Sequence[Game]) -> None:
        """Count games that ended; each is a row."""
        self.returns.extend(game.score for game in games)
        self.games += len(games)
        self.record(step, agent_steps, [("episode_return", self.layer, g.score) for g in games])

    def measured(
        self, step: int, agent_steps: int, paced: tuple[int, int], values: Sequence[Value]
    ) -> None:
        """Pass on the learner's values, with the returns and the pace.

        Args:
            step: gradient steps made.
            agent_steps: decisions taken.
            paced: those of either that the ratio of updates to data is about.
            values: the learner's.
        """
        values = list(values)
        if self.returns:
            values.append(("mean_return_20", self.layer, self.mean_return))
        if paced[0] > 0:
            achieved = paced[0] / max(paced[1], 1)
            values.append(("updates_per_agent_step", "", achieved))
        now = self.now()
        steps, seconds = agent_steps - self._measured[0], now - self._measured[1]
        if steps > 0:
            values.append(("agent_steps_per_s", "", steps / max(seconds, 1e-9)))
        self._measured = (agent_steps, now)
        self.record(step, agent_steps, values)

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""
        return {
            "layer": self.layer,
            "returns": list(self.returns),
            "games": self.games,
            "seconds": self.now(),
            "measured": list(self._measured),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.layer = state["layer"]
        self.returns = deque(state["returns"], maxlen=WINDOW)
        self.games, self._seconds = state["games"], state["seconds"]
        self._measured = (state["measured"][0], state["measured"][1])
        self._since = time.perf_counter()
