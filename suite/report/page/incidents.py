"""Events in runs that their scores do not show: refills, lost blocks, bad checkpoints."""

from __future__ import annotations

import pandas as pd

from suite.report.statistics.summary import TaskResult

REFILL, LOST, REFUSED = "replay_refill", "lost_block", "checkpoint_refused"
INCIDENTS = (REFILL, LOST, REFUSED)
"""Metrics of rows that record incidents."""


def incidents(task: TaskResult, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return arm and seed, and what happened, of the runs that anything happened to.

    Args:
        task: the task.
        rows: as `suite.records.reader.load_results` returns them.
    """
    told = rows[(rows["task"] == task.label) & rows["metric"].isin(INCIDENTS)]
    found = []
    for run in task.runs:
        arm, seed = run.trial.arm, run.trial.seed
        of_run = told[(told["arm"] == arm) & (told["seed"] == seed)]
        parts = []
        if len(refills := of_run[of_run["metric"] == REFILL]):
            steps, times = refills["value"].sum(), _times(len(refills))
            parts.append(
                f"filled its replay again {times} after a restore ({steps:,.0f} agent steps)"
            )
        if len(lost := of_run[of_run["metric"] == LOST]):
            blocks = "1 block" if len(lost) == 1 else f"{len(lost):,} blocks"
            parts.append(f"lost {blocks} with {', '.join(sorted(set(lost['layer'])))}, which died")
        parts += list(of_run.loc[of_run["metric"] == REFUSED, "layer"].astype(str))
        if parts:
            found.append((f"{arm}, seed {seed}", "; ".join(parts)))
    return found


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
