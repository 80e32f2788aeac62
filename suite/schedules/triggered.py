"""Adaptive re-warming: a change detector restarts a schedule (Lyle et al. 2025, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from suite.clock import Clock
from suite.rows import Event
from suite.schedules.base import (
    SCHEDULES,
    AdaptiveSchedule,
    AnySchedule,
    Schedule,
    ScheduleConfig,
    build_part,
)
from suite.schedules.trigger import AnyTrigger, Readable, Trigger
from suite.schedules.warmup_cosine import WarmupCosineConfig


class Triggered(AdaptiveSchedule):
    """A schedule counted from the last alarm of a trigger.

    The first update after an alarm runs at ``then(0)``. Adam's moments are kept: only the rate
    restarts.

    Args:
        trigger: the change detector.
        then: the schedule that each alarm restarts.
        limit: largest number of alarms obeyed; None for no limit.
    """

    def __init__(self, trigger: Trigger, then: Schedule, limit: int | None = None) -> None:
        self.trigger, self.then, self.limit = trigger, then, limit
        self.restart = 0
        self.alarms: list[int] = []

    def __call__(self, step: int) -> float:
        """Return the multiplier for `step`, given the alarms so far."""
        return self.then(step - self.restart)

    def observe(self, step: int, losses: Sequence[float]) -> list[Event]:
        """Show the losses of consecutive updates, the last of them made at `step`.

        Returns:
            One ``alarm`` per step at which the trigger alarmed and was obeyed.
        """
        alarms = []
        for index, loss in enumerate(losses, start=step - len(losses) + 1):
            exhausted = self.limit is not None and len(self.alarms) >= self.limit
            if self.trigger.observe(loss) and not exhausted:
                alarms.append(index)
                self.alarms.append(index)
        if alarms:
            self.restart = step + 1
        return [Event(index, "alarm") for index in alarms]

    def readings(self) -> Mapping[str, float]:
        """Return what the trigger says of itself."""
        return self.trigger.readings() if isinstance(self.trigger, Readable) else {}

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""
        return {
            "restart": self.restart,
            "alarms": list(self.alarms),
            "trigger": self.trigger.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.restart, self.alarms = state["restart"], list(state["alarms"])
        self.trigger.load_state_dict(state["trigger"])


@SCHEDULES.register("triggered")
class TriggeredConfig(ScheduleConfig):
    """Restarts the schedule `then` at each alarm of `trigger`, a change detector on the loss.

    Fractions inside `then` refer to the run, with `per_phase` to the first phase. A re-warm at the
    start of an equally long second phase then ends with that phase.
    """

    kind: Literal["triggered"] = "triggered"
    trigger: AnyTrigger
    then: AnySchedule = WarmupCosineConfig()
    per_phase: bool = False
    limit: Annotated[int, Field(ge=1)] | None = None

    def build(self, clock: Clock) -> Schedule:
        """Return a `Triggered`."""
        then = build_part("then", self.then, clock.phase(0) if self.per_phase else clock)
        return Triggered(self.trigger.build(), then, self.limit)
