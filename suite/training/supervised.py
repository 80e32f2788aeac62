"""The supervised loop.

::

    for step in range(start, total):
        an update (`suite.training.update`) by task.loss(model, task.batch(step))
        every now and then: measure, check the loss, report, checkpoint
"""

from __future__ import annotations

import ctypes
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import SerializeAsAny
from torch import Tensor, nn

from suite.errors import ConfigError, nearest
from suite.interventions.base import Bound
from suite.models.base import build_model
from suite.rows import Event, Row
from suite.run_config import RunConfig
from suite.tasks.base import SupervisedTaskConfig
from suite.training.checkpoint import alone, load_state, save_state
from suite.training.observer import Observer
from suite.training.session import Session
from suite.training.update import Update

CHECK_EVERY = 100
"""Gradient steps between looks at whether the loss is finite and whether a checkpoint is due."""


def pick_device(gpus: float) -> torch.device:
    """Return the GPU if the trial has a share of one and there is one, else the CPU."""
    return torch.device("cuda" if gpus > 0 and torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory for reuse rather than give it back to the system.

    Large activations are allocated and freed on every update; without this each allocation pays
    for fresh pages. A worker trains each of its runs in a new thread, and glibc would have it keep
    as much for each of up to eight threads a core: threads share two arenas, or those that there
    are already (``MALLOC_ARENA_MAX`` bounds them from a process's start). Elsewhere than on glibc
    this does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # another C library, such as musl
        return
    trim_threshold, top_pad, mmap_threshold, arena_max = -1, -2, -3, -8
    libc.mallopt(mmap_threshold, 1 << 30)
    libc.mallopt(trim_threshold, (1 << 31) - 1)
    libc.mallopt(top_pad, 1 << 26)
    libc.mallopt(arena_max, 2)


@contextmanager
def precision(config: RunConfig) -> Iterator[None]:
    """Make the precision of a run's parameters that of new tensors while inside."""
    before = torch.get_default_dtype()
    double = config.precision == "float64"
    torch.set_default_dtype(torch.float64 if double else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class SupervisedRequest(RunConfig):
    """The request for a run of a `SupervisedTaskConfig`; made by `of` alone."""

    task: SerializeAsAny[SupervisedTaskConfig]

    @classmethod
    def of(cls, run: RunConfig) -> SupervisedRequest:
        """Return a run as one of this engine, all its values the same.

        Raises:
            ConfigError: if it is none.
        """
        if isinstance(run, cls):
            return run
        if not isinstance(run.task, SupervisedTaskConfig):
            raise ConfigError("task.kind", run.task.kind, "a supervised task")
        return cls.model_construct(run.model_fields_set, **dict(run))


class SupervisedRun:
    """One supervised run: everything with state, the loop, and how to continue it.

    Args:
        config: the request.
        device: where data and model live.

    Attributes:
        step: gradient steps made.
        losses: of the updates since the last measurement.

    Raises:
        ConfigError: if the parts do not fit together.
    """

    def __init__(self, config: RunConfig, device: torch.device | None = None) -> None:
        request = SupervisedRequest.of(config)
        self.config = config
        self.device = device or pick_device(config.resources.gpus)
        with precision(config):
            self._build(config, request.task)

    def _build(self, config: RunConfig, task: SupervisedTaskConfig) -> None:
        seeds = config.seeds
        self.clock = config.clock()
        self.task = task.build(seeds, self.clock, self.device)
        self._spec = task.drawn_spec(seeds)
        model = build_model(config.model, self._spec, seeds.seed("init"))
        self.model = model.to(self.device)
        bound = Bound.of(self.model, self.clock, self.task.probe, self._fresh, seeds)
        observer = Observer(
            self.model,
            config.metric_names,
            config.metrics,
            self.clock,
            self.task.probe,
            self.task.criterion,
            self.task,
            phase_ends=task.ends_phases,
        )
        own = task.at_phase(bound)
        self.updates = Update(config, bound, observer, own=() if own is None else (own,))
        self.schedule, self.stack = self.updates.schedule, self.updates.stack
        self.optimizer, self.losses = self.updates.optimizer, self.updates.losses
        self.observer = observer
        self._starts = frozenset(self.clock.starts)
        self._met = 0  # measurements in a row that said enough
        self._seconds = 0.0  # of training before this session
        self._since = time.perf_counter()

    @property
    def step(self) -> int:
        """Gradient steps made."""
        return self.updates.step

    @step.setter
    def step(self, value: int) -> None:
        self.updates.step = value

    def _fresh(self, index: int) -> nn.Module:
        """Return a newly initialised network, drawn from the stream ``reset/index``."""
        seed = self.config.seeds.seed(f"reset/{index}")
        return build_model(self.config.model, self._spec, seed)

    def train(self, session: Session) -> None:
        """Train to the end of the budget, from the session's newest checkpoint if it has one.

        Raises:
            DivergedError: if the training loss stops being finite.
        """
        keep_freed_memory()
        with precision(self.config):
            self.begin(session)
            while not self.done:
                self.enter_phase(session)
                loss = self._update()
                self.tell(session, self._events(loss))
                later = self.task.next_step(self.step)
                ends = later != self.step
                if ends or self.observer.due(self.step) or self.step % CHECK_EVERY == 0:
                    self.look(session, later)
        session.progress(self.step, self.clock.total)

    @property
    def done(self) -> bool:
        """Whether the budget is spent, or measurements have said enough."""
        stop = self.config.stop
        return self.step >= self.clock.total or (stop is not None and self._met >= stop.hold)

    def begin(self, session: Session) -> None:
        """Go to the session's newest checkpoint, or measure step 0."""
        if (folder := session.latest()) is not None:
            self.load(folder)
        self._since = time.perf_counter()
        if self.step == 0:
            self.updates.start()
            self._measure(session)

    def enter_phase(self, session: Session) -> None:
        """Say so if a phase of the task begins with the next update."""
        if self.step in self._starts:
            self.task.begin_phase()
            phase = bisect_left(self.clock.starts, self.step)
            session.emit([Row(self.step, 0, self._now(), "phase", "", float(phase))])

    def tell(self, session: Session, events: list[Event]) -> None:
        """Emit the rows of what happened at the update just made."""
        if events:
            now = self._now()
            session.emit([Row(event.step, 0, now, *event[1:]) for event in events])

    def look(self, session: Session, later: int | None = None) -> None:
        """Check the loss; measure, report and save what is due after the update just made.

        Args:
            session: takes rows and checkpoints.
            later: gradient step to go on at, if the task ends a phase here before its time; it is
                measured then.

        Raises:
            DivergedError: if the training loss is not finite.
        """
        step = self.step
        self.losses.check(step)
        if self.observer.due(step) or later not in (None, step):
            self._measure(session)
        self.step = step if later is None else later
        if step % CHECK_EVERY == 0:
            session.progress(self.step, self.clock.total)
            if session.checkpoint_due():
                session.save(self.step, self.save)

    def _update(self) -> Tensor:
        """Make one update; return its task loss, on the device."""
        return self.updates.make(lambda: self.task.loss(self._outputs, self.task.batch(self.step)))

    def _outputs(self, inputs: Tensor) -> Tensor:
        """Return the network's outputs in training; the passes are in the run's precision."""
        half = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            outputs: Tensor = self.model(inputs)
        return outputs.float() if half else outputs

    def _events(self, loss: Tensor) -> list[Event]:
        """Show an adaptive schedule the loss of the update just made; return what happened."""
        return self.updates.events(loss.item)

    def _measure(self, session: Session) -> None:
        """Emit the rows of this step."""
        values = self.updates.measure(self.task.splits(self.step))
        now = self._now()
        session.emit([Row(self.step, 0, now, name, layer, v) for name, layer, v in values])
        self._decide(values)

    def _decide(self, values: list[tuple[str, str, float]]) -> None:
        """Count the measurements in a row that say the run is over.

        Raises:
            ConfigError: if nothing is measured that could say so.
        """
        if (stop := self.config.stop) is None:
            return
        measured = {layer: value for name, layer, value in values if name == stop.metric}
        if measured and stop.layer not in measured:
            wanted = f"a layer of the rows {stop.metric!r}: {nearest(stop.layer, measured)}"
            raise ConfigError("stop.layer", stop.layer, wanted)
        met = stop.layer in measured and stop.met(measured[stop.layer])
        self._met = self._met + 1 if met else 0

    def _now(self) -> float:
        return self._seconds + time.perf_counter() - self._since

    def save(self, folder: Path) -> None:
        """Write everything with state into `folder`."""
        save_state(folder, alone(self.state_dict()))

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote."""
        self.load_state_dict(load_state(folder, self.device))

    def state_dict(self) -> dict[str, Any]:
        """Return everything with state."""
        return {
            **self.updates.state_dict(),
            "seconds": self._now(),
            "model": self.model.state_dict(),
            "task": self.task.state_dict(),
            "met": self._met,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._seconds, self._since = state["seconds"], time.perf_counter()
        self.model.load_state_dict(state["model"])
        self.updates.load_state_dict(state)
        self.task.load_state_dict(state["task"])
        self._met = state["met"]
