"""Whole sweeps through Ray: results, failures, reuse, kill and resume."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from whole_sweeps import SWEEP, rows_of, run_to_end, start_run, statuses, wait_for

from suite.records import layout

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A sweep run to its end: folder, exit code, output."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "s.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    code, out = run_to_end(folder)
    return folder, code, out


def test_one_diverged_trial_leaves_the_others_alone(finished: tuple[Path, int, str]) -> None:
    folder, code, out = finished
    assert code == 1
    runs = statuses(folder)
    bad = runs.pop("images/explodes/0")
    assert bad["state"] == "diverged"
    assert "the training loss is" in bad["reason"]
    assert "images/explodes/0: diverged: the training loss is" in out
    assert {run["state"] for run in runs.values()} == {"complete"}
    assert len(runs) == 7


def test_summary_table_and_page(finished: tuple[Path, int, str]) -> None:
    folder, _, out = finished
    summary = json.loads((folder / "out" / layout.REPORT / "summary.json").read_text())
    assert set(summary) == {"addition", "images"}
    keys = {"metric", "mean", "lo", "hi", "n", "diff", "diff_lo", "diff_hi"}
    assert keys <= set(summary["addition"]["nap"])
    assert summary["addition"]["nap"]["n"] == 3
    assert summary["addition"]["free"]["diff"] is None
    assert summary["images"]["plain"]["lo"] is None
    assert "nothing is scale-invariant" in " ".join(out.split())
    page = (folder / "out" / layout.REPORT / "report.html").read_text()
    assert "mlflow ui --backend-store-uri sqlite:///" in page


def test_run_folders_hold_config_and_provenance(finished: tuple[Path, int, str]) -> None:
    folder, _, _ = finished
    for run in statuses(folder).values():
        path = folder / "out" / layout.RUNS / run["id"]
        assert yaml.safe_load((path / layout.CONFIG).read_text())["seed"] in (0, 1, 2)
        provenance = json.loads((path / layout.PROVENANCE).read_text())
        assert provenance["versions"]["torch"]
        assert provenance["command"].startswith("python ")
    assert not list((folder / "out" / layout.RUNS).glob("*/checkpoint-*")) or statuses(folder)


def test_mlflow_has_a_parent_and_comparable_children(finished: tuple[Path, int, str]) -> None:
    folder, _, _ = finished
    code = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri="sqlite:///" + sys.argv[1])
(experiment,) = [e for e in client.search_experiments() if e.name == "s"]
runs = client.search_runs([experiment.experiment_id])
(parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
print(json.dumps({
    "parent": parent.data.metrics,
    "artifacts": [f.path for f in client.list_artifacts(parent.info.run_id, "report")],
    "names": sorted(r.info.run_name for r in children),
    "keys": max(len(r.data.metrics) for r in children),
    "history": [[m.step, m.value] for r in children if r.info.run_name == "addition/nap/0"
                for m in client.get_metric_history(r.info.run_id, "accuracy/test")],
    "params": [r.data.params for r in children if r.info.run_name == "addition/nap/0"][0],
}))
"""
    database = folder / "out" / layout.MLFLOW
    done = subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["names"]) == 8
    assert "addition/nap/0" in found["names"]
    assert found["keys"] <= 61
    assert found["params"]["interventions.0.kind"] == "nap"
    assert "report/report.html" in found["artifacts"]
    summary = json.loads((folder / "out" / layout.REPORT / "summary.json").read_text())
    assert found["parent"]["addition/nap/mean"] == pytest.approx(summary["addition"]["nap"]["mean"])
    run_id = statuses(folder)["addition/nap/0"]["id"]
    rows = [
        [row["step"], row["value"]]
        for row in rows_of(folder, run_id)
        if (row["metric"], row["layer"]) == ("accuracy", "test")
    ]
    assert dict(found["history"]) == pytest.approx(dict(rows))
    assert len(found["history"]) == len(rows)


def test_nothing_is_done_twice(finished: tuple[Path, int, str]) -> None:
    folder, _, _ = finished
    runs = folder / "out" / layout.RUNS
    before = {p: p.stat().st_mtime_ns for p in runs.glob("*/rows.jsonl")}
    assert len(before) == 8
    code, out = run_to_end(folder, "--resume")
    assert code == 1
    assert {p: p.stat().st_mtime_ns for p in runs.glob("*/rows.jsonl")} == before
    assert "addition" in out


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(
    finished: tuple[Path, int, str], tmp_path: Path
) -> None:
    whole, _, _ = finished
    shutil.copy(whole / "s.yaml", tmp_path)
    process = start_run(tmp_path, "--checkpoint-every", "0")
    runs = tmp_path / "out" / layout.RUNS

    def midway() -> bool:
        states = statuses(tmp_path).values()
        early = [r for r in states if r["state"] == "running" and 0 < r["step"] < r["total"] / 2]
        return bool(early) and any(r["state"] == "complete" for r in states)

    wait_for(midway, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    states = statuses(tmp_path)
    finished_runs = {r["id"] for r in states.values() if r["state"] == "complete"}
    assert finished_runs
    assert len(finished_runs) < 7
    stamps = {i: (runs / i / layout.ROWS).stat().st_mtime_ns for i in finished_runs}

    code, out = run_to_end(tmp_path, "--resume", "--checkpoint-every", "0")
    assert code == 1, out
    assert {i: (runs / i / layout.ROWS).stat().st_mtime_ns for i in finished_runs} == stamps
    continued = [
        json.loads(p.read_text()).get("continued_from") for p in runs.glob("*/provenance.json")
    ]
    assert any(step for step in continued if step)
    for label, run in statuses(whole).items():
        assert rows_of(tmp_path, run["id"]) == rows_of(whole, run["id"]), label
    reports = [f / "out" / layout.REPORT / "summary.json" for f in (whole, tmp_path)]
    assert reports[0].read_text() == reports[1].read_text()
