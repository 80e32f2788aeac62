"""The constant schedule: the baseline that every re-warming is compared with."""

from __future__ import annotations

from typing import Literal

from suite.clock import Clock
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig


def constant(value: float = 1.0) -> Schedule:
    """Return ``m(t) = value``.

    >>> constant(0.5)(1_000)
    0.5
    """
    return lambda step: value


@SCHEDULES.register("constant")
class ConstantConfig(ScheduleConfig):
    """The same multiplier at every step."""

    kind: Literal["constant"] = "constant"
    value: Multiplier = 1.0

    def build(self, clock: Clock) -> Schedule:
        """Return `constant`."""
        return constant(self.value)
