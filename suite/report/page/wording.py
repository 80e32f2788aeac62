"""Numbers and sentences of the report; the words claim no more than the numbers.

A difference is called higher or lower only if its 95% interval excludes 0. The reader decides
whether higher is better: the metric may be a loss.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from suite.records.reader import TrialState
from suite.report.statistics.statistics import FEWEST, MOST_FOR_T, Estimate
from suite.report.statistics.summary import ArmResult, TaskResult

NO_INTERVAL = f"no interval: fewer than {FEWEST} seeds"
VERDICTS = {
    "higher": "higher",
    "lower": "lower",
    "includes 0": "no clear difference (the interval includes 0)",
    "no spread": "undecided (the same difference on every seed)",
    "no interval": f"undecided ({NO_INTERVAL})",
    "none": "no seed in common yet",
    "skipped": "skipped",
}
HOW_TO_READ = (
    "Means are over seeds. Brackets are 95% intervals of the mean: none below "
    f"{FEWEST} seeds, Student's t up to {MOST_FOR_T} (cut to the possible values of the metric), "
    "percentile bootstrap above. Differences are paired by seed. Intervals are not adjusted for "
    "the number of comparisons. Seeds with equal scores give an interval of zero width, which "
    "does not mean certainty."
)


def metric_label(metric: str, layer: str = "", unit: str = "") -> str:
    """Return a metric in words, for the axis of a figure.

    >>> metric_label("accuracy", "test")
    'test accuracy'
    >>> metric_label("mean_return_20", unit="points")
    'mean return of the last 20 episodes (points)'
    >>> metric_label("mean_return_20", unit="return")
    'mean return of the last 20 episodes'
    """
    words = re.sub(r"^mean_return_(\d+)$", r"mean return of the last \1 episodes", metric)
    words = words.replace("_", " ")
    words = f"{layer.replace('_', ' ')} {words}" if layer else words
    return words if unit in ("", "1", *words.split()) else f"{words} ({unit})"


def decimals(numbers: Iterable[float | None]) -> int:
    """Return how many decimals the largest of the numbers needs: 3 below 10, fewer above.

    >>> decimals([0.996, -0.2]), decimals([195.31]), decimals([0.0042]), decimals([])
    (3, 1, 5, 3)
    """
    largest = max((abs(x) for x in numbers if x is not None and math.isfinite(x)), default=0.0)
    if largest == 0:
        return 3
    magnitude = math.floor(math.log10(largest))
    return 2 - magnitude if magnitude < -1 else min(3, max(0, 3 - magnitude))


def task_decimals(task: TaskResult) -> int:
    """Return the decimals with which a task's scores and differences are given."""
    return decimals(end for arm in task.arms for end in arm.score[:3])


def number(value: float | None, places: int, *, sign: bool = False) -> str:
    """Return a number in plain ASCII, "" for None; a zero has no sign.

    >>> number(-0.61234, 3, sign=True), number(0.5, 1, sign=True), number(-0.0001, 2, sign=True)
    ('-0.612', '+0.5', '0.00')
    """
    if value is None:
        return ""
    text = f"{value:,.{places}f}"
    if not text.strip("-0.,"):
        return text.lstrip("-")
    return f"+{text}" if sign and value > 0 else text


def interval(estimate: Estimate | None, places: int, *, sign: bool = False) -> str:
    """Return ``mean [lo, hi]``, the mean alone where there is no interval, "-" without values.

    >>> interval(Estimate(0.5, 0.25, 0.75, 3), 2)
    '0.50 [0.25, 0.75]'
    """
    if estimate is None or estimate.mean is None:
        return "-"
    mean = number(estimate.mean, places, sign=sign)
    if estimate.lo is None:
        return mean
    ends = (number(end, places, sign=sign) for end in (estimate.lo, estimate.hi))
    return f"{mean} [{', '.join(ends)}]"


def verdict(difference: Estimate | None) -> str:
    """Return ``higher``, ``lower``, ``includes 0``, ``no interval``, ``no spread`` or ``none``.

    Seeds that all differ by the same amount, as with coarse scores of few seeds, say nothing about
    other seeds.

    >>> verdict(Estimate(0.5, 0.25, 0.75, 3)), verdict(Estimate(0.5, -0.25, 1.25, 3))
    ('higher', 'includes 0')
    """
    if difference is None or difference.mean is None:
        return "none"
    if difference.lo is None or difference.hi is None:
        return "no interval"
    if difference.lo == difference.hi != 0:
        return "no spread"
    if difference.lo > 0:
        return "higher"
    return "lower" if difference.hi < 0 else "includes 0"


def question(task: TaskResult) -> str:
    """Return what the comparison asks, in one sentence."""
    metric = metric_label(*task.record.primary_metric)
    if len(task.references) == 1:
        return f"How does {metric} differ from that of '{task.references[0]}'?"
    if task.references:
        return f"How does {metric} of each arm differ from that of its reference?"
    return f"What {metric} does each arm reach?"


def reading(task: TaskResult) -> tuple[str, list[tuple[str, list[str]]]]:
    """Return what the differences show: what with, then per verdict its words and its arms."""
    if not any(arm.score.n for arm in task.arms):
        return "No run of this task has a result yet", []
    compared = [arm for arm in task.arms if arm.reference is not None]
    if not compared:
        if any(map(task.record.reference_of, task.record.arms)):
            return "None of these arms is the reference of another, so no differences are given", []
        return "This task has no reference arm, so no differences are given", []
    if len(task.references) > 1:
        return "Against each arm's own reference", _verdicts(compared, task)
    reference = next(arm for arm in task.arms if arm.label == task.references[0])
    if reference.score.n == 0:
        return f"No difference can be given: '{reference.label}' has no result yet", []
    mean = number(reference.score.mean, task_decimals(task))
    lead = f"Against '{reference.label}' ({mean}, n = {reference.score.n})"
    return lead, _verdicts(compared, task)


def _verdicts(arms: Sequence[ArmResult], task: TaskResult) -> list[tuple[str, list[str]]]:
    """Return each verdict and the arms that it holds for, with their differences."""
    sizes = {arm.label: arm.score.n for arm in task.arms}
    by_verdict: dict[str, list[str]] = {}
    for arm in arms:
        kind = verdict(arm.difference)
        if kind == "none" and arm.count("skipped") == len(arm.runs):
            kind = "skipped"
        item = arm.label
        if len(task.references) > 1:
            item += f" against '{arm.reference}'"
        if arm.difference is not None and arm.difference.n:
            shown = interval(arm.difference, task_decimals(task), sign=True)
            fewer = arm.difference.n < sizes[arm.reference or ""]
            seeds = f"{arm.difference.n} paired seed{'s' if arm.difference.n > 1 else ''}"
            item += f" ({shown}{f', {seeds}' if fewer else ''})"
        by_verdict.setdefault(kind, []).append(item)
    return [(words, by_verdict[k]) for k, words in VERDICTS.items() if k in by_verdict]


def run_counts(arm: ArmResult) -> str:
    """Return how many of an arm's runs are complete, and the states of the others.

    For instance ``3/5 (1 diverged, 1 running)``.
    """
    planned = [run for run in arm.runs if run.status.state != "skipped"]
    others: tuple[TrialState, ...] = ("running", "not started", "diverged", "failed", "skipped")
    counts = [f"{arm.count(state)} {state}" for state in others if arm.count(state)]
    without = sum(run.status.state == "complete" and run.value is None for run in arm.runs)
    counts += [f"{without} without a value"] if without else []
    text = f"{arm.count('complete')}/{len(planned)}"
    return f"{text} ({', '.join(counts)})" if counts else text


def troubles(task: TaskResult) -> list[tuple[str, str, str]]:
    """Return arm and seeds, state, and reason of incomplete runs; equal ones are joined.

    Runs that continue or wait without a problem are left to `run_counts`.
    """
    found: dict[tuple[str, str, str], list[int]] = {}
    for run in task.runs:
        state, reason = run.status.state, run.status.reason
        if state == "complete" and run.value is None:
            reason = f"no finite value of {task.metric}"
        elif state == "complete" or (state in ("running", "not started") and not reason):
            continue
        key = (run.trial.arm, state, reason or "no reason recorded")
        found.setdefault(key, []).append(run.trial.seed)
    return [
        (f"{arm}, {_seeds(seeds)}", state, reason) for (arm, state, reason), seeds in found.items()
    ]


def impossible(task: TaskResult) -> str:
    """Return a sentence on scores outside the range that their metric declares, "" without any."""
    declared = task.record.range_of(task.record.primary_metric[0])
    outside = declared.outside(run.value for run in task.runs if run.value is not None)
    if not outside:
        return ""
    ends = (end if end is None else f"{end:g}" for end in (declared.lower, declared.upper))
    words = (f"{side} {end}" for side, end in zip(("below", "above"), ends, strict=True) if end)
    scores = "1 score lies" if outside == 1 else f"{outside} scores lie"
    return (
        f"{scores} {' or '.join(words)}, outside the range that {task.metric} declares; "
        "intervals ignore a bound that a score has passed."
    )


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(0.4), duration(95), duration(5000), duration(200_000)
    ('0.4 s', '95 s', '83 min', '56 h')
    """
    for limit, unit, size in ((10, "s", 1), (120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if limit == 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.0f} h"
