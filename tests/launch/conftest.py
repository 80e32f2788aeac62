from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from suite.launch import mlflow_sink
from suite.launch.mlflow_sink import MlflowSink, default_uri
from suite.records import layout
from suite.records.storage import Storage
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep, TaskPlan, Trial


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("mlflow") / layout.MLFLOW
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


class Record:
    """A sweep of one run in a results folder, and what MLflow has of it."""

    def __init__(self, root: Path, config: RunConfig, empty_store: Path) -> None:
        plan = TaskPlan(("arm",), {}, {}, "")
        self.sweep = Sweep("sweep", {"task": plan}, (Trial("task", "arm", config),))
        self.storage, self.run_id = Storage(root), config.run_id
        root.mkdir(parents=True, exist_ok=True)
        if not (root / layout.MLFLOW).exists():
            shutil.copy(empty_store, root / layout.MLFLOW)
        self.folder = root / layout.RUNS / self.run_id

    def open(self) -> MlflowSink:
        """Open the sink, as a driver does."""
        return MlflowSink(default_uri(self.storage), self.storage, self.sweep, "run sweep")

    def write(
        self, rows: Iterable[tuple[Any, ...]], state: str = "complete", step: int = 0
    ) -> None:
        """Write the run's folder, with rows as the sink is given them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = ("step", "frames", "metric", "layer", "value", "wall_s")
        own = {"run_id": self.run_id}
        lines = [json.dumps(own | dict(zip(keys, (*row, 0.0)[:6], strict=True))) for row in rows]
        (self.folder / layout.ROWS).write_text("\n".join([*lines, ""]))
        status = json.dumps({"state": state, "step": step, "reason": ""})
        (self.folder / layout.STATUS).write_text(status)

    def stored(self) -> list[Counter[tuple[str, int, float]]]:
        """Return what MLflow has: of each record of the run, key, step and value, counted."""
        client = MlflowClient(default_uri(self.storage))
        (experiment,) = [e for e in client.search_experiments() if e.name == "sweep"]
        runs = client.search_runs([experiment.experiment_id])
        parents = {r.info.run_id for r in runs if "suite.results_id" in r.data.tags}
        assert len(parents) <= 1
        found = []
        for run in runs:
            if run.info.run_id in parents:
                continue
            assert run.data.tags["mlflow.parentRunId"] in parents
            assert run.data.params["task.kind"]
            counts: Counter[tuple[str, int, float]] = Counter()
            for key in set(run.data.metrics) - {"gradient_step", "final"}:
                history = client.get_metric_history(run.info.run_id, key)
                counts.update((m.key, m.step, m.value) for m in history)
            found.append(counts)
        return found


@pytest.fixture
def record(tmp_path: Path, smoke: Callable[..., RunConfig], empty_store: Path) -> Record:
    """A sweep of one run."""
    return Record(tmp_path / "results", smoke(), empty_store)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that writes often, and does not wait between attempts."""
    monkeypatch.setattr(mlflow_sink, "FLUSH_EVERY_S", 0.01)
    monkeypatch.setattr(mlflow_sink, "PAUSES_S", (0.0, 0.0, 0.0))
