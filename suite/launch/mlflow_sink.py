"""Rows to MLflow: one parent run per sweep, one child per run, metrics in batches.

Everything goes through the driver, so workers need no credentials, and is flushed by time from a
thread of its own. The x axis is the gradient step, or the frame for reinforcement learning. Runs
are found again by their tags, so a resumed sweep continues them; what a run repeats after it
started again from a checkpoint is not logged twice.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from suite.errors import ConfigError
from suite.launch.keys import LIVE_LAYERS, metric_key
from suite.records import layout
from suite.records.storage import Storage
from suite.sweep import Sweep, Trial

FLUSH_EVERY_S = 3.0
MAX_KEYS = 60  # of a run: MLflow's pages grow slow with more
MAX_BY_GAME = 40  # of them taken by then: a long sequence leaves room for means over its games
BATCH = 1000  # MLflow's limit of metrics in one call

LiveRow = tuple[int, int, str, str, float]
"""Step, frames, metric, layer, value."""


def default_uri(storage: Storage) -> str:
    """Return the address of the results folder's own store."""
    return f"sqlite:///{storage.root / layout.MLFLOW}"


def check_store(uri: str) -> None:
    """Check, before anything is made, that a tracking store answers.

    Raises:
        ConfigError: if it does not.
    """
    for name, value in {"MAX_RETRIES": "2", "TIMEOUT": "15"}.items():
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)
    from mlflow.tracking import MlflowClient

    try:
        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    except Exception as error:  # whatever kind of store it is
        said = " ".join(str(error).split())[:200]
        raise ConfigError("--mlflow-uri", uri, f"a tracking store that answers ({said})") from None


class MlflowSink:
    """Logs a sweep to MLflow.

    Args:
        uri: tracking address.
        storage: the results folder, which also holds the artifacts of a local store.
        sweep: what is run.
        command: what the user typed.
    """

    def __init__(self, uri: str, storage: Storage, sweep: Sweep, command: str) -> None:
        # A new database would be announced table by table, and errors that are raised as well.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        import mlflow
        from mlflow.tracking import MlflowClient

        if uri.startswith("sqlite:///"):
            # Create the schema here and now: two first writers would race.
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(uri)
        self.uri = uri
        self._client = MlflowClient(tracking_uri=uri)
        self._trials: dict[str, Trial] = {
            t.run_id: t for t in reversed(sweep.trials) if t.skip is None
        }
        experiment = self._client.get_experiment_by_name(sweep.name)
        if experiment is None:
            location = (storage.root / "mlartifacts").as_uri() if "sqlite" in uri else None
            self._experiment = self._client.create_experiment(sweep.name, location)
        else:
            self._experiment = experiment.experiment_id
        self._runs: dict[str, str] = {}
        self._logged: dict[str, int] = {}  # latest gradient step logged
        self._repeats: dict[str, int] = {}  # gradient step up to which rows are known
        self._keys: dict[str, set[str]] = {}
        self._ended: set[str] = set()
        self.parent = self._attach(storage, sweep, command)
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._stop = threading.Event()
        self.errors: list[str] = []
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def _attach(self, storage: Storage, sweep: Sweep, command: str) -> str:
        """Find or make the parent run and find the children it has; return the parent's id."""
        key = hashlib.sha256(storage.address.encode()).hexdigest()[:16]
        found = self._client.search_runs(
            [self._experiment], f"tags.`suite.results_id` = '{key}'", max_results=1
        )
        if not found:
            tags = {
                "suite.results": storage.address,
                "suite.results_id": key,
                "suite.command": command,
            }
            run = self._client.create_run(self._experiment, tags=tags, run_name=sweep.name)
            return run.info.run_id
        parent = found[0].info.run_id
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`mlflow.parentRunId` = '{parent}'", page_token=token
            )
            for run in page:
                run_id = run.data.tags.get("suite.run_id", "")
                self._runs[run_id] = run.info.run_id
                self._logged[run_id] = int(run.data.metrics.get("gradient_step", -1))
                self._repeats[run_id] = self._logged[run_id]
                if run.info.status != "RUNNING":
                    self._ended.add(run_id)
            token = page.token
            if not token:
                return parent

    def start(self, run_id: str) -> None:
        """Queue the start of a run, perhaps from a checkpoint: it may repeat itself from now on."""
        self._queue.put(("start", (run_id, [])))

    def log(self, run_id: str, rows: Iterable[LiveRow]) -> None:
        """Queue rows of a run."""
        self._queue.put(("rows", (run_id, list(rows))))

    def end(self, run_id: str, state: str, reason: str, headline: float | None) -> None:
        """Queue the end of a run."""
        self._queue.put(("end", (run_id, state, reason, headline)))

    def close(self) -> None:
        """Write everything that is queued and stop the thread."""
        self._stop.set()
        self._thread.join()

    def ended(self, run_id: str) -> bool:
        """Return whether MLflow knew the end of this run before."""
        return run_id in self._ended

    def forget(self, run_id: str) -> None:
        """Delete what MLflow has of a run that begins anew."""
        for known in (self._logged, self._repeats, self._keys):
            known.pop(run_id, None)
        self._ended.discard(run_id)
        if (child := self._runs.pop(run_id, None)) is not None:
            self._try(self._client.delete_run, child)

    def _work(self) -> None:
        """Gather what is queued, and write it every few seconds."""
        ended = False
        while not ended:
            ended = self._stop.wait(FLUSH_EVERY_S)
            rows: dict[str, list[LiveRow]] = {}
            ends = []
            while True:
                try:
                    kind, item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if kind == "end":
                    ends.append(item)
                    continue
                run_id, batch = item
                if kind == "start":
                    self._try(self._write, run_id, rows.pop(run_id, []))
                    self._repeats[run_id] = self._logged.get(run_id, -1)
                rows.setdefault(run_id, []).extend(batch)
            for run_id, batch in rows.items():
                self._try(self._write, run_id, batch)
            for item in ends:
                self._try(self._end, *item)

    def _try(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call, and keep the error if there is one: a store that is down must not end the sweep."""
        try:
            call(*arguments)
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _child(self, run_id: str) -> str:
        """Return the MLflow id of a run, made on first use."""
        if run_id not in self._runs:
            from mlflow.entities import Param

            trial = self._trials[run_id]
            run = self._client.create_run(
                self._experiment,
                run_name=trial.label,
                tags={
                    "mlflow.parentRunId": self.parent,
                    "suite.run_id": run_id,
                    "task": trial.task,
                    "arm": trial.arm,
                    "seed": str(trial.config.seed),
                },
            )
            params = {"task": trial.task, "arm": trial.arm, "seed": trial.config.seed}
            params |= flatten(trial.config.model_dump(mode="json", exclude={"seed", "resources"}))
            listed = [Param(key, str(value)[:6000]) for key, value in list(params.items())[:100]]
            self._client.log_batch(run.info.run_id, params=listed)
            self._runs[run_id] = run.info.run_id
        return self._runs[run_id]

    def _write(self, run_id: str, rows: list[LiveRow]) -> None:
        from mlflow.entities import Metric

        child = self._child(run_id)
        by_frames = self._trials[run_id].config.task.engine == "rl"
        known = self._repeats.get(run_id, -1)
        stamp = int(time.time() * 1000)
        keys = self._keys.setdefault(run_id, set())
        metrics, last = [], self._logged.get(run_id, -1)
        for step, frames, metric, layer, value in rows:
            if step <= known or not math.isfinite(value):
                continue
            key = metric_key(metric, layer)
            limit = MAX_KEYS if layer in LIVE_LAYERS else MAX_BY_GAME
            if key not in keys and len(keys) >= limit:
                continue
            keys.add(key)
            metrics.append(Metric(key, value, stamp, frames if by_frames else step))
            last = max(last, step)
        if not metrics:
            return
        metrics.append(Metric("gradient_step", last, stamp, last))
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(child, metrics[start : start + BATCH])
        self._logged[run_id] = last

    def _end(self, run_id: str, state: str, reason: str, headline: float | None) -> None:
        child = self._child(run_id)
        if reason:
            self._client.set_tag(child, "suite.reason", reason[:5000])
        self._client.set_tag(child, "suite.state", state)
        if headline is not None and math.isfinite(headline):
            self._client.log_metric(child, "final", headline)
        self._client.set_terminated(child, "FINISHED" if state == "complete" else "FAILED")

    def finish(self, report: Path, summary: dict[str, Any], failed: bool) -> None:
        """Attach the report and the table's numbers to the parent run. Call after `close`."""
        self._try(self._finish, report, summary, failed)

    def _finish(self, report: Path, summary: dict[str, Any], failed: bool) -> None:
        from mlflow.entities import Metric

        stamp = int(time.time() * 1000)
        metrics = [
            Metric(metric_key(f"{task}/{arm}", name), float(value), stamp, 0)
            for task, arms in summary.items()
            for arm, entry in arms.items()
            for name in ("mean", "lo", "hi", "diff", "diff_lo", "diff_hi", "gap")
            if (value := entry.get(name)) is not None
        ]
        for start in range(0, len(metrics), BATCH):
            self._client.log_batch(self.parent, metrics[start : start + BATCH])
        self._client.log_artifacts(self.parent, str(report), "report")
        self._client.set_terminated(self.parent, "FAILED" if failed else "FINISHED")


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and lists as one mapping with dotted keys.

    >>> flatten({"a": {"b": 1}, "c": [{"d": 2}]})
    {'a.b': 1, 'c.0.d': 2}
    """
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = ((str(i), item) for i, item in enumerate(value))
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= flatten(item, f"{prefix}.{key}" if prefix else key)
    return flat
