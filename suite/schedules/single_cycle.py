"""One cycle over the whole run, ignoring phases: a control arm of Lyle et al. 2025, Fig. 5."""

from __future__ import annotations

from typing import Literal

from suite.clock import Clock, Duration
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig
from suite.schedules.warmup_cosine import warmup_cosine


def single_cycle(total: int, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """Return one warm-up and cosine decay that spans all `total` gradient steps.

    >>> s = single_cycle(total=20, warmup=10)
    >>> s(0), s(10), s(20)
    (0.0, 1.0, 0.0)
    """
    return warmup_cosine(total, warmup, floor)


@SCHEDULES.register("single_cycle")
class SingleCycleConfig(ScheduleConfig):
    """One warm-up and cosine decay over the whole run."""

    kind: Literal["single_cycle"] = "single_cycle"
    warmup: Duration = Duration(steps=0)
    floor: Multiplier = 0.0

    def build(self, clock: Clock) -> Schedule:
        """Return `single_cycle`."""
        return single_cycle(clock.total, clock.steps(self.warmup, "warmup"), self.floor)
