"""Cycle, then stop cycling: early-stopped cyclic re-warming (Lyle et al. 2025, Figs. 7 and 10)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.schedules.base import SCHEDULES, Multiplier, Schedule, ScheduleConfig, check_length, join
from suite.schedules.cyclic import cyclic
from suite.schedules.linear import linear


def cyclic_then_anneal(
    period: int,
    stop: int,
    warmup: int = 0,
    floor: float = 0.0,
    final: float | None = None,
    anneal: int = 0,
) -> Schedule:
    """Return cycles until step `stop`, then the constant `final`.

    Args:
        period: gradient steps of one cycle.
        stop: first gradient step that is no longer cyclic.
        warmup: gradient steps of the rise at the head of each cycle.
        floor: multiplier at the end of a cycle.
        final: multiplier after the stop; the floor by default.
        anneal: gradient steps of a linear passage from the multiplier in force just before the
            stop to `final`; 0 jumps. (After whole cycles both are the floor and there is none.)

    >>> s = cyclic_then_anneal(period=10, stop=20, floor=0.5, final=0.1)
    >>> s(10), s(15), s(20), s(10_000)
    (1.0, 0.75, 0.1, 0.1)
    """
    check_length("stop", stop)
    last = floor if final is None else final
    cycles = cyclic(period, None, warmup, floor)
    if anneal <= 0:
        return join([cycles, lambda step: last], [stop])
    return join([cycles, linear(anneal, cycles(stop - 1), last)], [stop])


@SCHEDULES.register("cyclic_then_anneal")
class CyclicThenAnnealConfig(ScheduleConfig):
    """Cycles that end after `cycles` of them or at `stop`, then the constant `final`.

    As a fraction, `anneal` refers to the rest of the run after the cycles.
    """

    kind: Literal["cyclic_then_anneal"] = "cyclic_then_anneal"
    period: Duration
    cycles: Annotated[int, Field(ge=1)] | None = None
    stop: Duration | None = None
    warmup: Duration = Duration(steps=0)
    floor: Multiplier = 0.0
    final: Multiplier | None = None
    anneal: Duration = Duration(steps=0)

    @model_validator(mode="after")
    def _one_stop(self) -> CyclicThenAnnealConfig:
        if (self.cycles is None) == (self.stop is None):
            raise ConfigError(
                "stop", self.stop, "either 'cycles' or 'stop', to say when the cycles end"
            )
        return self

    def build(self, clock: Clock) -> Schedule:
        """Return `cyclic_then_anneal`."""
        period = clock.period(self.period, "period")
        stop = (
            clock.moment(self.stop, "stop")
            if self.stop is not None
            else period * (self.cycles or 1)
        )
        return cyclic_then_anneal(
            period,
            stop,
            clock.steps(self.warmup, "warmup"),
            self.floor,
            self.final,
            clock.after(min(stop, clock.total)).steps(self.anneal, "anneal"),
        )
