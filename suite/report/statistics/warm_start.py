"""How a warm start compares with a fresh network: the gap, and when it is made up for.

For a run of several phases and the fresh network of the same seed, the arm that its gap is to:

- gap: the fresh network's final accuracy less the warm one's (Ash and Adams 2020);
- steps to match: updates of the last phase until the warm network reaches the fresh one's final
  accuracy, or a share of it; at least all of them where it does not (`Censored`);
- cost to match: the same, with the updates of the earlier phases.

A level is reached between two measurements; the step is interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from suite.report.experiment import Track
from suite.report.statistics.censored import Censored
from suite.report.statistics.summary import TaskResult
from suite.report.statistics.transitions import first_above

NEARLY = 0.99
"""Share of the fresh network's accuracy that counts as nearly matched."""

ACCURACY = "accuracy"
"""Metric that gaps are of: one where more is better."""


@dataclass(frozen=True)
class Match:
    """A warm run against the fresh one of its seed.

    Attributes:
        gap: final accuracy of the fresh run less that of the warm one.
        before: updates made in the phases before the last.
        steps: updates of the last phase until the fresh run's final accuracy is reached.
        nearly: the same for `NEARLY` of that accuracy.
    """

    gap: float
    before: float
    steps: Censored
    nearly: Censored

    @property
    def cost(self) -> Censored:
        """Updates of all phases until the fresh run's final accuracy is reached."""
        return self.steps + self.before


def match(warm: Track, starts: Sequence[float], fresh: float) -> Match:
    """Return how a warm run compares with a fresh one.

    Args:
        warm: its accuracy over all phases.
        starts: steps at which its second and later phases begin. A phase that ended early was
            measured at its own end, and the steps from there to the next phase are no updates.
        fresh: final accuracy of the fresh run.

    Raises:
        ValueError: if nothing was measured before the last phase, or nothing in it.
    """
    ends = np.searchsorted(warm.steps, starts, "right") - 1
    last = int(ends[-1])
    if min(ends) < 0 or last + 1 == len(warm.steps):
        raise ValueError(f"warm: expected measurements before and after step {starts[-1]:g}")
    steps = np.concatenate([[0.0], warm.steps[last + 1 :] - starts[-1]])
    phase = Track(steps, warm.values[last:])

    def reached(level: float) -> Censored:
        found = first_above(phase, level, log=False)
        return Censored(min(found, float(steps[-1])), found)

    before = float((warm.steps[ends] - [0.0, *starts[:-1]]).sum())
    return Match(fresh - warm.last, before, reached(fresh), reached(NEARLY * fresh))


def matches(task: TaskResult, rows: pd.DataFrame) -> Mapping[str, Mapping[int, Match]]:
    """Return how the runs of several phases compare with fresh ones, by arm and seed.

    Only arms with a gap to another one, and pairs of complete runs; empty unless the task is scored
    by an accuracy.

    Args:
        task: its results.
        rows: as `suite.records.reader.load_results` returns them.
    """
    metric, layer = task.record.primary_metric
    if metric != ACCURACY:
        return {}
    finals = {arm.label: arm.values for arm in task.arms}
    of_task = rows[rows["task"] == task.label]
    begun = of_task[(of_task["metric"] == "phase") & (of_task["value"] > 0)]
    starts = dict(list(begun.groupby(["arm", "seed"], observed=True)["step"]))
    scores = of_task[(of_task["metric"] == metric) & (of_task["layer"] == layer)]
    found: dict[str, dict[int, Match]] = {}
    by_run = dict(list(scores.groupby(["arm", "seed"], observed=True)))
    for arm in task.arms:
        for seed in arm.values if arm.gap_to is not None else ():
            later = sorted(float(step) for step in starts.get((arm.label, seed), ()))
            fresh = finals[arm.gap_to or ""].get(seed)
            track = _track(by_run[arm.label, seed])
            if fresh is None or not later:
                continue
            if track.steps[0] <= later[0] and later[-1] < track.steps[-1]:
                found.setdefault(arm.label, {})[seed] = match(track, later, fresh)
    return found


def _track(run: pd.DataFrame) -> Track:
    """Return the finite values of a run by step, of several at one step the latest."""
    steps, values = (run[key].to_numpy(dtype=np.float64) for key in ("step", "value"))
    finite = np.isfinite(values)
    by_step = dict(zip(steps[finite], values[finite], strict=True))
    order = sorted(by_step)
    return Track(np.array(order), np.array([by_step[step] for step in order]))
