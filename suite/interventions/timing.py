"""Timing of interventions that change the network at intervals rather than at every update.

They act after an update when the number `done` of updates made is a multiple of `every`, and before
the first update of a phase of the task, within ``start <= done < stop``; projection follows. They
never act after the last update. Measurements and evaluations at the end of a phase see the network
before the intervention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import model_validator

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.interventions.base import Bound, Intervention, InterventionConfig, Slot
from suite.rows import Event


@dataclass(frozen=True)
class Timing:
    """The updates after which, and the phases before which, something is done.

    >>> timing = Timing(every=10, phases=frozenset({20, 25}), start=10, stop=40)
    >>> [done for done in range(50) if timing.due(done)]
    [10, 30]
    >>> [done for done in range(50) if timing.begins(done)]
    [20, 25]

    Attributes:
        every: gradient steps; None for phases alone.
        phases: first gradient steps of phases.
        start: fewest updates made.
        stop: number of updates from which on nothing is done.
    """

    every: int | None
    phases: frozenset[int]
    start: int
    stop: int

    def due(self, done: int) -> bool:
        """Return whether to act after `done` updates, unless a phase begins then."""
        if self.every is None or done % self.every or done in self.phases:
            return False
        return self.start <= done < self.stop

    def begins(self, done: int) -> bool:
        """Return whether to act before the first update of the phase that begins after `done`."""
        return done in self.phases and self.start <= done < self.stop

    def ever(self) -> bool:
        """Return whether there is a moment to act at."""
        times = set(self.phases)
        if self.every is not None:
            times.add(-(-max(self.start, 1) // self.every) * self.every)
        return any(self.due(done) or self.begins(done) for done in times)


class TimedConfig(InterventionConfig):
    """Base of the configs of interventions that act now and then.

    Attributes:
        every: act after every multiple of this many updates, counted from the start of the run.
        at_phases: act where a phase of the task after the first begins.
        start: fewest updates made before it acts.
        stop: number of updates from which on it does not; the end of the run by default.
    """

    every: Duration | None = None
    at_phases: bool = False
    start: Duration = Duration(steps=0)
    stop: Duration | None = None

    @model_validator(mode="after")
    def _some_time(self) -> TimedConfig:
        if self.every is None and not self.at_phases:
            raise ConfigError("every", None, "a length, or at_phases: true, to say when it acts")
        return self

    def timing(self, clock: Clock) -> Timing:
        """Return when it acts in a run.

        Raises:
            ConfigError: if the run lacks a unit of time, has no phases to act at, or is over before
                the first time.
        """
        key = f"interventions.{self.kind}"
        every = None if self.every is None else clock.period(self.every, f"{key}.every")
        if every == 0:
            raise ConfigError(f"{key}.every", self.every_as_given, "at least one gradient step")
        phases = frozenset(clock.starts[1:]) if self.at_phases else frozenset()
        if self.at_phases and not phases:
            raise ConfigError(f"{key}.at_phases", True, "a task with more than one phase")
        start = clock.moment(self.start, f"{key}.start")
        stop = clock.total
        if self.stop is not None:
            stop = min(stop, clock.moment(self.stop, f"{key}.stop"))
        timing = Timing(every, phases, start, stop)
        if not timing.ever():
            expected = f"a time to act between start = {start} and stop = {stop} gradient steps"
            raise ConfigError(f"{key}.every", self.every_as_given, expected)
        return timing

    @property
    def every_as_given(self) -> object:
        """`every` as the config spells it."""
        return None if self.every is None else self.every.model_dump()


class Timed(Intervention):
    """Base of the interventions that act now and then; `act` does it.

    Args:
        config: when to act.
        bound: what to act on.
    """

    slot = Slot.RESET

    def __init__(self, config: TimedConfig, bound: Bound) -> None:
        self.bound = bound
        self.timing = config.timing(bound.clock)
        self._optimizer: torch.optim.Optimizer | None = None
        self._events: list[Event] = []

    def act(self, done: int) -> bool:
        """Act after `done` updates; return whether copies of the network have to be made again."""
        raise NotImplementedError

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer.

        Raises:
            RuntimeError: if it was not attached.
        """
        if self._optimizer is None:
            raise RuntimeError("attach(optimizer) has to be called before the first update")
        return self._optimizer

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer."""
        self._optimizer = optimizer

    def begin_phase(self, step: int) -> bool:
        """Act if it is to where phases begin."""
        return self.timing.begins(step) and self._act(step)

    def after_step(self, step: int, lr: float) -> bool:
        """Act if it is time."""
        return self.timing.due(step + 1) and self._act(step + 1)

    @torch.no_grad()
    def _act(self, done: int) -> bool:
        return self.act(done)

    def happened(self, done: int, metric: str, layer: str = "", value: float = 1.0) -> None:
        """Note something for the rows."""
        self._events.append(Event(done, metric, layer, value))

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events
