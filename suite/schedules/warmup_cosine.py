"""Linear warm-up, then cosine decay: the shape of every cycle in Lyle et al. 2025."""

from __future__ import annotations

import math
from typing import Literal

from suite.clock import Clock, Duration
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig, check_length


def warmup_cosine(
    length: int, warmup: int = 0, floor: float = 0.0, start: float | None = None
) -> Schedule:
    """Return a linear rise from `start` to 1, then half a cosine down to `floor`.

    With w = warmup, L = length::

        m(t) = start + (1 - start) t / w                                  for t < w
             = floor + (1 - floor) (1 + cos(pi (t - w) / (L - w))) / 2    for w <= t < L
             = floor                                                      for t >= L

    Args:
        length: gradient steps from the start to the floor.
        warmup: gradient steps of the rise, less than `length`.
        floor: multiplier at the end of the decay and afterwards.
        start: multiplier at step 0 when there is a warm-up; the floor by default.

    Raises:
        ValueError: if the rise is not shorter than the whole.

    >>> s = warmup_cosine(length=30, warmup=10, floor=0.5)
    >>> s(0), s(5), s(10), s(20), s(30), s(31)
    (0.5, 0.75, 1.0, 0.75, 0.5, 0.5)
    """
    check_length("length", length)
    if not 0 <= warmup < length:
        raise ValueError(f"warmup: got {warmup}; expected 0 <= warmup < length = {length}")
    first = floor if start is None else start

    def schedule(step: int) -> float:
        if step < warmup:
            return first + (1.0 - first) * step / warmup
        if step >= length:
            return floor
        angle = math.pi * (step - warmup) / (length - warmup)
        return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(angle))

    return schedule


@SCHEDULES.register("warmup_cosine")
class WarmupCosineConfig(ScheduleConfig):
    """Linear warm-up to the base rate, cosine decay to `floor`, then constant."""

    kind: Literal["warmup_cosine"] = "warmup_cosine"
    length: Duration = Duration(fraction=1.0)
    warmup: Duration = Duration(steps=0)
    floor: Multiplier = 0.0
    start: Multiplier | None = None

    def build(self, clock: Clock) -> Schedule:
        """Return `warmup_cosine`."""
        return warmup_cosine(
            clock.steps(self.length, "length"),
            clock.steps(self.warmup, "warmup"),
            self.floor,
            self.start,
        )
