"""Base of schedules: pure functions from the gradient step to a multiplier of the base rate.

The rate in force at step t is ``lr * schedule(t)``, set before the update that takes the parameters
from t to t + 1. With norms fixed by Normalize-and-Project it is the schedule of the effective
learning rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny

from suite.clock import Clock
from suite.config import Component, one_of
from suite.errors import ConfigError
from suite.registry import Registry
from suite.rows import Event

Schedule = Callable[[int], float]
"""``schedule(step) -> multiplier``; `step` counts gradient steps from 0."""


class AdaptiveSchedule(ABC):
    """A schedule that depends on the losses so far: it has state and must be shown every loss.

    Trainers call ``schedule(step)``, make the update `step`, then call ``observe(step, [loss])``.
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the multiplier for `step`, given what was observed before."""

    @abstractmethod
    def observe(self, step: int, losses: Sequence[float]) -> list[Event]:
        """Take in the losses of consecutive updates, the last of them made at `step`.

        Returns:
            What the rows should show of it, in the order of the steps.
        """

    def readings(self) -> Mapping[str, float]:
        """Return what the rows of a measurement should show of its state, by name."""
        return {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


class ScheduleConfig(Component):
    """Base of every schedule's config."""

    def build(self, clock: Clock) -> Schedule:
        """Return the schedule, its durations converted to gradient steps by `clock`.

        Raises:
            ConfigError: if the clock lacks a unit, or the lengths contradict one another.
        """
        raise NotImplementedError


def build_part(key: str, part: ScheduleConfig, clock: Clock) -> Schedule:
    """Return the schedule that another one wraps under `key`.

    Raises:
        ConfigError: as `part` does, the key's path beginning with `key`; or if the part is
            adaptive, because it would not see the losses.
    """
    try:
        schedule = part.build(clock)
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.key}", error.value, error.expected) from None
    if isinstance(schedule, AdaptiveSchedule):
        expected = "a schedule that depends only on the step; adaptive ones cannot be nested"
        raise ConfigError(f"{key}.kind", part.kind, expected)
    return schedule


SCHEDULES: Registry[type[ScheduleConfig]] = Registry("schedule", "suite.schedules")

AnySchedule = Annotated[SerializeAsAny[ScheduleConfig], one_of(SCHEDULES, shorthand=True)]
"""A field that holds any registered schedule; a bare name stands for its defaults."""

Multiplier = Annotated[float, Field(ge=0)]
"""A factor on the base rate."""


def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Play `schedules` one after another, each counting steps from its own start.

    Args:
        schedules: n schedules.
        boundaries: the n - 1 first steps of the second to the last, strictly increasing.

    Raises:
        ValueError: if the numbers do not fit, or the boundaries do not increase.

    >>> s = join([lambda t: 1.0, lambda t: 0.1 * t], [3])
    >>> s(2), s(3), s(5)
    (1.0, 0.0, 0.2)
    """
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"boundaries: got {len(boundaries)} for {len(schedules)} schedules; expected one fewer"
        )
    if any(b <= a for a, b in zip([0, *boundaries], boundaries, strict=False)):
        raise ValueError(f"boundaries: got {list(boundaries)}; expected increasing, above 0")
    starts = [0, *boundaries]

    def joined(step: int) -> float:
        index = max(bisect_right(starts, step) - 1, 0)
        return schedules[index](step - starts[index])

    return joined


def check_length(name: str, value: int, least: int = 1) -> int:
    """Return `value` if it is at least `least`.

    Raises:
        ValueError: otherwise, naming the argument.
    """
    if value < least:
        raise ValueError(f"{name}: got {value}; expected a number of steps of at least {least}")
    return value
