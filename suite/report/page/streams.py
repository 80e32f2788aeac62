"""Tables of streams: warm starts against fresh networks, alarms against changes, accuracy by task.

The last is a line for each arm, and a matrix of the accuracies on earlier tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from suite.ranges import SIZE
from suite.report.experiment import task_numbers
from suite.report.page.wording import interval
from suite.report.statistics.alarms import ALARM, PHASE, watched_runs
from suite.report.statistics.censored import Censored, mean
from suite.report.statistics.statistics import estimate
from suite.report.statistics.stream_files import ALARMS, WARM_START
from suite.report.statistics.summary import TaskResult
from suite.report.statistics.warm_start import NEARLY, Match, matches

TASK, MATRIX = "task_online_accuracy", "task_accuracy"
"""Metrics whose layer is the number of a task of a stream."""

STREAMS = (TASK, MATRIX, ALARM, PHASE)
"""Names of the rows that the tables need besides the primary metric."""

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


def stream_tables(
    task: TaskResult, rows: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> list[StreamTable]:
    """Return the tables of a task that is a stream; none of other tasks.

    Args:
        task: its results.
        rows: as `suite.records.reader.load_results` returns them.
        configs: configs by run id; they say whether a trigger watches.
    """
    complete = {r.trial.run_id for r in task.runs if r.status.state == "complete"}
    rows = rows[(rows["task"] == task.label) & rows["run_id"].isin(complete)]
    tables = [*_warm_starts(task, rows), *_alarms(task, rows, configs)]
    arms = [arm.label for arm in task.arms]
    if (table := _by_task(arms, rows[rows["metric"] == TASK])) is not None:
        tables.append(table)
    matrices = rows[rows["metric"] == MATRIX]
    for arm in arms:
        if (table := _matrix(arm, matrices[matrices["arm"] == arm])) is not None:
            tables.append(table)
    return tables


def _warm_starts(task: TaskResult, rows: pd.DataFrame) -> list[StreamTable]:
    """Return a table for each arm that gaps are to: how warm starts compare with it."""
    found = matches(task, rows)
    tables = []
    for fresh in task.gap_arms:
        lines = [
            [arm.label, *_compared(task, list(found[arm.label].values()))]
            for arm in task.arms
            if arm.gap_to == fresh and arm.label in found
        ]
        if lines:
            title = f"Warm starts against {fresh}; steps are updates of the last phase"
            tables.append(StreamTable(f"{title} (by seed: {WARM_START})", COLUMNS, lines))
    return tables


COLUMNS = (
    *("arm", "gap: fresh minus warm [95% interval]", "steps to match"),
    *(f"steps to {NEARLY:.0%} of it", "cost to match, all phases", "runs that match"),
)


def _compared(task: TaskResult, runs: Sequence[Match]) -> list[str]:
    """Return the cells of an arm after its name."""
    possible = task.record.range_of(task.record.primary_metric[0]).difference()
    matched = sum(run.steps.exact for run in runs)
    return [
        interval(estimate([run.gap for run in runs], possible), 3, sign=True),
        _steps([run.steps for run in runs]),
        _steps([run.nearly for run in runs]),
        _steps([run.cost for run in runs]),
        f"{matched}/{len(runs)}",
    ]


def _steps(numbers: Sequence[Censored]) -> str:
    """Return the mean with its interval; a lower bound of it where some are not known."""
    if all(number.exact for number in numbers):
        return interval(estimate([number.lo for number in numbers], SIZE), 0)
    return f">= {mean(numbers).lo:,.0f}"


def _alarms(
    task: TaskResult, rows: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> list[StreamTable]:
    """Return the table of the runs with a trigger, alarms or none; empty if there are none."""
    lines = []
    for run in watched_runs(task, rows, configs):
        found = run.found
        delay = f"{np.mean(found.delays):,.1f}" if found.delays else "-"
        share = f"{len(found.delays)}/{found.changes}"
        name = f"{run.arm}, seed {run.seed}"
        lines.append([name, share, delay, str(found.false_alarms), _listed(run.alarms)])
    title = "Alarms: the first in a phase after the first finds its change, others are false"
    columns = ("run", "changes found", "mean delay (updates)", "false alarms", "alarms at step")
    return [StreamTable(f"{title} ({ALARMS} has all)", columns, lines)] if lines else []


def _listed(steps: Sequence[int]) -> str:
    """Return steps for a cell: all of them, or the first and how many more there are."""
    more = len(steps) - MOST
    shown = ", ".join(map(str, steps[:MOST])) or "-"
    return f"{shown} and {more:,} more" if more > 0 else shown


def _chosen(numbers: Sequence[int]) -> list[int]:
    """Return at most `MOST` of the numbers, the first and the last among them."""
    places = np.unique(
        np.linspace(0, len(numbers) - 1, min(MOST, len(numbers))).round().astype(int)
    )
    return [numbers[place] for place in places]


def _by_task(arms: Sequence[str], rows: pd.DataFrame) -> StreamTable | None:
    """Return the table of the mean online accuracy on each task, a line for each arm."""
    rows = rows.assign(number=task_numbers(rows))
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
    rows = rows.assign(number=task_numbers(rows))
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
