"""A low rate for an offset, then any schedule: grokking on demand (Lyle et al. 2025, Fig. 3)."""

from __future__ import annotations

from typing import Literal

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.schedules.base import (
    SCHEDULES,
    AnySchedule,
    Multiplier,
    Schedule,
    ScheduleConfig,
    build_part,
    join,
)
from suite.schedules.constant import ConstantConfig, constant


def delayed(offset: int, low: float, then: Schedule) -> Schedule:
    """Return the constant `low` for `offset` gradient steps, then `then`, counted from there.

    >>> s = delayed(100, 0.01, constant())
    >>> s(99), s(100)
    (0.01, 1.0)
    """
    return join([constant(low), then], [offset]) if offset > 0 else then


@SCHEDULES.register("delayed")
class DelayedConfig(ScheduleConfig):
    """A low rate until `offset`, then another schedule over the rest of the run."""

    kind: Literal["delayed"] = "delayed"
    offset: Duration
    low: Multiplier
    then: AnySchedule = ConstantConfig()

    def build(self, clock: Clock) -> Schedule:
        """Return `delayed`; fractions inside `then` are of what is left after the offset.

        Raises:
            ConfigError: if nothing is left after the offset.
        """
        offset = clock.moment(self.offset, "offset")
        if offset >= clock.total:
            given = self.offset.model_dump()
            raise ConfigError("offset", given, f"less than the run's {clock.total} gradient steps")
        return delayed(offset, self.low, build_part("then", self.then, clock.after(offset)))
