"""Rows to MLflow: one parent run per sweep, one child per run, metrics in batches.

Everything goes through the driver, so workers need no credentials. A separate thread sends batches
at fixed times. The x axis is the gradient step, or the frame for reinforcement learning.

Data sent while a run goes on are a preview: the store may be unreachable, and a run may repeat
steps from a checkpoint. The rows in the run's folder are authoritative. So after a run has ended,
its record is synchronised with them: unless every row was sent in order, MLflow is asked what it
has, and gets the missing rows. Failed calls are tried again when the store answers, when the sweep
ends, and when the sweep is run again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from suite.launch.engines import engine_of
from suite.launch.mlflow_address import check_store, default_uri, is_temporary, probe, refusal, said
from suite.launch.mlflow_rows import (
    MAX_KEYS,
    Chooser,
    LiveRow,
    Point,
    differences,
    digest_of,
    read_rows,
)
from suite.launch.mlflow_store import Child, Store
from suite.records import layout
from suite.records.storage import Storage
from suite.sweeps.sweep import Sweep

__all__ = ["MAX_KEYS", "MlflowSink", "check_store", "default_uri"]

FLUSH_EVERY_S = 3.0
PATIENCE_S = 30.0
"""Seconds without an answer after which a sweep that is done waits for the store no longer."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 8.0)
"""Seconds between attempts when a sweep is done; after one more it gives up."""

LONGEST_PAUSE_S = 30.0
"""Seconds for which a store that is away is left alone while a sweep goes on, at most."""

MAX_HELD = 100_000
"""Rows that wait for a slow store; more are not held but read again from the run's folder."""

MAX_ERRORS = 20
"""Different errors that are kept."""


@dataclass
class _Sent:
    """What this driver sent of a run while it went on.

    Attributes:
        sure: whether that was all there was, in order.
        count: number of points.
        step: latest gradient step among them.
        repeats: gradient step up to which rows that come now are known.
    """

    chooser: Chooser
    sure: bool
    count: int = 0
    step: int = -1
    repeats: int = -1


class _AbandonedError(BaseException):
    """Ends a thread that is no longer waited for."""


class _End(NamedTuple):
    """How a run ended, and its score if that is known."""

    state: str
    reason: str
    score: float | None


class MlflowSink:
    """Logs a sweep to MLflow.

    Args:
        uri: tracking address.
        storage: the results folder, which also holds the artifacts of a local store.
        sweep: what is run.
        command: what the user typed, without secrets.

    Attributes:
        errors: what went wrong, without repetitions.
        behind: ids of the runs of which MLflow lacks something.

    Raises:
        ConfigError: if the store answers but cannot be used.
    """

    def __init__(self, uri: str, storage: Storage, sweep: Sweep, command: str) -> None:
        self.uri = uri
        self.errors: list[str] = []
        self.behind: set[str] = set()
        self._storage = storage
        self._finished = False
        self._sent: dict[str, _Sent] = {}
        self._ends: dict[str, _End] = {}
        self._survive: dict[str, int] = {}  # gradient step up to which rows will stay
        self._lost: set[str] = set()  # runs of which rows could not be sent
        self._refused: dict[str, int] = {}  # how often the store answered and would not have a run
        self._queue: list[tuple[str, list[LiveRow] | None]] = []
        self._held = 0
        self._lock = threading.Lock()
        self._stop, self._gone = threading.Event(), threading.Event()
        self._pause, self._resume_at = 0.0, 0.0
        self._tired = False  # a call has failed for as long as patience lasts: no more pauses
        self._answered = time.monotonic()
        try:
            if uri == default_uri(storage):
                probe(uri)
            self._store = Store(uri, storage, sweep, command, self._pulse)
            self._store.attach()
        except Exception as error:
            if uri.startswith("sqlite") or not is_temporary(error):
                raise refusal(storage, uri, error) from None
            self._failed(error)
        self._thread = self._started_thread(self._work)

    @property
    def parent(self) -> str:
        """Return MLflow's id of the parent run, "" before there is one."""
        return self._store.parent

    @property
    def level(self) -> bool:
        """Return whether MLflow has all rows, all ends and the report."""
        return self._finished and not self.behind

    @property
    def _client(self) -> Any:
        return self._store.client

    @property
    def _experiment(self) -> str:
        return self._store.experiment

    def start(self, run_id: str) -> None:
        """Queue the start of a run, perhaps from a checkpoint: it may repeat itself from now on."""
        with self._lock:
            self._queue.append((run_id, None))

    def log(self, run_id: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Queue rows of a run."""
        batch = [LiveRow(*row) for row in rows]
        with self._lock:
            if self._held + len(batch) > MAX_HELD:
                self._missed(run_id)
            elif batch:
                self._held += len(batch)
                self._queue.append((run_id, batch))

    def end(self, run_id: str, state: str, reason: str, primary: float | None) -> None:
        """Queue the end of a run: it is brought level with the rows in its folder."""
        with self._lock:
            self._ends[run_id] = _End(state, reason, primary)
            self.behind.add(run_id)

    def catch_up(self, run_id: str, step: int) -> None:
        """Queue a run that will go on from a gradient step: what it has up to there is sent."""
        self._survive[run_id] = step
        self.behind.add(run_id)

    def ended(self, run_id: str, state: str) -> bool:
        """Return whether MLflow has all rows in the folder of a run, and that it ended so."""
        child = self._store.children.get(run_id)
        if child is None or child.state != state:
            return False
        return child.level == digest_of(self._rows(run_id))

    def forget(self, run_id: str) -> None:
        """Delete MLflow's data on a run that starts again."""
        if self._away():  # what it has will be found not to be the run's rows
            self._store.doubt(run_id)
            return
        try:
            self._store.delete(run_id)
        except Exception as error:
            self._failed(error)
            self._store.doubt(run_id)

    def close(self) -> None:
        """Bring MLflow level with the rows, and stop the thread; a dead store is not waited for."""
        self._answered = time.monotonic()
        self._stop.set()
        self._wait(self._thread)

    def finish(self, report: Path, summary: dict[str, Any], failed: bool) -> None:
        """Attach the report and the table's numbers to the parent run. Call after `close`."""

        def work() -> None:
            self._finished = self._persist(
                lambda: self._store.finish(report, summary, failed)
            ) and self._persist(self._store.drop_doubles)

        if not self._gone.is_set():
            self._answered = time.monotonic()
            self._wait(self._started_thread(work))

    def _started_thread(self, work: Callable[[], None]) -> threading.Thread:
        """Return a thread that works until it is abandoned."""

        def guarded() -> None:
            with suppress(_AbandonedError):
                work()

        thread = threading.Thread(target=guarded, name="mlflow", daemon=True)
        thread.start()
        return thread

    def _wait(self, thread: threading.Thread) -> None:
        """Wait for a thread as long as the store answers now and then."""
        while thread.is_alive():
            thread.join(0.1)
            if thread.is_alive() and time.monotonic() - self._answered > PATIENCE_S:
                self._gone.set()
                self._note(f"the store gave no answer for {PATIENCE_S:.0f} s")
                return

    def _pulse(self) -> None:
        """Note that the store has answered; end a thread that is no longer waited for.

        Raises:
            _AbandonedError: in such a thread.
        """
        self._answered = time.monotonic()
        if self._gone.is_set():
            raise _AbandonedError

    def _rows(self, run_id: str) -> Path:
        return self._storage.root / layout.RUNS / run_id / layout.ROWS

    def _missed(self, run_id: str) -> None:
        """Note that MLflow does not get everything of a run as it comes."""
        self.behind.add(run_id)
        self._lost.add(run_id)
        if run_id in self._sent:
            self._sent[run_id].sure = False

    def _note(self, error: str) -> None:
        if error not in self.errors and len(self.errors) < MAX_ERRORS:
            self.errors.append(error)

    def _failed(self, error: Exception, run_id: str | None = None) -> None:
        """Keep an error, and leave a store that is away alone for a while."""
        place = re.sub(r" at 0x[0-9a-f]+", "", said(error))  # differs each time
        self._note(f"{type(error).__name__}: {place}")
        if run_id is not None:
            self._missed(run_id)
            self._store.doubt(run_id)
        if is_temporary(error):
            self._pause = min(max(2 * self._pause, FLUSH_EVERY_S), LONGEST_PAUSE_S)
            self._resume_at = time.monotonic() + self._pause
        elif run_id is not None:
            self._refused[run_id] = self._refused.get(run_id, 0) + 1

    def _away(self) -> bool:
        return time.monotonic() < self._resume_at

    def _work(self) -> None:
        """Write the queue every few seconds; at the end, everything that MLflow lacks."""
        while not self._stop.wait(FLUSH_EVERY_S):
            self._flush()
            for run_id in sorted(self.behind):
                local = not self._storage.remote or run_id in self._ends
                if local and self._refused.get(run_id, 0) < 2 and not self._away():
                    self._try(partial(self._settle, run_id), run_id)
        self._flush()
        self.behind |= set(self._sent)  # interrupted: their last rows may not have been reported
        for run_id in sorted(self.behind):
            if not self._gone.is_set():
                self._persist(partial(self._settle, run_id), run_id)

    def _flush(self) -> None:
        """Write what is queued; what cannot be written is read again from the run's folder."""
        with self._lock:
            queue, self._queue, self._held = self._queue, [], 0
        for run_id, rows in queue:
            if rows is None:
                self._started(run_id)
            elif self._away():
                self._missed(run_id)
            else:
                self._try(partial(self._write, run_id, rows), run_id)

    def _try(self, call: Callable[[], None], run_id: str | None = None) -> Exception | None:
        """Call, and keep the error if there is one: a store that is down must not end the sweep."""
        try:
            if not self._store.parent:
                self._store.attach()
            call()
        except Exception as error:
            self._failed(error, run_id)
            return error
        self._pause = 0.0
        return None

    def _persist(self, call: Callable[[], None], run_id: str | None = None) -> bool:
        """Call until it works or there is no hope; return whether it worked.

        If a store fails on one run but answers otherwise, every other run is still tried once.
        """
        since = time.monotonic()
        refused = False
        for pause in (0.0,) if self._tired else (*PAUSES_S, 0.0):
            error = self._try(call, run_id)
            if error is None:
                return True
            if not is_temporary(error):
                if refused:
                    return False
                refused = True
            if time.monotonic() - since > PATIENCE_S or self._gone.wait(pause):
                break
        self._tired = True
        if not (self._gone.is_set() or self._answers()):
            self._gone.set()
        return False

    def _answers(self) -> bool:
        """Return whether the store answers a plain question: then it fails over one run alone."""
        try:
            probe(self.uri)
        except Exception:
            return False
        self._answered = time.monotonic()
        return True

    def _started(self, run_id: str) -> None:
        sent = self._sent.get(run_id)
        if sent is not None and sent.count:
            sent.repeats, sent.sure = sent.step, False

    def _write(self, run_id: str, rows: list[LiveRow]) -> None:
        """Send rows of a run that goes on."""
        child = self._store.child(run_id)
        if run_id not in self._sent:
            fresh = child.step < 0
            self._sent[run_id] = _Sent(self._chooser(run_id, child), fresh, repeats=child.step)
        sent = self._sent[run_id]
        points = [point for point in sent.chooser(rows) if point.step > sent.repeats]
        self._store.send(child, points)
        sent.count += len(points)
        sent.step = max(sent.step, child.step)

    def _chooser(self, run_id: str, child: Child) -> Chooser:
        config = self._store.trials[run_id].config
        return Chooser(engine_of(config).x == "frames", child.start)

    def _settle(self, run_id: str) -> None:
        """Bring MLflow level with the rows in a run's folder; write the run's end if it has one.

        Raises:
            FileNotFoundError: if MLflow lacks rows and the folder has none.
        """
        end = self._ends.get(run_id)
        last = None if end else self._survive.get(run_id)
        if self._storage.remote and (end or self._stop.is_set()):
            self._storage.pull(f"{layout.RUNS}/{run_id}/{layout.ROWS}")
        child = self._store.child(run_id)
        try:
            rows, digest = read_rows(self._rows(run_id), last)
        except FileNotFoundError:
            if run_id in self._lost:
                if end is None and not self._stop.is_set():
                    return  # they are still to come
                raise
            rows, digest = None, ""
        score = end.score if end else None
        if rows is not None:
            child = self._complete(run_id, child, rows, whole=end is not None)
            asked = self._store.trials[run_id].config.task.score
            score = next((r.value for r in reversed(rows) if (r.metric, r.layer) == asked), None)
        if end is not None:
            stamp = child.start + int(1000 * max((r.wall_s for r in rows or []), default=0.0))
            complete = end.state == "complete"
            self._store.end(
                child, end.state, end.reason, score if complete else None, stamp, digest
            )
            self._sent.pop(run_id, None)
        self._survive.pop(run_id, None)
        self._lost.discard(run_id)
        with self._lock:
            if self._ends.get(run_id) is end:  # else it has ended in the meantime
                self._ends.pop(run_id, None)
                self.behind.discard(run_id)

    def _complete(self, run_id: str, child: Child, rows: list[LiveRow], whole: bool) -> Child:
        """Send what MLflow lacks of the rows in a run's folder; return the record they are in.

        A record with rows that the run no longer has, because it differed after a checkpoint,
        is made again.

        Args:
            run_id: the run.
            child: what MLflow has of it.
            rows: all that live displays get.
            whole: whether no more will come.
        """
        chooser = self._chooser(run_id, child)
        wanted: list[Point] = list(chooser(rows))
        sent = self._sent.get(run_id)
        if not (sent is not None and sent.sure and sent.count == len(wanted)):
            found = self._store.points(child)
            if not whole:  # rows after these may come again
                latest = max((point.x for point in wanted), default=-1)
                found = [point for point in found if point.x <= latest]
            missing, surplus = differences(wanted, found)
            if surplus:
                self._store.delete(run_id)
                child = self._store.child(run_id)
                chooser = self._chooser(run_id, child)
                missing = list(chooser(rows))
            self._store.send(child, missing)
        if not whole:
            step = max((row.step for row in rows), default=-1)
            step = max(step, child.step)
            self._sent[run_id] = _Sent(chooser, False, len(wanted), step, repeats=step)
        return child
