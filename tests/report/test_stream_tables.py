"""Tables of streams against means taken by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd

from suite.report.page.streams import MATRIX, MOST, TASK, stream_tables

ENDS = (10, 20, 30)


def _task(states: dict[str, str]) -> Any:
    """Return a task with one arm for the letter that run ids begin with."""
    runs = [
        SimpleNamespace(
            trial=SimpleNamespace(run_id=i, arm=i[0], seed=int(i[1])),
            status=SimpleNamespace(state=state),
        )
        for i, state in states.items()
    ]
    arms = [SimpleNamespace(label=label, gap_to=None, values={}) for label in ("a", "b")]
    record = SimpleNamespace(primary_metric=("average_online_accuracy", ""))
    return SimpleNamespace(label="stream", runs=runs, arms=arms, gap_arms=(), record=record)


def _rows(values: dict[str, float], metric: str = MATRIX) -> pd.DataFrame:
    """Return rows in which ``A[k, j]`` of a run is its number plus k / 10 plus j / 100."""
    lines = []
    for run_id, value in values.items():
        for k, step in enumerate(ENDS):
            for j in range(k + 1) if metric == MATRIX else [k]:
                shown = value + k / 10 + j / 100
                head = ("stream", run_id[0], int(run_id[1]), run_id)
                lines.append((*head, step, metric, str(j), shown))
    columns = ["task", "arm", "seed", "run_id", "step", "metric", "layer", "value"]
    return pd.DataFrame(lines, columns=columns)


def test_the_matrix_is_the_mean_over_complete_runs() -> None:
    task = _task({"a0": "complete", "a1": "complete", "a2": "failed"})
    (table,) = stream_tables(task, _rows({"a0": 0.2, "a1": 0.4, "a2": 9.0}), {})
    assert table.columns == ["after task", "1", "2", "3"]
    assert table.lines == [
        ["1", "0.300", "", ""],
        ["2", "0.400", "0.410", ""],
        ["3", "0.500", "0.510", "0.520"],
    ]
    assert table.title.startswith("a: ")


def test_online_accuracies_have_a_line_for_each_arm() -> None:
    task = _task({"a0": "complete", "b0": "complete", "b1": "complete"})
    (table,) = stream_tables(task, _rows({"a0": 0.1, "b0": 0.2, "b1": 0.3}, TASK), {})
    assert table.lines == [["a", "0.100", "0.210", "0.320"], ["b", "0.250", "0.360", "0.470"]]


def test_many_tasks_are_thinned_and_other_tasks_have_none() -> None:
    task = _task({"a0": "complete"})
    many = pd.DataFrame(
        [("stream", "a", 0, "a0", 10 * k, TASK, str(k), k / 100) for k in range(100)],
        columns=["task", "arm", "seed", "run_id", "step", "metric", "layer", "value"],
    )
    (table,) = stream_tables(task, many, {})
    assert len(table.columns) == MOST + 1
    assert (table.columns[1], table.columns[-1]) == ("1", "100")
    assert table.lines[0][-1] == "0.990"
    assert stream_tables(task, many.assign(task="other"), {}) == []
