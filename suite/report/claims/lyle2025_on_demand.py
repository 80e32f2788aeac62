"""Claims of Lyle et al. 2025, Figs. 3 and 8: grokking on demand, and the rank of attention."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.lyle2025_grokking import (
    FLOOR,
    MEMORISED,
    REACHED,
    WITHIN,
    best_over_floor,
    reached,
    step_reached,
)
from suite.report.claims.shared import length
from suite.report.experiment import NotMeasured, Repetition

WINDOW = 0.05
"""Share of the budget before and after a re-warming in which flips are compared; ours."""

FLIPS = 3.0
"""Rise of flipped activations that counts as many more; ours."""

RANKS = {
    "attention_rank": "rank (values above 1% of the largest)",
    "attention_rank_10": "rank (values above 10% of the largest)",
    "attention_effective_rank": "effective rank",
}
"""Metrics of the rank, and how statistics speak of them."""

AFTERWARDS = "; added once the first board had shown the rank by 1% at its ceiling"


def by_offset(seed: Repetition, *, highest: bool) -> list[tuple[float, str]]:
    """Return (offset in steps, arm) of the highest or the lowest peak rate, by offset.

    Raises:
        NotMeasured: unless there are two peaks and an offset above 0.
    """
    arms = seed.grid("optimizer.lr", "schedule.offset")
    peaks = sorted({peak for peak, _ in arms})
    if len(peaks) < 2:
        raise NotMeasured("arms of two peaks")
    chosen = peaks[-1] if highest else peaks[0]
    found = [(float(offset), arm) for (peak, offset), arm in arms.items() if peak == chosen]
    if found[-1][0] <= 0:
        raise NotMeasured("arms with an offset")
    return found


@claim(
    "lyle2025.4a",
    experiment="lyle2025_fig3",
    says="Re-warming to a high peak makes a network grok soon after, whenever it comes",
    statistic=f"longest time from re-warming to {REACHED:.0%} test accuracy over all offsets, as "
    "a share of the budget; a time not reached counts as the whole of it",
    holds=below(WITHIN),
    source=f"Lyle et al. 2025, Fig. 3 left; {REACHED:.0%} and {WITHIN:.0%} of the budget are ours",
)
def groks_soon_after_re_warming(seed: Repetition) -> float:
    """Return the longest delay over the offsets, as a share of the budget."""
    delays = []
    for offset, arm in by_offset(seed, highest=True):
        after = step_reached(seed, arm).lo - offset
        delays.append(after / length(seed, arm) if reached(seed, arm) else 1.0)
    return max(delays)


@claim(
    "lyle2025.4b",
    experiment="lyle2025_fig3",
    says="Before the re-warming it has not grokked",
    statistic="highest test accuracy at the re-warming over the offsets above 0, less the training "
    "fraction",
    holds=below(FLOOR),
    source=f"Lyle et al. 2025, Fig. 3 left; {FLOOR:.2f} is ours",
)
def not_before_re_warming(seed: Repetition) -> float:
    """Return the highest test accuracy at the re-warming over the floor."""
    return max(
        seed.track(arm, "accuracy", "test").at(offset) - float(seed.setting(arm, "task.fraction"))
        for offset, arm in by_offset(seed, highest=True)
        if offset > 0
    )


@claim(
    "lyle2025.4c",
    experiment="lyle2025_fig3",
    says="Re-warming to a ten times lower peak leaves it ungrokked",
    statistic="best test accuracy over all offsets, less the training fraction",
    holds=below(FLOOR),
    source=f"Lyle et al. 2025, Fig. 3 right; {FLOOR:.2f} is ours",
)
def a_low_peak_does_not_do(seed: Repetition) -> float:
    """Return the best test accuracy of the arms with a low peak over the floor."""
    return max(best_over_floor(seed, arm) for _, arm in by_offset(seed, highest=False))


def rise_of_flips(seed: Repetition, *, highest: bool) -> list[float]:
    """Return, by offset above 0, how the share of flipped activations rises at the re-warming.

    The largest share within a `WINDOW` of the budget after it, over the median within as long
    before it, or since the start if that is shorter.
    """
    found = []
    for offset, arm in by_offset(seed, highest=highest):
        if offset > 0:
            flips = seed.track(arm, "activation_pattern_change", "mean")
            span = WINDOW * length(seed, arm)
            # Right at the offset, what is looked back on is still the low rate.
            before = np.median(flips.between(max(offset - span, 1), offset).values)
            after = flips.between(offset + 1, offset + span).values.max()
            found.append(float(after / max(before, 1e-6)))
    return found


@claim(
    "lyle2025.5a",
    experiment="lyle2025_fig3",
    says="Re-warming to a high peak flips many more activations",
    statistic=f"least over the offsets above 0 of: largest share flipped within {WINDOW:.0%} of "
    "the budget after re-warming, over the median within as long before",
    holds=above(FLIPS),
    source=f"Lyle et al. 2025, Fig. 3 left; factor {FLIPS:g} and windows are ours",
)
def activations_flip(seed: Repetition) -> float:
    """Return the least rise at a high peak."""
    return min(rise_of_flips(seed, highest=True))


@claim(
    "lyle2025.5b",
    experiment="lyle2025_fig3",
    says="Re-warming to a ten times lower peak does not",
    statistic="the same with the low peak, the largest over the offsets",
    holds=below(FLIPS),
    source=f"Lyle et al. 2025, Fig. 3 right; factor {FLIPS:g} and windows are ours",
)
def activations_hardly_flip(seed: Repetition) -> float:
    """Return the largest rise at a low peak."""
    return max(rise_of_flips(seed, highest=False))


def rank_left(seed: Repetition, arm: str, metric: str) -> float:
    """Return the last rank of the attention outputs over that at memorisation, by a metric.

    Raises:
        NotMeasured: if the network never memorises.
    """
    train = seed.track(arm, "accuracy", "train")
    memorised = np.flatnonzero(train.values >= MEMORISED)
    if not len(memorised):
        raise NotMeasured(f"a training accuracy of {MEMORISED:.0%} of arm {arm!r}")
    rank = seed.track(arm, metric, "attention_output")
    return rank.last / max(rank.at(float(train.steps[memorised[0]])), 1.0)


def _ranks_left(seed: Repetition, metric: str, *, grokked: bool) -> list[float]:
    found = []
    for arm in seed.arms:
        try:
            if reached(seed, arm) == grokked:
                found.append(rank_left(seed, arm, metric))
        except NotMeasured:
            continue
    return found


def rank_falls(seed: Repetition, metric: str) -> float:
    """Return the most that is left of the rank in an arm that groks.

    Raises:
        NotMeasured: if none does.
    """
    left = _ranks_left(seed, metric, grokked=True)
    if not left:
        raise NotMeasured("an arm that groks")
    return max(left)


def rank_falls_further(seed: Repetition, metric: str) -> float:
    """Return by how many octaves further the rank falls where networks grok.

    Raises:
        NotMeasured: unless some do and some do not.
    """
    kept, fallen = (_ranks_left(seed, metric, grokked=g) for g in (False, True))
    if not kept or not fallen:
        raise NotMeasured("arms that grok and arms that do not")
    means = [np.mean([math.log2(max(v, 1e-3)) for v in values]) for values in (fallen, kept)]
    return float(means[0] - means[1])


for _letters, (_metric, _name) in zip(("ab", "cd", "ef"), RANKS.items(), strict=True):
    _late = "" if _metric == "attention_rank" else AFTERWARDS
    claim(
        f"lyle2025.fig8{_letters[0]}",
        experiment="lyle2025_fig8",
        says="Where a network groks, the rank of the attention outputs has fallen",
        statistic=f"largest over the arms that reach {REACHED:.0%}, of the last {_name} over "
        f"that at a training accuracy of {MEMORISED:.0%}",
        holds=below(1.0),
        source=f"Lyle et al. 2025, Fig. 8; definition of the rank and {REACHED:.0%} are "
        f"ours{_late}",
    )(partial(rank_falls, metric=_metric))
    claim(
        f"lyle2025.fig8{_letters[1]}",
        experiment="lyle2025_fig8",
        says="It falls further where networks grok than where they do not",
        statistic=f"log2 of (last {_name} over that at a training accuracy of {MEMORISED:.0%}), "
        f"mean over the arms that reach {REACHED:.0%} less mean over those that do not",
        holds=below(0.0),
        source=f"Lyle et al. 2025, Fig. 8 and section B.1; {REACHED:.0%} is ours{_late}",
    )(partial(rank_falls_further, metric=_metric))
