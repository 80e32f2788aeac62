"""Cycles with different peaks: re-warming above the first peak (Lyle et al. 2025, Fig. 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from suite.clock import Clock, Duration
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig, check_length
from suite.schedules.warmup_cosine import warmup_cosine


def growing_cycles(
    period: int, peaks: Sequence[float], warmup: int = 0, floor: float = 0.0
) -> Schedule:
    """Return one warm-up and cosine decay per peak, each of `period` steps.

    Within cycle i the multiplier runs between `floor` and ``peaks[i]``; the floor holds after
    the last cycle.

    >>> s = growing_cycles(10, peaks=[1.0, 10.0], floor=0.0)
    >>> s(0), s(5), s(10), s(15), s(20)
    (1.0, 0.5, 10.0, 5.0, 0.0)
    """
    unit = warmup_cosine(check_length("period", period), warmup, 0.0)

    def schedule(step: int) -> float:
        cycle, within = divmod(step, period)
        if cycle >= len(peaks):
            return floor
        return floor + (peaks[cycle] - floor) * unit(within)

    return schedule


@SCHEDULES.register("growing_cycles")
class GrowingCyclesConfig(ScheduleConfig):
    """Cycles with different peaks; without `period` they share the run equally."""

    kind: Literal["growing_cycles"] = "growing_cycles"
    peaks: Annotated[tuple[Multiplier, ...], Field(strict=False, min_length=1)] = (1.0, 10.0)
    period: Duration | None = None
    warmup: Duration = Duration(steps=0)
    floor: Multiplier = 0.0

    def build(self, clock: Clock) -> Schedule:
        """Return `growing_cycles`."""
        period = clock.period_or_share(self.period, len(self.peaks))
        return growing_cycles(period, self.peaks, clock.steps(self.warmup, "warmup"), self.floor)
