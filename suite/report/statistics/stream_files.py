"""Warm starts and alarms by seed, as CSV: the numbers behind the tables of streams."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from suite.report.statistics.alarms import watched_runs
from suite.report.statistics.summary import TaskResult
from suite.report.statistics.warm_start import matches

WARM_START, ALARMS = "warm_start.csv", "alarms.csv"
"""Names of the files."""

WARM_START_COLUMNS = (
    *("task", "arm", "seed", "fresh", "gap"),
    *("steps", "reached", "nearly_steps", "nearly_reached", "cost"),
)
ALARM_COLUMNS = ("task", "arm", "seed", "alarms", "changes", "delays", "false_alarms", "missed")


def stream_files(
    tasks: Sequence[TaskResult], rows: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return the text of each file by name, "" for one without lines.

    Args:
        tasks: results of all tasks.
        rows: as `suite.records.reader.load_results` returns them.
        configs: contents of ``config.yaml`` by run id.
    """
    return {
        WARM_START: _csv(WARM_START_COLUMNS, _warm_starts(tasks, rows)),
        ALARMS: _csv(ALARM_COLUMNS, _alarms(tasks, rows, configs)),
    }


def _warm_starts(tasks: Sequence[TaskResult], rows: pd.DataFrame) -> Iterable[Sequence[object]]:
    """Yield a line for each warm run: numbers that are not reached are lower bounds."""
    for task in tasks:
        found = matches(task, rows)
        for arm in task.arms:
            for seed, match in found.get(arm.label, {}).items():
                yield (
                    *(task.label, arm.label, seed, arm.gap_to, match.gap),
                    *(match.steps.lo, match.steps.exact),
                    *(match.nearly.lo, match.nearly.exact, match.cost.lo),
                )


def _alarms(
    tasks: Sequence[TaskResult], rows: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> Iterable[Sequence[object]]:
    """Yield a line for each run with a trigger; of several steps or delays with spaces between."""
    for task in tasks:
        for run in watched_runs(task, rows, configs):
            found = run.found
            yield (
                *(task.label, run.arm, run.seed, " ".join(map(str, run.alarms))),
                *(found.changes, " ".join(f"{delay:g}" for delay in found.delays)),
                *(found.false_alarms, found.missed),
            )


def _csv(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    written = [writer.writerow(line) for line in lines]
    return out.getvalue() if written else ""
