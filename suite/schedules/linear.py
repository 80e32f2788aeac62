"""Linear change, then constant: the explicit decay of Lyle et al. 2024 (experiments N5 to N7)."""

from __future__ import annotations

from typing import Literal

from suite.clock import Clock, Duration
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig, check_length


def linear(length: int, start: float = 1.0, end: float = 0.0) -> Schedule:
    """Return ``m(t) = start + (end - start) * min(t / length, 1)``.

    Args:
        length: gradient steps until `end` is reached; `end` holds from there on.
        start: multiplier at step 0.
        end: multiplier from step `length`.

    >>> s = linear(10, 1.0, 0.0)
    >>> s(0), s(5), s(10), s(11)
    (1.0, 0.5, 0.0, 0.0)
    """
    check_length("length", length)
    return lambda step: start + (end - start) * min(step / length, 1.0)


@SCHEDULES.register("linear")
class LinearConfig(ScheduleConfig):
    """Linear from `start` to `end` over `length`, then constant."""

    kind: Literal["linear"] = "linear"
    length: Duration = Duration(fraction=1.0)
    start: Multiplier = 1.0
    end: Multiplier = 0.0

    def build(self, clock: Clock) -> Schedule:
        """Return `linear`."""
        return linear(clock.steps(self.length, "length"), self.start, self.end)
