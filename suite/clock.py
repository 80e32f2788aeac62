"""Durations and the clock that converts them to gradient steps, the suite's one unit of time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, model_serializer, model_validator

from suite.config import UNITS, Config
from suite.errors import ConfigError

LONGEST = 10**12
"""Largest number of any unit of time, and of gradient steps in a run."""


class Duration(Config):
    """A length of training: a plain integer counts gradient steps, else ``{unit: value}``.

    Units: ``steps`` (gradient steps), ``epochs`` (passes over the data of a phase), ``frames``
    (emulator frames), ``agent_steps`` (decisions of an agent), ``fraction`` (of the span in which
    it begins: of the run; of a phase where it restarts with each phase; of what is left of either
    where it begins later, such as after the warm-up, an offset or the last cycle). A fraction of 1
    thus ends where its span does. As a point in time it is a share of the run's updates.
    """

    steps: Annotated[int, Field(ge=0, le=LONGEST)] | None = None
    epochs: Annotated[float, Field(ge=0, le=LONGEST)] | None = None
    frames: Annotated[int, Field(ge=0, le=LONGEST)] | None = None
    agent_steps: Annotated[int, Field(ge=0, le=LONGEST)] | None = None
    fraction: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_integer(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"steps": value}
        if isinstance(value, Mapping) and len(value) != 1:
            raise ConfigError("", dict(value), f"one unit of time, of {', '.join(UNITS)}")
        if isinstance(value, Mapping) and None in value.values():
            raise ConfigError("", dict(value), "a number of that unit of time")
        if not isinstance(value, Mapping | Duration):
            raise ConfigError(
                "", value, f"a whole number of gradient steps, or one unit of {', '.join(UNITS)}"
            )
        return value

    @model_serializer
    def _spell(self) -> int | dict[str, int | float]:
        unit, value = self.parts()
        return int(value) if unit == "steps" else {unit: value}

    def parts(self) -> tuple[str, int | float]:
        """Return the unit and the value."""  # noqa: DOC501
        for unit in UNITS:
            value = getattr(self, unit)
            if value is not None:
                return unit, value
        raise AssertionError("a duration always has a unit")


@dataclass(frozen=True)
class Clock:
    """What a run's durations are measured against.

    Attributes:
        total: length of the run in gradient steps.
        starts: first gradient step of each phase, beginning with 0.
        steps_per_epoch: gradient steps per pass over the data, per phase; None without epochs.
        agent_steps_per_step: decisions of the agent per gradient step (1 / UTD), exactly; None
            outside RL.
        frames_per_agent_step: emulator frames per decision (the action repeat); None outside RL.
        learning_starts: decisions before the first gradient step; 0 outside RL.
        phase_agent_steps: decisions of the agent in each phase, if phases are given in them.
        waits_again: whether every phase, not only the first, has its own `learning_starts`.
        made: gradient steps of the first phase that were made before this clock begins.
        priming: gradient steps of the first phase that its `learning_starts` decisions call for at
            once, beside those that the ratio calls for later.
    """

    total: int
    starts: tuple[int, ...] = (0,)
    steps_per_epoch: tuple[int, ...] | None = None
    agent_steps_per_step: Fraction | float | None = None
    frames_per_agent_step: int | None = None
    learning_starts: int = 0
    phase_agent_steps: int | None = None
    waits_again: bool = False
    made: int = 0
    priming: int = 0

    def moment(self, duration: Duration, key: str = "") -> int:
        """Return a time counted from the start of the run, in gradient steps.

        Unlike a length, a time in agent steps or frames includes those before learning starts: it
        is the number of updates made by then, ``floor((agent steps - learning_starts) * UTD)`` in a
        phase, and those of a priming from `learning_starts` on. A decision counts only when all its
        frames have been seen.

        Raises:
            ConfigError: if the run does not have that unit of time.
        """
        steps = self.steps(duration, key)
        unit, value = duration.parts()
        if unit not in ("agent_steps", "frames"):
            return steps
        pace = Fraction(self.agent_steps_per_step or 1)
        taken = int(value) // ((self.frames_per_agent_step or 1) if unit == "frames" else 1)
        if self.made:
            taken += self.learning_starts + math.ceil(max(0, self.made - self.priming) * pace)
        index = 0
        if self.phase_agent_steps is not None:
            index = min(taken // self.phase_agent_steps, len(self.starts) - 1)
            taken -= index * self.phase_agent_steps
        learning = taken - self._warm_up(index)
        updates = math.floor(max(0, learning) / pace)
        if index == 0:
            updates += (self.priming if learning >= 0 else 0) - self.made
        return self.starts[index] + updates

    def _warm_up(self, index: int) -> int:
        """Return the agent steps of a phase before its first gradient step."""
        return self.learning_starts if index == 0 or self.waits_again else 0

    def steps(self, duration: Duration, key: str = "") -> int:
        """Return a duration in gradient steps, rounded to the nearest.

        Raises:
            ConfigError: if the run does not have that unit of time.
        """
        unit, value = duration.parts()
        if unit == "steps":
            return int(value)
        if unit == "fraction":
            return round(value * self.total)
        if unit == "epochs" and self.steps_per_epoch is not None:
            return round(value * self.steps_per_epoch[0])
        if self.agent_steps_per_step is not None and self.frames_per_agent_step is not None:
            if unit == "agent_steps":
                return round(value / self.agent_steps_per_step)
            if unit == "frames":
                return round(value / self.frames_per_agent_step / self.agent_steps_per_step)
        raise ConfigError(key, {unit: value}, f"a unit of this task; it has no {unit}")

    def period(self, duration: Duration, key: str = "") -> int:
        """Return a length that is repeated, in gradient steps, at least 1.

        A fraction is rounded up, so that its last repetition ends with the run and no further one
        begins just before.

        Raises:
            ConfigError: if the run does not have that unit of time.
        """
        if duration.fraction is not None:
            return max(1, math.ceil(round(duration.fraction * self.total, 6)))
        return self.steps(duration, key)

    def period_or_share(self, period: Duration | None, cycles: int) -> int:
        """Return a schedule's `period` or, without one, what each of some cycles has of the run.

        Raises:
            ConfigError: if the run does not have the unit of time of `period`.
        """
        return max(1, self.total // cycles) if period is None else self.period(period, "period")

    def phase(self, index: int) -> Clock:
        """Return the clock of one phase alone."""
        ends = (*self.starts[1:], self.total)
        per_epoch = self.steps_per_epoch
        return Clock(
            total=ends[index] - self.starts[index],
            steps_per_epoch=None if per_epoch is None else (per_epoch[index],),
            agent_steps_per_step=self.agent_steps_per_step,
            frames_per_agent_step=self.frames_per_agent_step,
            learning_starts=self._warm_up(index),
            made=self.made if index == 0 else 0,
            priming=self.priming if index == 0 else 0,
        )

    def after(self, offset: int) -> Clock:
        """Return the clock of what is left of the run after `offset` gradient steps.

        It begins with the agent step that calls for the last of them, or with a phase of the run;
        within a priming it begins where acting has paused.
        """
        index = bisect_right(self.starts, offset) - 1
        later = [start - offset for start in self.starts[index + 1 :]]
        per_epoch = self.steps_per_epoch
        return replace(
            self,
            total=self.total - offset,
            starts=(0, *later),
            steps_per_epoch=None if per_epoch is None else per_epoch[index:],
            learning_starts=self._warm_up(index),
            made=offset - self.starts[index] + (self.made if index == 0 else 0),
            priming=self.priming if index == 0 else 0,
        )
