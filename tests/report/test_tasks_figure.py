"""The figure of a stream of tasks, from rows written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from suite.report.build import build_report
from suite.report.drawing.style import ArmStyle
from suite.report.page.streams import TASK
from suite.report.tasks_figure import tasks_grid

STYLES = {arm: ArmStyle(colour, (), "o") for arm, colour in (("a", "#000000"), ("b", "#777777"))}


def _task(states: dict[str, str]) -> Any:
    runs = [
        SimpleNamespace(trial=SimpleNamespace(run_id=i), status=SimpleNamespace(state=state))
        for i, state in states.items()
    ]
    return SimpleNamespace(runs=runs)


def _rows(runs: dict[str, int], tasks: int = 12, metric: str = TASK) -> pd.DataFrame:
    """Return rows of runs by seed; the highest task first, as no reader may rely on their order."""
    lines = [
        (run_id[0], seed, run_id, 10 * task, metric, str(task), 0.9 - 0.01 * task + 0.1 * seed)
        for run_id, seed in runs.items()
        for task in reversed(range(tasks))
    ]
    return pd.DataFrame(
        lines, columns=["arm", "seed", "run_id", "step", "metric", "layer", "value"]
    )


def test_it_has_each_complete_run_over_the_number_of_the_task() -> None:
    task = _task({"a0": "complete", "a1": "failed", "b0": "complete", "b1": "complete"})
    rows = _rows({"a0": 0, "a1": 1, "b0": 0, "b1": 1})
    grid = tasks_grid(task, rows, STYLES, ["b", "a"])
    assert grid is not None
    (panel,) = grid.shown
    assert [(line.label, sorted(line.tracks)) for line in panel.lines] == [
        ("b", [0, 1]),
        ("a", [0]),
    ]
    track = panel.lines[0].tracks[1]
    assert list(track.steps) == list(range(1, 13))
    np.testing.assert_allclose(track.values, [1.0 - 0.01 * k for k in range(12)])
    assert panel.lines[0].style == STYLES["b"]


def test_there_is_none_without_tasks_or_with_one() -> None:
    task = _task({"a0": "complete"})
    assert tasks_grid(task, _rows({"a0": 0}, metric="accuracy"), STYLES, ["a"]) is None
    assert tasks_grid(task, _rows({"a0": 0}, tasks=1), STYLES, ["a"]) is None
    assert tasks_grid(_task({"a0": "failed"}), _rows({"a0": 0}), STYLES, ["a"]) is None


def test_a_report_draws_it_and_removes_it(writer: Any) -> None:
    extra = [(10 * (k + 1), TASK, str(k), 0.5 + k / 8) for k in range(3)]
    writer.task("stream", ["a"]).run("stream", "a", 4, [(0, 0.25), (30, 0.5)], extra=extra)
    report = build_report(writer.finish())
    figures = report.folder / "figures"
    assert {p.name for p in report.figures if p.name.startswith("tasks-")} == {
        f"tasks-stream.{kind}" for kind in ("svg", "png", "csv")
    }
    assert (figures / "tasks-stream.csv").read_text().splitlines()[1:] == [
        f"1,,task,online accuracy on the task,a,4,{k + 1:.1f},{0.5 + k / 8}," for k in range(3)
    ]
    assert "Online accuracy by task of stream, a." in report.html.read_text(encoding="utf-8")
    for run in (writer.path / "runs").iterdir():
        (run / "status.json").unlink()  # as if the run had not ended
    build_report(writer.path)
    assert not [path for path in figures.iterdir() if path.name.startswith("tasks-")]
