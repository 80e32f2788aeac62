"""From rows to the numbers of the report: per task and arm, the primary metric over seeds.

The score of a complete run is the last row of its task's primary metric. Runs that failed or
diverged have no score: they are always counted and reported, never averaged in. Intervals stay
inside the range that the primary metric declares.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from suite.ranges import Range
from suite.records.reader import Status, SweepRecord, TaskRecord, TrialRecord, TrialState
from suite.report.statistics.statistics import Estimate, estimate, paired_difference

PER_SEED_COLUMNS = (
    *("task", "arm", "seed", "run_id", "state", "reason"),
    *("metric", "value", "step", "total", "wall_s"),
)


@dataclass(frozen=True)
class Run:
    """One trial, its state, and its score: None unless it is complete and finite."""

    trial: TrialRecord
    status: Status
    value: float | None


@dataclass(frozen=True)
class ArmResult:
    """One arm of a task.

    Attributes:
        label: the arm.
        runs: all its trials, in any state.
        score: the primary metric over complete runs.
        reference: the arm that it is compared with, None for a reference.
        difference: score minus the reference's over common seeds, None for a reference.
        gap_to: the further arm that its gap is to, if any.
        gap: the same difference to that arm.
    """

    label: str
    runs: tuple[Run, ...]
    score: Estimate
    reference: str | None = None
    difference: Estimate | None = None
    gap_to: str | None = None
    gap: Estimate | None = None

    @property
    def values(self) -> dict[int, float]:
        """Score by seed."""
        return {run.trial.seed: run.value for run in self.runs if run.value is not None}

    @property
    def failed(self) -> int:
        """Number of runs that failed or diverged."""
        return self.count("failed", "diverged")

    def count(self, *states: TrialState) -> int:
        """Return the number of runs in any of the states."""
        return sum(run.status.state in states for run in self.runs)


@dataclass(frozen=True)
class TaskResult:
    """One task: what was asked of it and what each arm scored, in the order of the sweep.

    Attributes:
        label: the task.
        record: what was asked.
        arms: what each scored.
        game: the Atari game that all its runs are of, if any; see `suite.report.statistics.games`.
    """

    label: str
    record: TaskRecord
    arms: tuple[ArmResult, ...]
    game: str | None = None

    @property
    def metric(self) -> str:
        """The primary metric as rows name it, such as ``accuracy/test``."""
        return "/".join(part for part in self.record.primary_metric if part)

    @property
    def references(self) -> tuple[str, ...]:
        """Arms that others are compared with."""
        used = {arm.reference for arm in self.arms}
        return tuple(arm.label for arm in self.arms if arm.label in used)

    @property
    def gap_arms(self) -> tuple[str, ...]:
        """Arms that the gap of others is to."""
        used = {arm.gap_to for arm in self.arms}
        return tuple(arm.label for arm in self.arms if arm.label in used)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All trials of the task."""
        return tuple(run for arm in self.arms for run in arm.runs)


def summarise(
    sweep: SweepRecord, statuses: Mapping[TrialRecord, Status], rows: pd.DataFrame
) -> list[TaskResult]:
    """Return the result of every task of a sweep.

    Args:
        sweep: what was asked.
        statuses: the state of each of its trials.
        rows: as `suite.records.reader.load_results` returns them.
    """
    trials: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in sweep.trials:
        trials.setdefault((trial.task, trial.arm), []).append(trial)
    results = []
    for label, record in sweep.tasks.items():
        last = _last_values(rows, label, record.primary_metric)
        possible = record.range_of(record.primary_metric[0])
        arms = {}
        for arm in record.arms:
            runs = []
            for trial in trials.get((label, arm), []):
                complete = statuses[trial].state == "complete"
                value = last.get((arm, trial.seed), math.nan) if complete else math.nan
                runs.append(Run(trial, statuses[trial], value if math.isfinite(value) else None))
            scored = [run.value for run in runs if run.value is not None]
            arms[arm] = ArmResult(
                label=arm,
                runs=tuple(runs),
                score=estimate(scored, possible),
                reference=record.reference_of(arm),
                gap_to=record.gap_of(arm),
            )
        compared = tuple(_compare(arm, arms, possible) for arm in arms.values())
        results.append(TaskResult(label, record, compared))
    return results


def _last_values(
    rows: pd.DataFrame, task: str, primary_metric: tuple[str, str]
) -> dict[tuple[str, int], float]:
    """Return the last value of the primary metric by arm and seed."""
    metric, layer = primary_metric
    chosen = rows[
        (rows["task"] == task) & (rows["metric"] == metric) & (rows["layer"] == layer)
    ].sort_values("step", kind="stable")
    last: Iterable[Any] = chosen.drop_duplicates(["arm", "seed"], keep="last").itertuples()
    return {(row.arm, int(row.seed)): float(row.value) for row in last}


def _compare(arm: ArmResult, arms: Mapping[str, ArmResult], possible: Range) -> ArmResult:
    """Return the arm with its paired differences."""

    def to(other: str | None) -> Estimate | None:
        if other is None:
            return None
        return paired_difference(arm.values, arms[other].values, possible)

    return replace(arm, difference=to(arm.reference), gap=to(arm.gap_to))


def as_summary(results: Sequence[TaskResult]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what ``summary.json`` holds: ``{task: {arm: {...}}}``, None where there is no number.

    Keys of an arm: `metric`, `mean`, `lo`, `hi`, `n`; `diff`, `diff_lo`, `diff_hi` to its reference
    arm; `gap`, `gap_lo`, `gap_hi` in tasks that name an arm to give the distance to; `failed`.
    """
    return {
        task.label: {arm.label: _arm_summary(task, arm) for arm in task.arms} for task in results
    }


def _arm_summary(task: TaskResult, arm: ArmResult) -> dict[str, Any]:
    none = Estimate(None, None, None, 0)
    score, difference, gap = arm.score, arm.difference or none, arm.gap or none
    entry: dict[str, Any] = {
        "metric": task.metric,
        "mean": score.mean,
        "lo": score.lo,
        "hi": score.hi,
        "n": score.n,
        "diff": difference.mean,
        "diff_lo": difference.lo,
        "diff_hi": difference.hi,
    }
    if task.gap_arms:
        entry |= {"gap": gap.mean, "gap_lo": gap.lo, "gap_hi": gap.hi}
    return {**entry, "failed": arm.failed}


def summary_json(results: Sequence[TaskResult]) -> str:
    """Return the text of ``summary.json``."""
    return json.dumps(as_summary(results), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def per_seed_csv(results: Sequence[TaskResult]) -> str:
    """Return the text of ``per_seed.csv``: one line per trial, an empty value where it has none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(PER_SEED_COLUMNS)
    for task in results:
        for run in task.runs:
            trial, status = run.trial, run.status
            value = "" if run.value is None else repr(run.value)
            writer.writerow(
                (
                    *(task.label, trial.arm, trial.seed, trial.run_id),
                    *(status.state, status.reason, task.metric, value),
                    *(status.step, status.total, round(status.wall_s, 3)),
                )
            )
    return out.getvalue()
