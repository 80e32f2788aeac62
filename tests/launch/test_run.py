"""Whole sweeps through Ray: results, failures, reuse, kill and resume."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.records import layout
from suite.records.manifest import MANIFEST
from suite.sweeps.sweep import load_sweep

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.ray

SWEEP: dict[str, Any] = {
    "experiments": {
        "addition": {
            "base": {
                "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
                "model": {"kind": "transformer", "width": 16, "heads": 2, "hidden": 16},
                "budget": 6000,
                "metrics": {"every": 600, "names": ["accuracy", "relative_update"]},
            },
            "seeds": [0, 1, 2],
            "reference": "free",
            "axes": {
                "arm": {
                    "free": {},
                    "nap": {"interventions": [{"kind": "nap", "which": "matrices"}]},
                }
            },
        },
        "images": {
            "base": {
                "task": {
                    "kind": "warm_start_images",
                    "batch_size": 32,
                    "phases": [{"fraction": 0.1, "steps": 100}, {"fraction": 1.0, "steps": 200}],
                },
                "model": {"kind": "mlp", "width": 16, "norm": "layer"},
                "metrics": {"every": 100, "names": ["accuracy"]},
            },
            "seeds": [0],
            "axes": {
                "arm": {
                    "plain": {},
                    "explodes": {"optimizer": {"kind": "sgd", "lr": 1e38}},
                    "impossible": {
                        "model": {"norm": "none"},
                        "interventions": ["nap"],
                    },
                }
            },
        },
    }
}


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "s.yaml", "--results", "out"]
    return subprocess.Popen(
        [*command, "--num-cpus", "2", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = _start(folder, *arguments)
    out, err = process.communicate(timeout=300)
    assert "Traceback" not in err, err
    return process.returncode, out + err


def _runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the status of every run, by label."""
    sweep = load_sweep([str(folder / "s.yaml")], [])
    found = {}
    for trial in sweep.trials:
        path = folder / "out" / layout.RUNS / trial.run_id / layout.STATUS
        if trial.skip is None and path.is_file():
            found[trial.label] = {**json.loads(path.read_text()), "id": trial.run_id}
    return found


def _rows(folder: Path, run_id: str) -> list[dict[str, Any]]:
    text = (folder / "out" / layout.RUNS / run_id / layout.ROWS).read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in rows]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A sweep run to its end: folder, exit code, output."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "s.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    code, out = _run(folder)
    return folder, code, out


def test_one_diverged_trial_leaves_the_others_alone(finished: tuple[Path, int, str]) -> None:
    folder, code, out = finished
    assert code == 1
    runs = _runs(folder)
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
    for run in _runs(folder).values():
        path = folder / "out" / layout.RUNS / run["id"]
        assert yaml.safe_load((path / layout.CONFIG).read_text())["seed"] in (0, 1, 2)
        provenance = json.loads((path / layout.PROVENANCE).read_text())
        assert provenance["versions"]["torch"]
        assert provenance["command"].startswith("python ")
    assert not list((folder / "out" / layout.RUNS).glob("*/checkpoint-*")) or _runs(folder)


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
    run_id = _runs(folder)["addition/nap/0"]["id"]
    rows = [
        [row["step"], row["value"]]
        for row in _rows(folder, run_id)
        if (row["metric"], row["layer"]) == ("accuracy", "test")
    ]
    assert dict(found["history"]) == pytest.approx(dict(rows))
    assert len(found["history"]) == len(rows)


def test_nothing_is_done_twice(finished: tuple[Path, int, str]) -> None:
    folder, _, _ = finished
    runs = folder / "out" / layout.RUNS
    before = {p: p.stat().st_mtime_ns for p in runs.glob("*/rows.jsonl")}
    assert len(before) == 8
    code, out = _run(folder, "--resume")
    assert code == 1
    assert {p: p.stat().st_mtime_ns for p in runs.glob("*/rows.jsonl")} == before
    assert "addition" in out


def _wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_and_resumed_equals_uninterrupted(
    finished: tuple[Path, int, str], tmp_path: Path
) -> None:
    whole, _, _ = finished
    shutil.copy(whole / "s.yaml", tmp_path)
    process = _start(tmp_path, "--checkpoint-every", "0")
    runs = tmp_path / "out" / layout.RUNS

    def midway() -> bool:
        states = _runs(tmp_path).values()
        early = [r for r in states if r["state"] == "running" and 0 < r["step"] < r["total"] / 2]
        return bool(early) and any(r["state"] == "complete" for r in states)

    _wait_for(midway, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    states = _runs(tmp_path)
    finished_runs = {r["id"] for r in states.values() if r["state"] == "complete"}
    assert finished_runs
    assert len(finished_runs) < 7
    stamps = {i: (runs / i / layout.ROWS).stat().st_mtime_ns for i in finished_runs}

    code, out = _run(tmp_path, "--resume", "--checkpoint-every", "0")
    assert code == 1, out
    assert {i: (runs / i / layout.ROWS).stat().st_mtime_ns for i in finished_runs} == stamps
    continued = [
        json.loads(p.read_text()).get("continued_from") for p in runs.glob("*/provenance.json")
    ]
    assert any(step for step in continued if step)
    for label, run in _runs(whole).items():
        assert _rows(tmp_path, run["id"]) == _rows(whole, run["id"]), label
    reports = [f / "out" / layout.REPORT / "summary.json" for f in (whole, tmp_path)]
    assert reports[0].read_text() == reports[1].read_text()


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_asked_to_stop_it_does_so_cleanly_and_says_how_to_go_on(
    number: signal.Signals, name: str, finished: tuple[Path, int, str], tmp_path: Path
) -> None:
    shutil.copy(finished[0] / "s.yaml", tmp_path)
    process = _start(tmp_path, "--checkpoint-every", "0", "--set", "addition:budget=100000")
    runs = tmp_path / "out" / layout.RUNS
    _wait_for(lambda: bool(list(runs.glob(f"*/checkpoint-*/{MANIFEST}"))), process)
    started = time.monotonic()
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert time.monotonic() - started < 45
    assert f"Stopping after {name}; checkpoints are kept." in out
    assert f"Continue with: python {ROOT / 'run_suite.py'} run s.yaml" in out
    assert "--resume" in out
    assert "Traceback" not in err


def test_two_drivers_do_not_share_a_folder(finished: tuple[Path, int, str], tmp_path: Path) -> None:
    import fcntl

    shutil.copy(finished[0] / "s.yaml", tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / layout.SWEEP).write_text('{"name": "s"}')
    with (tmp_path / "out" / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out = _run(tmp_path)
    assert code == 2
    assert "no other run is using" in out


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads /proc")
def test_ray_listens_on_the_loopback_interface_alone(tmp_path: Path) -> None:
    code = """
import json, psutil
from suite.launch.cluster import start_ray
start_ray(None, 1, 0, False)
import ray
@ray.remote
def work():
    return 1
ray.get(work.remote())
me = psutil.Process()
found = []
for process in [me, *me.children(recursive=True)]:
    for connection in process.net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN:
            found.append(connection.laddr.ip)
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    addresses = json.loads(done.stdout.splitlines()[-1])
    assert len(addresses) > 3
    assert set(addresses) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_joining_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = _start(tmp_path, "--address", f"127.0.0.1:{port}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    assert "--address: got" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.yaml"]
