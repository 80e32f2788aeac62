"""A results folder written by hand, a line at a time, as the report's tests need it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from suite.records.reader import RUN_ID
from suite.report.build import Report, build_report

Point = tuple[int, float | None]
"""Step and value; None is not-a-number."""


class FolderWriter:
    """Writes runs of tasks; `finish` writes ``sweep.json``."""

    def __init__(self, path: Path, name: str = "sweep") -> None:
        self.path, self.name = path, name
        self.tasks: dict[str, Any] = {}
        self.trials: list[dict[str, Any]] = []

    def task(self, label: str, arms: list[str], **keys: Any) -> FolderWriter:
        reference = {arm: arms[0] for arm in arms[1:]} | {arms[0]: None}
        self.tasks[label] = {
            "primary_metric": ["accuracy", "test"],
            "unit": "share",
            "x": "steps",
            "arms": arms,
            "reference": reference,
            "gap_to": None,
            "seeds": [0, 1, 2],
            "notes": "",
            **keys,
        }
        return self

    def run(
        self,
        task: str,
        arm: str,
        seed: int,
        points: list[Point] | None = None,
        *,
        state: str = "complete",
        reason: str = "",
        skip: str | None = None,
        config: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
        extra: list[tuple[int, str, str, float]] | None = None,
    ) -> Path:
        """Write one run: points of the primary metric, `extra` rows of other metrics."""
        run_id = f"{task}-{arm}-{seed}".replace(" ", "_")
        if re.fullmatch(RUN_ID, run_id, re.ASCII) is None:
            run_id = hashlib.sha256(run_id.encode()).hexdigest()[:12]
        trial = {"run_id": run_id, "task": task, "arm": arm, "seed": seed, "skip": skip}
        self.trials.append(trial)
        folder = self.path / "runs" / run_id
        if skip is not None or state == "not started":
            return folder
        folder.mkdir(parents=True)
        metric, layer = self.tasks[task]["primary_metric"]
        rows = [(step, metric, layer, value) for step, value in points or []] + (extra or [])
        with (folder / "rows.jsonl").open("w") as file:
            for step, name, part, value in rows:
                row = {"run_id": run_id, "step": step, "frames": 4 * step, "wall_s": step / 10}
                file.write(json.dumps({**row, "metric": name, "layer": part, "value": value}))
                file.write("\n")
        last = max((row[0] for row in rows), default=0)
        status = {
            "state": state,
            "reason": reason,
            "step": last,
            "total": last,
            "wall_s": last / 10,
        }
        (folder / "status.json").write_text(json.dumps(status))
        (folder / "config.yaml").write_text(yaml.safe_dump(config or {"budget": last}))
        (folder / "provenance.json").write_text(
            json.dumps(
                {
                    "commit": "0123abc",
                    "dirty": False,
                    "versions": {"python": "3.11.9", "torch": "2.9.1"},
                    "hardware": {"cpu": "A processor", "cores": 2, "gpus": []},
                    "command": "run_suite.py run sweep",
                    "started": "2026-01-02T03:04:05+00:00",
                    **(provenance or {}),
                }
            )
        )
        return folder

    def finish(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        sweep: dict[str, Any] = {
            "name": self.name,
            "command": "run_suite.py run sweep",
            "created": "2026-01-02",
        }
        sweep |= {"tasks": self.tasks, "trials": self.trials}
        (self.path / "sweep.json").write_text(json.dumps(sweep))
        return self.path


@pytest.fixture
def writer(tmp_path: Path) -> FolderWriter:
    return FolderWriter(tmp_path / "results")


def curve(end: float, steps: int = 100) -> list[Point]:
    return [(step, end * step / steps) for step in range(0, steps + 1, 10)]


@pytest.fixture
def results(writer: FolderWriter) -> Path:
    """The results of `write_results`, for tests that change them or build a report."""
    return write_results(writer)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, which take most of the time, for tests of numbers and words."""
    monkeypatch.setattr("suite.report.build._draw", lambda *_: [])


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of the same results, built once, for tests that only look."""
    return build_report(write_results(FolderWriter(tmp_path_factory.mktemp("built") / "results")))


def write_results(writer: FolderWriter) -> Path:
    """Two tasks. Accuracy by hand: constant .5 .6 .7, higher .8 .9 1.0, same .6 .5 .7."""
    writer.task("sums", ["constant", "higher", "same"], gap_to="higher")
    ends = {"constant": (0.5, 0.6, 0.7), "higher": (0.8, 0.9, 1.0), "same": (0.6, 0.5, 0.7)}
    for arm, values in ends.items():
        for seed, end in enumerate(values):
            rates = [(s, "learning_rate", "", 1e-3) for s in range(0, 101, 10)]
            rates += [(s, "relative_update", "all", 1e-2) for s in range(10, 101, 10)]
            rates += [(s, "effective_lr", "all", 1e-4) for s in range(0, 101, 10)]
            rates += [(s, "activation_pattern_change", "mean", 0.1) for s in range(10, 101, 10)]
            rates += [(0, "phase", "", 0.0), (50, "phase", "", 1.0)]
            rates += [(55 + seed, "alarm", "", 1.0)] if arm == "same" else []
            writer.run("sums", arm, seed, curve(end), extra=rates)
    writer.task(
        "game",
        ["constant", "cyclic"],
        primary_metric=["mean_return_20", ""],
        unit="points",
        x="frames",
        seeds=[0, 1],
    )
    for arm, returns in {"constant": (100.0, 120.0), "cyclic": (130.0, 140.0)}.items():
        for seed, end in enumerate(returns):
            points = [(0, None), *curve(end)[1:]]
            writer.run("game", arm, seed, points, config={"budget": {"agent_steps": 200}})
    return writer.finish()
