"""The Tune callback: passes trials' reports to the live state, MLflow and the progress display."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback

from suite.launch.mlflow_sink import MlflowSink
from suite.launch.outage import explain, explain_trial
from suite.launch.progress import Progress
from suite.launch.sweep_state import Live
from suite.records import layout
from suite.records.run_folder import FINAL, mark_failed, read_status
from suite.records.storage import Storage


class Stopped(RuntimeError):
    """Raised in Tune's thread to end it."""


class SweepCallback(Callback):
    """Feeds what Tune hears on the driver to whoever shows or keeps it.

    Args:
        live: what the driver knows.
        sink: MLflow.
        progress: the display.
        storage: the results folder.
        check: raises if Ray or the results folder has gone; trials that end with them have not
            failed.
        asked: set when Tune is to end, which it then does in good order.
    """

    def __init__(
        self,
        live: Live,
        sink: MlflowSink,
        progress: Progress,
        storage: Storage,
        check: Callable[[], None],
        asked: threading.Event,
    ) -> None:
        self.live, self.sink, self.progress, self.storage = live, sink, progress, storage
        self._check, self._asked, self._closed = check, asked, threading.Event()
        self._primary = {run_id: c.task.score for run_id, c in live.sweep.runs.items()}

    def close(self) -> None:
        """Take nothing more: Tune's thread may live on when its Ray has died."""
        self._closed.set()

    def _go_on(self) -> None:
        """End Tune, by raising from here, when it is asked to stop.

        Raises:
            Stopped: then.
        """
        if self._asked.is_set() or self._closed.is_set():
            raise Stopped

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything behind when Tune keeps a copy on disk: it is never restored from it."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial starts, or starts again."""
        self._go_on()
        for run_id in _run_ids(trial):
            if self.live.runs[run_id].state not in FINAL:
                self.live.runs[run_id].state = "running"
                self.sink.start(run_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial reports progress, rows, or its end.

        Raises:
            Stopped: if the sweep no longer waits for reports.
        """
        if self._closed.is_set():
            raise Stopped
        if "rows" not in result:  # Tune's own last word on a function that returned
            return
        run_id = str(result["run_id"])
        run = self.live.runs[run_id]
        run.state, run.reason = result["state"], result["reason"]
        if result["total"]:
            run.done = min(result["step"] / result["total"], 1.0)
        for _, _, metric, layer, value, _ in result["rows"]:
            if (metric, layer) == self._primary[run_id]:
                run.primary = value
        self.sink.log(run_id, result["rows"])
        if run.state != "running":
            run.done = 1.0
            self.sink.end(run_id, run.state, run.reason, run.primary)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial crashed and will not be tried again."""
        self._go_on()
        self._check()
        for run_id in _run_ids(trial):
            if self.live.runs[run_id].state not in FINAL:
                self._failed(run_id, trial)

    def _failed(self, run_id: str, trial: Any) -> None:
        """A run went down with its trial."""
        run = self.live.runs[run_id]
        run.state, run.done = "failed", 1.0
        status = f"{layout.RUNS}/{run_id}/{layout.STATUS}"
        self.storage.pull(status)
        told = read_status(self.storage.root / layout.RUNS / run_id)
        if told is not None and told["state"] == "failed" and told["reason"]:
            run.reason = f"{told['reason']} (see {layout.RUNS}/{run_id}/{layout.ERROR})"
        else:  # the process died without a word
            run.reason = explain_trial(_said(trial))
        try:
            mark_failed(self.storage.root / layout.RUNS / run_id, run.reason)
            self.storage.push(status)
        except OSError as error:  # the run is taken up again all the same
            run.reason += f" (not noted in its folder: {explain(error)})"
        self.sink.end(run_id, "failed", run.reason, run.primary)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """The controller has gone round once."""
        self._go_on()
        self.progress.update()


def _run_ids(trial: Any) -> list[str]:
    return [str(run_id) for run_id in trial.config["request"]["run_ids"]]


def _said(trial: Any) -> str:
    """Return Tune's text on what a trial died of, from where it is written first."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8")
    except (OSError, TypeError):  # not there, or no file at all
        return ""
