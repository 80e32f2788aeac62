"""A schedule that restarts when the task changes: re-warming at a known boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from suite.clock import Clock
from suite.schedules.base import (
    SCHEDULES,
    AnySchedule,
    Schedule,
    ScheduleConfig,
    build_part,
    join,
)
from suite.schedules.warmup_cosine import WarmupCosineConfig


def task_aligned(starts: Sequence[int], schedules: Sequence[Schedule]) -> Schedule:
    """Return ``schedules[i]``, counted from ``starts[i]``, during phase i.

    Args:
        starts: first gradient step of each phase, beginning with 0.
        schedules: one per phase.

    >>> s = task_aligned([0, 5], [lambda t: 1 / (1 + t)] * 2)
    >>> s(0), s(4), s(5)
    (1.0, 0.2, 1.0)
    """
    return join(list(schedules), list(starts[1:]))


@SCHEDULES.register("task_aligned")
class TaskAlignedConfig(ScheduleConfig):
    """Restarts the schedule `then` at each phase of the task; its fractions refer to the phase."""

    kind: Literal["task_aligned"] = "task_aligned"
    then: AnySchedule = WarmupCosineConfig()

    def build(self, clock: Clock) -> Schedule:
        """Return `task_aligned`."""
        parts = [build_part("then", self.then, clock.phase(i)) for i in range(len(clock.starts))]
        return task_aligned(clock.starts, parts)
