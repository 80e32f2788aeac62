"""The alarms of the runs that a trigger watches, against the changes of their stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from suite.report.statistics.detection import Detection, detection
from suite.report.statistics.summary import TaskResult

ALARM, PHASE = "alarm", "phase"
"""Rows of alarms of a trigger, and of the changes that it is there to find."""


@dataclass(frozen=True)
class Watched:
    """A complete run with a trigger.

    Attributes:
        arm: its arm.
        seed: its seed.
        alarms: steps of the updates whose losses made them, in order.
        found: how they relate to the changes.
    """

    arm: str
    seed: int
    alarms: tuple[int, ...]
    found: Detection


def watched_runs(
    task: TaskResult, rows: pd.DataFrame, configs: Mapping[str, Mapping[str, Any]]
) -> list[Watched]:
    """Return the complete runs of a stream that a trigger watches, with alarms or none.

    Args:
        task: its results.
        rows: as `suite.records.reader.load_results` returns them.
        configs: configs by run id; they say whether a trigger watches.
    """
    events = rows[(rows["task"] == task.label) & rows["metric"].isin((ALARM, PHASE))]
    by_run = dict(list(events.groupby(["arm", "seed"], observed=True)))
    found = []
    for run in task.runs:
        trial = run.trial
        of_run = by_run.get((trial.arm, trial.seed))
        schedule = configs.get(trial.run_id, {}).get("schedule")
        if of_run is None or run.status.state != "complete" or not _has_trigger(schedule):
            continue
        alarms, phases = (of_run.loc[of_run["metric"] == name, "step"] for name in (ALARM, PHASE))
        steps = tuple(sorted(int(step) for step in alarms))
        found.append(Watched(trial.arm, trial.seed, steps, detection(steps, list(phases))))
    return found


def _has_trigger(schedule: Any) -> bool:
    """Return whether a schedule, or one within it, has a trigger."""
    if not isinstance(schedule, Mapping):
        return False
    return "trigger" in schedule or any(map(_has_trigger, schedule.values()))
