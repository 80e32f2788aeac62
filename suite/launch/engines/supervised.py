"""The engine of supervised runs, alone or several side by side."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Literal

from suite.data.kept import is_near
from suite.launch.calibrate import LONG_S, MOST, WARM_UP, Cost, seconds_each
from suite.launch.engines.arithmetic import UPDATE_OVERHEAD_S, forward_cost, seconds_of
from suite.launch.engines.base import Engine, Outcome, outcome
from suite.run_config import RunConfig
from suite.training.batched import BatchedRun, batch_key, join, parted_by
from suite.training.observer import measuring_steps
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRequest, SupervisedRun, precision

SMALL = 3e8
"""Most operations in an update of a small network, some milliseconds."""


def _updates(runs: Sequence[SupervisedRun]) -> Callable[[], None]:
    """Return a call that makes an update of runs side by side, within the first phase."""
    joint, clock = join(runs), runs[0].clock
    stop = min((*clock.starts[1:], clock.total)[0], WARM_UP + MOST)
    place = itertools.cycle(range(stop))

    def update() -> None:
        step = next(place)
        if step == 0:
            joint.plan(0, stop)
        joint.update()
        for run in runs:
            run.step = step + 1

    return update


class SupervisedEngine(Engine[SupervisedRequest]):
    """Gradient descent on a task with data."""

    x: ClassVar[Literal["steps", "frames"]] = "steps"

    def of(self, config: RunConfig) -> SupervisedRequest:
        """Return the run with the type of its task."""
        return SupervisedRequest.of(config)

    def train(self, runs: Sequence[RunConfig], sessions: Sequence[Any]) -> list[Outcome]:
        """Train one run, or several of equal shape at once."""
        if len(runs) > 1:
            batched = BatchedRun(runs)
            for supervised, session in zip(batched.runs, sessions, strict=True):
                session.note("data", supervised.task.source)
                session.note("side_by_side", len(runs))
            ended = batched.train(sessions)
            return [outcome(error) for error in ended]
        (run,), (session,) = runs, sessions
        supervised = SupervisedRun(run)
        session.note("data", supervised.task.source)
        supervised.train(session)
        return [("complete", "")]

    def batch_key(self, config: RunConfig) -> Hashable | None:
        """Return what runs must share to be trained at once, as `suite.training.batched` says."""
        return batch_key(config)

    def parted_by(self, config: RunConfig) -> list[str]:
        """Return the parts of plugins without which a run could be trained at once with others."""
        return parted_by(config)

    def _measured(self, group: Sequence[SupervisedRequest]) -> Cost:
        """Build the runs of a trial and let them go a little way."""
        with precision(group[0]):
            session, began = MemorySession(), time.perf_counter()
            runs = BatchedRun(group).runs if len(group) > 1 else [SupervisedRun(group[0])]
            built = time.perf_counter() - began
            first, *others = runs
            began = time.perf_counter()
            first.begin(session)
            looked = time.perf_counter() - began
            for run in others if looked < LONG_S else ():  # each may have a problem to solve
                run.begin(session)
            setup = built + looked * len(runs)
            if others:
                seconds = seconds_each(_updates(runs))
            else:
                seconds = seconds_each(lambda: first._events(first._update()))
            looking = seconds_each(lambda: first._measure(session), warm_up=0)
            return Cost(setup / len(runs), seconds / len(runs), looking)

    def arithmetic_cost(self, config: RunConfig, at_once: int = 1) -> Cost:
        """Count forward and backward of a batch."""
        work = seconds_of(self._operations(config))
        return Cost(0.0, UPDATE_OVERHEAD_S / at_once + work, 0.0)

    def _operations(self, config: RunConfig) -> float:
        """Return the operations of an update of the first phase."""
        run = self.of(config)
        batch = run.task.examples(run.clock())[0]
        return 3 * forward_cost(run.model, run.model_spec(), batch)[0]

    def run_seconds(self, config: RunConfig, cost: Cost) -> float:
        """Return setup, measurements, and the updates of every phase (batches may differ)."""
        run, clock = self.of(config), config.clock()
        seconds = cost.setup + cost.measure * len(measuring_steps(run.metrics, clock))
        spec = run.model_spec()
        batches = run.task.examples(clock)
        work = {n: seconds_of(3 * forward_cost(run.model, spec, n)[0]) for n in set(batches)}
        updates: Counter[int] = Counter()
        ends = (*clock.starts[1:], clock.total)
        for start, end, batch in zip(clock.starts, ends, batches, strict=True):
            updates[batch] += end - start
        return seconds + sum(
            count * (cost.update + work[batch] - work[batches[0]])
            for batch, count in updates.items()
        )

    def at_hand(self, config: RunConfig) -> bool:
        """Return whether the data are generated, come with the suite, or are read in a moment.

        Of other sets only small networks are measured, so that a look at a large set is short.
        """
        dataset = getattr(config.task, "dataset", "digits")
        if dataset == "digits":
            return True
        if not (isinstance(dataset, str) and is_near(dataset)):
            return False
        return self._operations(config) <= SMALL
