"""Tables of streams: accuracy by task, and the matrix of accuracies on earlier tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from suite.report.statistics.summary import TaskResult

TASK, MATRIX = "task_online_accuracy", "task_accuracy"
STREAMS = (TASK, MATRIX)
"""Metrics whose layer is the number of a task of a stream."""

MOST = 12
"""Tasks that a table has columns for; of more, some at equal distances, first and last included."""


@dataclass(frozen=True)
class StreamTable:
    """A table of means over seeds.

    Attributes:
        title: above it.
        columns: headings, the first of the rows' names.
        lines: names and cells.
    """

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]


def stream_tables(task: TaskResult, rows: pd.DataFrame) -> list[StreamTable]:
    """Return the tables of a task that is a stream; none of other tasks.

    Args:
        task: its results.
        rows: as `suite.records.reader.load_results` returns them.
    """
    complete = {r.trial.run_id for r in task.runs if r.status.state == "complete"}
    rows = rows[(rows["task"] == task.label) & rows["run_id"].isin(complete)]
    tables = []
    arms = [arm.label for arm in task.arms]
    if (table := _by_task(arms, rows[rows["metric"] == TASK])) is not None:
        tables.append(table)
    matrices = rows[rows["metric"] == MATRIX]
    for arm in arms:
        if (table := _matrix(arm, matrices[matrices["arm"] == arm])) is not None:
            tables.append(table)
    return tables


def _chosen(numbers: Sequence[int]) -> list[int]:
    """Return at most `MOST` of the numbers, the first and the last among them."""
    places = np.unique(
        np.linspace(0, len(numbers) - 1, min(MOST, len(numbers))).round().astype(int)
    )
    return [numbers[place] for place in places]


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(number=rows["layer"].astype(str).astype(int))


def _by_task(arms: Sequence[str], rows: pd.DataFrame) -> StreamTable | None:
    """Return the table of the mean online accuracy on each task, a line for each arm."""
    rows = _numbered(rows)
    if rows.empty:
        return None
    chosen = _chosen(sorted(set(rows["number"])))
    lines = []
    for arm in arms:
        means = rows[rows["arm"] == arm].groupby("number")["value"].mean()
        lines.append([arm, *(_share(means.get(number)) for number in chosen)])
    columns = ["task", *(str(number + 1) for number in chosen)]
    return StreamTable("Online accuracy by task, mean over seeds", columns, lines)


def _matrix(arm: str, rows: pd.DataFrame) -> StreamTable | None:
    """Return the mean matrix of an arm: a line for each task that ended, a column for each scored.

    A task ends at the same update in all runs of an arm unless `until_accuracy` ends it.
    """
    rows = _numbered(rows)
    if rows.empty or rows["number"].nunique() < 2:
        return None
    # At the end of task k the highest number that is scored is k.
    ended = rows.groupby(["run_id", "step"], observed=True)["number"].transform("max")
    means = rows.assign(ended=ended).groupby(["ended", "number"])["value"].mean()
    chosen = _chosen(sorted(set(rows["number"])))
    lines = [
        [str(k + 1), *(_share(means.get((k, j))) if j <= k else "" for j in chosen)] for k in chosen
    ]
    title = f"{arm}: accuracy on each task (columns) at the end of each (rows), mean over seeds"
    return StreamTable(title, ["after task", *(str(j + 1) for j in chosen)], lines)


def _share(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.3f}"
