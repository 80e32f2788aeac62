"""Trials one after the other in one worker: nothing of a run is left for the next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suite.launch.plugins import load_plugins, read_plugins
from suite.launch.trainable import Reporter, run_trial
from suite.metrics.base import METRICS
from suite.run_config import RunConfig

PLUGIN = """
import torch
from suite.metrics.base import StatefulMetric, metric

CALLS = []

@metric("misplaced", "1", "parameters")
def misplaced(seen, called=[]):
    CALLS.append(seen.step)
    called.append(seen.step)
    return {"": torch.tensor(float(len(CALLS) + len(called)))}

@metric("kept", "1", "parameters")
class Kept(StatefulMetric):
    def __init__(self):
        self.calls = 0
    def __call__(self, seen):
        self.calls += 1
        return {"": torch.tensor(float(self.calls))}
    def state_dict(self):
        return {"calls": self.calls}
    def load_state_dict(self, state):
        self.calls = state["calls"]
"""


def test_a_reused_worker_begins_every_run_with_fresh_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reporter, "send", lambda self, state, reason: None)
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS.entries()))
    (tmp_path / "mine.py").write_text(PLUGIN)
    plugins = read_plugins([str(tmp_path / "mine.py")])
    load_plugins(plugins)  # as the driver has
    measured: dict[str, list[Any]] = {}
    for seed in (0, 1):
        run = RunConfig.from_mapping(
            {
                "task": {"kind": "modular_addition", "modulus": 5, "fraction": 0.6},
                "model": {"kind": "pair_mlp", "width": 4},
                "seed": seed,
                "budget": 8,
                "metrics": {"names": ["misplaced", "kept"], "every": 2},
            }
        )
        run_trial(
            {
                "runs": [run.model_dump(mode="json")],
                "storage": str(tmp_path / "results"),
                "checkpoint_every_s": 600.0,
                "plugins": plugins,
                "command": "",
                "data_dir": "",
            }
        )
        (path,) = (tmp_path / "results").rglob(f"{run.run_id}*/rows.jsonl")
        for row in map(json.loads, path.read_text().splitlines()):
            if row["metric"] in ("misplaced", "kept"):
                measured.setdefault(row["metric"], []).append(row["value"])
    assert measured == {"misplaced": [2, 4, 6, 8, 10] * 2, "kept": [1, 2, 3, 4, 5] * 2}
