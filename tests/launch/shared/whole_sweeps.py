"""A small sweep with a run that diverges, and drivers that run it; for tests of whole sweeps."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from suite.records import layout
from suite.sweeps.sweep import load_sweep

ROOT = Path(__file__).parents[3]

SWEEP: dict[str, Any] = {
    "experiments": {
        "addition": {
            "base": {
                "task": {"kind": "modular_addition", "modulus": 11, "fraction": 0.5},
                "model": {"kind": "transformer", "width": 16, "heads": 2, "hidden": 16},
                "budget": 3000,
                "metrics": {"every": 300, "names": ["accuracy", "relative_update"]},
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


def start_run(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a driver in a folder with a sweep file `s.yaml`; results go to `out` there."""
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "s.yaml", "--results", "out"]
    return subprocess.Popen(
        [*command, "--num-cpus", "2", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_to_end(folder: Path, *arguments: str) -> tuple[int, str]:
    """Return exit code and output of a driver that has ended."""
    process = start_run(folder, *arguments)
    out, err = process.communicate(timeout=900)
    assert "Traceback" not in err, err
    return process.returncode, out + err


def statuses(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the status of every run, by label."""
    sweep = load_sweep([str(folder / "s.yaml")], [])
    found = {}
    for trial in sweep.trials:
        path = folder / "out" / layout.RUNS / trial.run_id / layout.STATUS
        if trial.skip is None and path.is_file():
            found[trial.label] = {**json.loads(path.read_text()), "id": trial.run_id}
    return found


def rows_of(folder: Path, run_id: str) -> list[dict[str, Any]]:
    """Return the rows of a run, without the time they were taken at."""
    text = (folder / "out" / layout.RUNS / run_id / layout.ROWS).read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in rows]


def wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 600) -> None:
    """Wait until a condition is met; fail if the driver ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
