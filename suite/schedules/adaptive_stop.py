"""Cycles that stop when they make the loss worse (an open question of Lyle et al. 2025).

Cycling helps early and is unstable on some problems (Figs. 6 and 7). The paper stops it by hand
after a number of cycles (Figs. 7 and 10), and leaves an automatic stop to future work. The rule
here is ours. A change detector on the running loss does not work: at the start of every cycle the
loss rises with the rate, which is not instability. So a cycle is compared with the same part of
earlier cycles, where the rate is high.

With period P, floor f and multiplier m, cycle i is the steps [iP, (i + 1)P) and its high part those
with ``m >= (1 + f) / 2``, from half-way up to half-way down. Over its finite losses::

    level(i)  = mean of log(loss + loss_floor)
    spread(i) = their standard deviation (n - 1 in the denominator; 0 for a single loss)

    best      = the earlier cycle of the lowest level
    cycle i is worse  if  level(i) > level(best) + k * max(spread(best), scale_floor)

When `patience` cycles in a row are worse, ``m = final`` from the end of the last one until the end
of the run. The first cycle is the best so far and never worse, so there are at least
``patience + 1`` cycles. Cycles without a finite loss in their high part are skipped.

Losses of different phases of a task are not comparable. So cycles are compared within a phase, a
cycle in which a phase begins is skipped, and best cycle and count restart with each phase. In
reinforcement learning such changes are not marked, and TD losses grow with the returns: use a large
`k`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from suite.clock import Clock, Duration
from suite.rows import Event
from suite.schedules.base import (
    SCHEDULES,
    AdaptiveSchedule,
    Multiplier,
    ScheduleConfig,
    check_length,
)
from suite.schedules.warmup_cosine import warmup_cosine


def is_worse(
    level: float, best_level: float, best_spread: float, k: float, scale_floor: float
) -> bool:
    """Return whether a cycle's level lies clearly above the best one's.

    Args:
        level: mean log-loss of the cycle's high part.
        best_level: that of the best earlier cycle.
        best_spread: standard deviation of the log-losses there.
        k: allowance, in standard deviations.
        scale_floor: smallest standard deviation believed.

    >>> is_worse(1.0, 0.0, 0.5, k=2.0, scale_floor=0.1), is_worse(1.01, 0.0, 0.5, 2.0, 0.1)
    (False, True)
    """
    return level > best_level + k * max(best_spread, scale_floor)


class AdaptiveStop(AdaptiveSchedule):
    """Cycles until `patience` of them in a row were worse than the best before them.

    It keeps five numbers, however long the run.

    >>> s = AdaptiveStop(period=2, floor=0.5, final=0.1, patience=1)
    >>> [event for t, loss in enumerate([1, 1, 9, 9]) for event in s.observe(t, [loss])]
    [Event(step=4, metric='cycling_stopped', layer='', value=1.0)]
    >>> s(3), s(4)
    (0.75, 0.1)

    Args:
        period: gradient steps of one cycle.
        warmup: gradient steps of the rise at the head of each cycle.
        floor: multiplier at the end of a cycle.
        final: multiplier after the stop; the floor by default.
        k: allowance in standard deviations of the best cycle's log-losses.
        patience: worse cycles in a row that end the cycling.
        scale_floor: smallest standard deviation of the log-loss believed.
        loss_floor: added to the loss before the logarithm.
        starts: first gradient step of each phase of the task, beginning with 0.

    Attributes:
        stopped: first step at `final`; None while cycling.
    """

    def __init__(
        self,
        period: int,
        warmup: int = 0,
        floor: float = 0.0,
        final: float | None = None,
        k: float = 1.0,
        patience: int = 2,
        scale_floor: float = 0.25,
        loss_floor: float = 1e-6,
        starts: Sequence[int] = (0,),
    ) -> None:
        self.period, self.patience = check_length("period", period), patience
        self.cycle = warmup_cosine(period, warmup, floor)
        self.final = floor if final is None else final
        self.k, self.scale_floor, self.loss_floor = k, scale_floor, loss_floor
        self._high = 0.5 * (1.0 + floor) - 1e-9  # with the middle of the decay, however it rounds
        self._starts = list(starts)
        self.stopped: int | None = None
        self._seen: tuple[int, float, float] = (0, 0.0, 0.0)  # count, mean, sum of squares about it
        self._best: tuple[float, float] | None = None  # level and spread
        self._worse = 0

    def __call__(self, step: int) -> float:
        """Return the multiplier for `step`, given the losses so far."""
        if self.stopped is not None and step >= self.stopped:
            return self.final
        return self.cycle(step % self.period)

    def observe(self, step: int, losses: Sequence[float]) -> list[Event]:
        """Show the losses of consecutive updates, the last of them made at `step`.

        Returns:
            One ``cycling_stopped`` when the cycling ends, at the first step at `final`. Losses that
            come late, after steps of the next cycle were made, end it with that cycle.
        """
        for index, loss in enumerate(losses, start=step - len(losses) + 1):
            if self.stopped is not None:
                return []
            within = index % self.period
            if math.isfinite(loss) and self.cycle(within) >= self._high:
                self._add(math.log(max(loss, 0.0) + self.loss_floor))
            if within == self.period - 1 and self._close(index):
                self.stopped = -(-(step + 1) // self.period) * self.period
                return [Event(step + 1, "cycling_stopped")]
        return []

    def _add(self, value: float) -> None:
        """Take a log-loss into the running mean and sum of squares (Welford 1962)."""
        count, mean, squares = self._seen
        change = value - mean
        mean += change / (count + 1)
        self._seen = (count + 1, mean, squares + change * (value - mean))

    def _close(self, last: int) -> bool:
        """Judge the cycle that ended with step `last`; return whether the cycling ends."""
        count, level, squares = self._seen
        self._seen = (0, 0.0, 0.0)
        first = last - self.period + 1
        before, begun, ended = (
            bisect_right(self._starts, t) for t in (max(first - 1, 0), first, last)
        )
        if before != ended:  # a phase began with this cycle or within it
            self._best, self._worse = None, 0
        if begun != ended or count == 0:
            return False
        spread = math.sqrt(squares / (count - 1)) if count > 1 else 0.0
        if self._best is not None and is_worse(level, *self._best, self.k, self.scale_floor):
            self._worse += 1
        else:
            self._worse = 0
        if self._best is None or level < self._best[0]:
            self._best = (level, spread)
        return self._worse >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""
        return {
            "stopped": self.stopped,
            "seen": list(self._seen),
            "best": None if self._best is None else list(self._best),
            "worse": self._worse,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.stopped, self._worse = state["stopped"], state["worse"]
        count, mean, squares = state["seen"]
        self._seen = (count, mean, squares)
        self._best = None if state["best"] is None else (state["best"][0], state["best"][1])


@SCHEDULES.register("adaptive_stop")
class AdaptiveStopConfig(ScheduleConfig):
    """Cycles that stop when they make the loss worse, then the constant `final`."""

    kind: Literal["adaptive_stop"] = "adaptive_stop"
    period: Duration
    warmup: Duration = Duration(steps=0)
    floor: Multiplier = 0.0
    final: Multiplier | None = None
    k: Annotated[float, Field(ge=0)] = 1.0
    patience: Annotated[int, Field(ge=1)] = 2
    scale_floor: Annotated[float, Field(gt=0)] = 0.25
    loss_floor: Annotated[float, Field(gt=0)] = 1e-6

    def build(self, clock: Clock) -> AdaptiveStop:
        """Return an `AdaptiveStop`."""
        return AdaptiveStop(
            clock.period(self.period, "period"),
            clock.steps(self.warmup, "warmup"),
            self.floor,
            self.final,
            self.k,
            self.patience,
            self.scale_floor,
            self.loss_floor,
            clock.starts,
        )
