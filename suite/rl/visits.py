"""The visits of a run to its environments in sequence: the current one, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suite.rl.lanes import Game
from suite.tasks.rl import RLTaskConfig
from suite.training.observer import Value


class Visits:
    """Counts visits and the returns in them; a run of one environment is a single visit.

    Args:
        task: of the run.

    Attributes:
        index: the visit that is on, -1 before the first.
        over: whether it has ended and another one is to begin.
    """

    def __init__(self, task: RLTaskConfig) -> None:
        self.task = task
        self.index, self.over = -1, True
        self._count, self._sum = 0, 0.0  # of the visit's finished games
        self._evaluated: list[float] = []  # mean return of each evaluation
        self._latest: dict[str, float] = {}  # mean return of the latest visit

    @property
    def layer(self) -> str:
        """Layer of the visit's returns in the rows."""
        return self.task.layer(max(self.index, 0))

    @property
    def end(self) -> int:
        """Agent steps of the run after which the visit is over."""
        return self.task.visit_end(self.index)

    def begin(self) -> None:
        """Begin the next visit."""
        self.index += 1
        self.over = False
        self._count, self._sum, self._evaluated = 0, 0.0, []

    def finished(self, games: Sequence[Game]) -> None:
        """Count games of training that ended."""
        self._count += len(games)
        self._sum += sum(game.score for game in games)

    def evaluated(self, mean: float) -> None:
        """Take the mean return of an evaluation; the task says what they come to."""
        self._evaluated.append(mean)

    def close(self) -> list[Value]:
        """End the visit and return what it came to: not a number if no game was finished."""
        self.over = True
        self._latest.pop(self.layer, None)
        if self._evaluated:
            self._latest[self.layer] = self.task.visit_evaluated(self._evaluated)
        elif self._count:
            self._latest[self.layer] = self._sum / self._count
        return self.task.visit_values(self.index, self._latest)

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""
        return {
            "index": self.index,
            "over": self.over,
            "count": self._count,
            "sum": self._sum,
            "evaluated": list(self._evaluated),
            "latest": dict(self._latest),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.index, self.over = state["index"], state["over"]
        self._count, self._sum = state["count"], state["sum"]
        evaluated = state["evaluated"]  # up to version 0.2 the last one alone, or none
        self._evaluated = [evaluated] if isinstance(evaluated, float) else list(evaluated or ())
        self._latest = dict(state["latest"])
