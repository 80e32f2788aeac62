"""Cyclic re-warming on a fixed period (Lyle et al. 2025, sections 5 and 6)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from suite.clock import Clock, Duration
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig, check_length
from suite.schedules.warmup_cosine import warmup_cosine


def cyclic(period: int, cycles: int | None = None, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """Return warm-up and cosine decay, repeated every `period` steps.

    Args:
        period: gradient steps of one cycle.
        cycles: number of cycles, after which the floor holds; None repeats for ever.
        warmup: gradient steps of the rise at the head of each cycle.
        floor: multiplier at the end of a cycle.

    >>> s = cyclic(period=10, cycles=2, floor=0.5)
    >>> s(0), s(5), s(10), s(15), s(20)
    (1.0, 0.75, 1.0, 0.75, 0.5)
    """
    cycle = warmup_cosine(check_length("period", period), warmup, floor)
    if cycles is None:
        return lambda step: cycle(step % period)
    check_length("cycles", cycles)
    return lambda step: cycle(step % period) if step < cycles * period else floor


@SCHEDULES.register("cyclic")
class CyclicConfig(ScheduleConfig):
    """Cycles of warm-up and cosine decay; without `period`, `cycles` of them fill the run."""

    kind: Literal["cyclic"] = "cyclic"
    period: Duration | None = None
    cycles: Annotated[int, Field(ge=1)] | None = None
    warmup: Duration = Duration(steps=0)
    floor: Multiplier = 0.0

    def build(self, clock: Clock) -> Schedule:
        """Return `cyclic`."""
        period = clock.period_or_share(self.period, self.cycles or 1)
        return cyclic(period, self.cycles, clock.steps(self.warmup, "warmup"), self.floor)
