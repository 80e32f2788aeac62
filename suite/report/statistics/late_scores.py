"""Scores of a run late in training: at its end, at fixed times and at random ones.

A run that re-warms again and again is at a high rate at some moments and at a low one at others.
Its final score says little of it: that depends on the part of a cycle at which the run ends. So the
policy is also scored over the last `PART` of the run, in emulator frames, by the mean of its
evaluations

- at `FIXED` equally spaced times, the last of them the end of the run::

    t_i = (1 - PART + PART * i / FIXED) * end,    i = 1 .. FIXED

- at `RANDOM` times drawn uniformly from the same part, by a generator that depends on the number of
  the repetition alone: all arms of a seed are scored at the same times, and no period of a schedule
  can fit them.

The value at a time is that of the evaluation last made at or before it. There must be at least
`FIXED` evaluations in that part: ``task.evaluation.every`` of at most a fiftieth of the run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from suite.report.experiment import Array, NotMeasured, Track
from suite.report.statistics.summary import TaskResult

PART = 0.4
"""Share of the run, from its end, that is scored."""

FIXED = 20
"""Number of equally spaced times."""

RANDOM = 5
"""Number of times that are drawn."""

KEY = 1406
"""First part of the seed of each draw; the second is the number of the repetition."""

EVALUATION = "evaluation_return"
"""Metric that is scored: mean return of the episodes of an evaluation."""

LATE_SCORES = "late_scores.csv"
"""Name of the file in ``report/``."""

COLUMNS = ("task", "arm", "seed", "final", "fixed", "random")


class LateScores(NamedTuple):
    """Scores of one run, in the units of its evaluations.

    Attributes:
        final: of the last evaluation.
        fixed: mean at the fixed times.
        random: mean at the random ones.
    """

    final: float
    fixed: float
    random: float


def fixed_times() -> Array:
    """Return the fixed times as shares of the run, (`FIXED`,), rising to 1.

    >>> [round(float(t), 2) for t in fixed_times()[[0, 1, -1]]]
    [0.62, 0.64, 1.0]
    """
    return 1.0 - PART + PART * np.arange(1, FIXED + 1) / FIXED


def random_times(seed: int) -> Array:
    """Return the random times of a repetition as shares of the run, (`RANDOM`,), rising.

    Args:
        seed: its number; the same times for all arms and tasks.
    """
    drawn = np.random.default_rng([KEY, seed]).random(RANDOM)
    return np.sort(1.0 - PART * drawn)  # in (1 - PART, 1]


def mean_at(evaluations: Track, shares: Array) -> float:
    """Return the mean of a run's evaluations at some times.

    Args:
        evaluations: over frames; the last was made at the end of the run.
        shares: the times as shares of the run, (n,).
    """
    times = np.rint(shares * evaluations.steps[-1])  # whole frames, however products are rounded
    return float(np.mean([evaluations.at(time) for time in times]))


def late_scores(evaluations: Track, seed: int) -> LateScores:
    """Return the scores of a complete run.

    Args:
        evaluations: over frames; the last was made at the end of the run.
        seed: number of the repetition, which keys the random times.

    Raises:
        NotMeasured: if there are fewer than `FIXED` evaluations in the part that is scored, or none
            before it.
    """
    begins = np.rint((1.0 - PART) * evaluations.steps[-1])
    late = int(np.count_nonzero(evaluations.steps > begins))
    if late < FIXED or late == len(evaluations.steps):
        raise NotMeasured(f"{FIXED} evaluations in the last {PART:.0%} of the run, and one before")
    return LateScores(
        evaluations.last,
        mean_at(evaluations, fixed_times()),
        mean_at(evaluations, random_times(seed)),
    )


def late_scores_csv(tasks: Sequence[TaskResult], rows: pd.DataFrame) -> str:
    """Return the text of ``late_scores.csv``, "" if no run has evaluations enough.

    Args:
        tasks: results of all tasks; a run counts if it has a score.
        rows: as `suite.records.reader.load_results` returns them.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    written = [writer.writerow(line) for line in _lines(tasks, rows)]
    return out.getvalue() if written else ""


def _lines(tasks: Sequence[TaskResult], rows: pd.DataFrame) -> Iterable[Sequence[object]]:
    """Yield a line for each complete run that has evaluations enough, in the order of the sweep."""
    finite = np.isfinite(rows["value"].to_numpy(dtype=np.float64))
    rows = rows[(rows["metric"] == EVALUATION) & (rows["layer"] == "") & finite]
    grouped = rows.groupby(["task", "arm", "seed"], observed=True, sort=False)
    found = {tuple(map(str, key)): of for key, of in grouped}
    for task in tasks:
        for arm in task.arms:
            for seed in sorted(arm.values):
                of = found.get((task.label, arm.label, str(seed)))
                if of is None:
                    continue
                frames, values = (of[c].to_numpy(dtype=np.float64) for c in ("frames", "value"))
                try:
                    scores = late_scores(Track(frames, values), seed)
                except NotMeasured:
                    continue
                yield (task.label, arm.label, seed, *scores)
