"""The sweep's records in an MLflow store: an experiment, a parent run and a child for each run.

Records are found by tags. So a sweep that is resumed, or whose store lost a part, continues in the
same records; missing ones are created again. Every call may be repeated.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from suite.launch.keys import FINAL, STEP, param_key, summary_key
from suite.launch.mlflow_address import is_temporary
from suite.launch.mlflow_rows import Point
from suite.records.results_id import results_id
from suite.records.storage import Storage
from suite.sweeps.sweep import Sweep, Trial

BATCH = 900  # MLflow takes 1000 metrics in a call, of which one is the mark
PARAMS = 100  # MLflow's limit of parameters in a call
TAG, PARAM, OLD_PARAM, NAME = 5000, 6000, 500, 250
"""Longest tag, parameter, parameter of older stores, and name of a run or experiment."""

T = TypeVar("T")

RUN = "suite.run_id"
"""Tag of the run that a record is of."""

LEVEL = "suite.level"
"""Tag of a run with all rows in MLflow: the digest of its rows."""

STATE = "suite.state"
"""Tag of a run that has ended: how."""


@dataclass
class Child:
    """What MLflow has of a run.

    Attributes:
        id: MLflow's own.
        start: when it began there, in milliseconds since 1970.
        step: latest gradient step that was logged.
        level: the tag of that name.
        state: how the run ended there, "" if it has not.
        params: names of the parameters it has.
        final: the score it has, if any.
        described: whether it has all parameters.
    """

    id: str
    start: int
    step: int = -1
    level: str = ""
    state: str = ""
    params: frozenset[str] = frozenset()
    final: float | None = None
    described: bool = False


class Store:
    """The records of one sweep.

    Args:
        uri: tracking address.
        storage: the results folder, which also holds the artifacts of a local store.
        sweep: what is run.
        command: what the user typed, without secrets.
        pulse: called whenever the store has answered.
    """

    def __init__(
        self, uri: str, storage: Storage, sweep: Sweep, command: str, pulse: Callable[[], None]
    ) -> None:
        from mlflow.tracking import MlflowClient

        self.uri, self.pulse = uri, pulse
        self.client = MlflowClient(tracking_uri=uri)
        self.trials: dict[str, Trial] = {
            t.run_id: t for t in reversed(sweep.trials) if t.skip is None
        }
        self.children: dict[str, Child] = {}
        self.experiment = self.parent = ""
        self._storage, self._name, self._command = storage, sweep.name, command
        self._id = results_id(storage)
        self._doubtful = False  # whether a run may be there that we do not know of

    def attach(self) -> None:
        """Find or make the experiment and the parent run, and find the children it has."""
        self.experiment = self._experiment()
        self.pulse()
        parent = self._find_parent()
        children = self._list(f"tags.`mlflow.parentRunId` = '{parent}'")
        self.children = self._without_doubles(children)
        self.parent = parent

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = text(self._name, TAG)
        if len(name) > NAME:
            name = f"{name[: NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        found = self.client.get_experiment_by_name(name)
        if found is None:
            root = self._storage.root
            location = (root / "mlartifacts").as_uri() if self.uri.startswith("sqlite") else None
            try:
                return str(self.client.create_experiment(name, location))
            except MlflowException:  # perhaps another sweep was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":  # no second record can be made
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _ours(self) -> str:
        """Return the filter for parent runs of this results folder."""
        return f"tags.`suite.results_id` = '{self._id}'"

    def _find_parent(self) -> str:
        """Return the id of the parent run, found, taken out of the trash or made."""
        from mlflow.entities import ViewType

        address, wanted = self._storage.address, self._ours()
        for run in self.client.search_runs([self.experiment], wanted, max_results=1):
            return str(run.info.run_id)
        deleted = self.client.search_runs(
            [self.experiment], wanted, ViewType.DELETED_ONLY, max_results=1
        )
        for run in deleted:
            self.client.restore_run(run.info.run_id)
            return str(run.info.run_id)
        tags = {
            "suite.results": text(address, TAG),
            "suite.results_id": self._id,
            "suite.command": text(self._command, TAG),
        }
        run = self.client.create_run(
            self.experiment, tags=tags, run_name=text(self._name, NAME) or "sweep"
        )
        return str(run.info.run_id)

    def _list(self, wanted: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment], wanted, page_token=token)
            self.pulse()
            yield from page
            token = page.token
            if not token:
                return

    def _without_doubles(self, runs: Iterable[Any]) -> dict[str, Child]:
        """Return children by run id; of a run with several (an answer was lost) keep one."""
        kept: dict[str, Child] = {}
        for run in runs:
            data, metrics = run.data, run.data.metrics
            if (run_id := data.tags.get(RUN)) is None:
                continue  # not one of ours
            child = Child(
                id=run.info.run_id,
                start=int(run.info.start_time),
                step=int(metrics.get(STEP, -1)),
                level=data.tags.get(LEVEL, ""),
                state=data.tags.get(STATE, "") if run.info.status != "RUNNING" else "",
                params=frozenset(data.params),
                final=metrics.get(FINAL),
            )
            both = [child, *([kept[run_id]] if run_id in kept else [])]
            both.sort(key=lambda c: (bool(c.level), c.step, c.start))
            kept[run_id] = both.pop()
            for other in both:
                self.client.delete_run(other.id)
        return kept

    def drop_doubles(self) -> None:
        """Delete what was made twice because the answer to the first request was lost."""
        for parent in list(self._list(self._ours())):
            mine = parent.info.run_id == self.parent
            for run in list(self._list(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")):
                if (run_id := run.data.tags.get(RUN)) is None:
                    continue  # not one of ours
                child = self.children.get(run_id)
                if not mine or (child is not None and child.id != run.info.run_id):
                    self.client.delete_run(run.info.run_id)
            if not mine:
                self.client.delete_run(parent.info.run_id)

    def doubt(self, run_id: str) -> None:
        """Look up a run again when it is next needed, because a call about it has failed."""
        self.children.pop(run_id, None)
        self._doubtful = True

    def child(self, run_id: str) -> Child:
        """Return what MLflow has of a run, found or made on first use."""
        if run_id not in self.children and self._doubtful:
            wanted = f"tags.`mlflow.parentRunId` = '{self.parent}'"
            found = self._list(f"{wanted} and tags.`{RUN}` = '{run_id}'")
            self.children |= self._without_doubles(found)
        if run_id not in self.children:
            trial, now = self.trials[run_id], int(time.time() * 1000)
            run = self.client.create_run(
                self.experiment,
                start_time=now,
                run_name=text(trial.label, NAME),
                tags={
                    "mlflow.parentRunId": self.parent,
                    RUN: run_id,
                    "task": text(trial.task, TAG),
                    "arm": text(trial.arm, TAG),
                    "seed": str(trial.config.seed),
                },
            )
            self.children[run_id] = Child(run.info.run_id, now)
            self.pulse()
        child = self.children[run_id]
        self._describe(child, self.trials[run_id])
        return child

    def _describe(self, child: Child, trial: Trial) -> None:
        """Write the parameters of a run that are not there.

        Raises:
            MlflowException: if the store is away.
        """
        from mlflow.exceptions import MlflowException

        if child.described:
            return
        params = {"task": trial.task, "arm": trial.arm, "seed": trial.config.seed}
        params |= flatten(trial.config.model_dump(mode="json", exclude={"seed", "resources"}))
        try:
            self._params(child, params, PARAM)
        except MlflowException as error:
            if is_temporary(error):
                raise
            self._params(child, params, OLD_PARAM)
        child.described = True

    def _params(self, child: Child, params: dict[str, Any], limit: int) -> None:
        from mlflow.entities import Param

        named = {param_key(key): text(str(value), limit) for key, value in params.items()}
        listed = [Param(key, value) for key, value in named.items() if key not in child.params]
        for part in parts(listed, PARAMS):
            self.client.log_batch(child.id, params=list(part))
            self.pulse()

    def points(self, child: Child) -> list[Point]:
        """Return all metrics that MLflow has of a run, but for its mark and score."""
        keys = self.client.get_run(child.id).data.metrics
        found: list[Point] = []
        for key in keys:
            if key not in (STEP, FINAL) and not key.startswith("system/"):
                history = self.client.get_metric_history(child.id, key)
                self.pulse()
                found += [Point(key, m.step, m.value, m.timestamp, 0) for m in history]
        return found

    def send(self, child: Child, points: Sequence[Point]) -> None:
        """Log points, which may have been logged before, and how far the run has come by them."""
        from mlflow.entities import Metric

        for part in parts(points, BATCH):
            metrics = [Metric(p.key, p.value, p.stamp, p.x) for p in part]
            last = max(part, key=lambda p: p.step)
            if last.step > child.step:
                metrics.append(Metric(STEP, last.step, last.stamp, last.step))
            self.client.log_batch(child.id, metrics)
            self.pulse()
            child.step = max(child.step, last.step)

    def end(
        self, child: Child, state: str, reason: str, score: float | None, stamp: int, level: str
    ) -> None:
        """Write how a run ended.

        Args:
            child: the run.
            state: how.
            reason: why, if it is not complete.
            score: of a run that is complete.
            stamp: when, in milliseconds since 1970.
            level: tag that says that all rows are there.
        """
        from mlflow.entities import Metric, RunTag

        found = score if score is not None and math.isfinite(score) else None
        tags = {STATE: state, "suite.reason": reason, LEVEL: level}
        self.client.log_batch(
            child.id,
            [] if found in (None, child.final) else [Metric(FINAL, found, stamp, 0)],
            tags=[RunTag(key, text(value, TAG)) for key, value in tags.items()],
        )
        self.client.set_terminated(child.id, "FINISHED" if state == "complete" else "FAILED")
        self.pulse()
        child.level, child.state = level, state
        child.final = child.final if found is None else found

    def delete(self, run_id: str) -> None:
        """Delete what MLflow has of a run."""
        if (child := self.children.get(run_id)) is not None:
            self.client.delete_run(child.id)
            self.pulse()
            del self.children[run_id]

    def finish(self, report: Path, summary: dict[str, Any], failed: bool) -> None:
        """Attach the report and the table's numbers to the parent run."""
        from mlflow.entities import Metric

        stamp = int(time.time() * 1000)
        known = self.client.get_run(self.parent).data.metrics
        values = {
            summary_key(task, arm, name): float(entry[name])
            for task, arms in summary.items()
            for arm, entry in arms.items()
            for name in ("mean", "lo", "hi", "diff", "diff_lo", "diff_hi", "gap")
            if entry.get(name) is not None
        }
        metrics = [
            Metric(key, value, stamp, 0)
            for key, value in values.items()
            if math.isfinite(value) and known.get(key) != value
        ]
        for part in parts(metrics, BATCH):
            self.client.log_batch(self.parent, list(part))
            self.pulse()
        for file in sorted(path for path in report.rglob("*") if path.is_file()):
            folder = Path("report") / file.relative_to(report).parent
            self.client.log_artifact(self.parent, str(file), folder.as_posix())
            self.pulse()
        self.client.set_terminated(self.parent, "FAILED" if failed else "FINISHED")


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items a number at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def text(value: str, limit: int) -> str:
    """Return text that every store can hold, cut to its limit."""
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")[:limit]


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and lists as one mapping with dotted keys.

    >>> flatten({"a": {"b": 1}, "c": [{"d": 2}]})
    {'a.b': 1, 'c.0.d': 2}
    """
    items: Iterable[tuple[str, Any]]
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
