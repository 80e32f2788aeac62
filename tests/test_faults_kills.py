"""The driver of kills: that it finds whom to kill, and tells what differs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml

from suite.sweeps.sweep import load_sweep

FOLDER = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, imported as the script does."""
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("faults_kills")
    sys.modules.pop("faults_kills", None)


def _results(folder: Path, value: float, pace: float) -> Path:
    run = folder / "runs" / "abc"
    run.mkdir(parents=True)
    rows = [("loss", value), ("agent_steps_per_s", pace)]
    lines = [{"step": 1, "wall_s": pace, "metric": m, "value": v} for m, v in rows]
    (run / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = folder / "report"
    report.mkdir()
    (report / "table.txt").write_text(f"| nap | {value} | 3/3 | {pace:.1f} s |\n")
    (report / "per_seed.csv").write_text(f"arm,value,wall_s\nnap,{value},{pace}\n")
    (report / "summary.json").write_text(json.dumps({"nap": {"mean": value}}))
    return folder


def test_only_results_are_compared(kills: ModuleType, tmp_path: Path) -> None:
    first = kills.contents(_results(tmp_path / "a", 0.5, pace=12.0))
    later = kills.contents(_results(tmp_path / "b", 0.5, pace=3.5))
    other = kills.contents(_results(tmp_path / "c", 0.25, pace=12.0))
    assert first == later
    assert {name for name in first if first[name] != other[name]} == {
        *kills.TABLES,
        "abc/rows.jsonl",
    }


def test_the_sweep_has_both_engines(kills: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "kills.yaml").write_text(kills.SWEEP)
    assert yaml.safe_load(kills.SWEEP)
    sweep = load_sweep([str(tmp_path / "kills.yaml")], [])
    assert {config.task.engine for config in sweep.runs.values()} == {"supervised", "rl"}


def test_victims_are_found_below_the_driver_alone(kills: ModuleType) -> None:
    def process(*cmdline: str, children: tuple[Any, ...] = ()) -> Any:
        found = SimpleNamespace(cmdline=lambda: list(cmdline))
        found.children = lambda recursive: list(children)
        return found

    def gone() -> list[str]:
        raise psutil.NoSuchProcess(1)

    raylet, worker = process("/x/raylet/raylet", "--a"), process("ray::ImplicitFunc.train")
    zombie = process()
    zombie.cmdline = gone
    driver = process("python", children=(zombie, process("ray::IDLE"), raylet, worker))
    assert kills._victim(driver, "driver") is driver
    assert kills._victim(driver, "raylet") is raylet
    assert kills._victim(driver, "worker") is worker
    assert kills._victim(driver, "gcs_server") is None


@pytest.mark.parametrize(
    ("code", "output", "fault"),
    [
        (1, "Stopped: x\nContinue with: y", ""),
        (0, "all done", ""),
        (1, "Traceback (most recent call last)\nContinue with: y", "a traceback"),
        (1, "nothing said", "not one command"),
        (-6, "Continue with: y", "exit code -6"),
    ],
)
def test_how_a_command_must_end(kills: ModuleType, code: int, output: str, fault: str) -> None:
    found = kills._unsaid(code, output)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)
