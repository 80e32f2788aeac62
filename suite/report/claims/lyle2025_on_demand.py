"""Claims of Lyle et al. 2025, Figs. 3 and 8: grokking on demand, and the rank of attention."""

from __future__ import annotations

import math

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.lyle2025_grokking import (
    FLOOR,
    WITHIN,
    best_over_floor,
    length,
    reached,
    step_reached,
)
from suite.report.experiment import NotMeasured, Repetition

MEMORISED = 0.99
"""Training accuracy from which on a network counts as having memorised."""


def by_offset(seed: Repetition, *, highest: bool) -> list[tuple[float, str]]:
    """Return (offset in steps, arm) of the highest or the lowest peak rate, by offset.

    Raises:
        NotMeasured: unless there are two peaks and an offset above 0.
    """
    peaks = [rate for rate, _ in seed.arms_by("optimizer.lr")]
    if not peaks or peaks[0] == peaks[-1]:
        raise NotMeasured("arms of two peaks")
    peak = peaks[-1] if highest else peaks[0]
    arms = [arm for rate, arm in seed.arms_by("optimizer.lr") if rate == peak]
    found = sorted((float(seed.setting(a, "schedule.offset")), a) for a in arms)
    if found[-1][0] <= 0:
        raise NotMeasured("arms with an offset")
    return found


@claim(
    "lyle2025.4a",
    experiment="lyle2025_fig3",
    says="Re-warming to a high peak makes a network grok soon after, whenever it comes",
    statistic="longest time from re-warming to 95% test accuracy over all offsets, as a share of "
    "the budget; a time not reached counts as the whole of it",
    holds=below(WITHIN),
    source="Lyle et al. 2025, Fig. 3 left; 95% and a quarter of the budget are ours",
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
    source="Lyle et al. 2025, Fig. 3 left; 0.10 is ours",
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
    source="Lyle et al. 2025, Fig. 3 right; 0.10 is ours",
)
def a_low_peak_does_not_do(seed: Repetition) -> float:
    """Return the best test accuracy of the arms with a low peak over the floor."""
    return max(best_over_floor(seed, arm) for _, arm in by_offset(seed, highest=False))


def rise_of_flips(seed: Repetition, *, highest: bool) -> list[float]:
    """Return, by offset above 0, how the share of flipped activations rises at the re-warming.

    The largest share within a twentieth of the budget after it, over the median within as long
    before it, or since the start if that is shorter.
    """
    found = []
    for offset, arm in by_offset(seed, highest=highest):
        if offset > 0:
            flips = seed.track(arm, "activation_pattern_change", "mean")
            span = 0.05 * length(seed, arm)
            # Right at the offset, what is looked back on is still the low rate.
            before = np.median(flips.between(max(offset - span, 1), offset).values)
            after = flips.between(offset + 1, offset + span).values.max()
            found.append(float(after / max(before, 1e-6)))
    return found


@claim(
    "lyle2025.5a",
    experiment="lyle2025_fig3",
    says="Re-warming to a high peak flips many more activations",
    statistic="least over the offsets above 0 of: largest share flipped within a twentieth of the "
    "budget after re-warming, over the median within as long before",
    holds=above(3.0),
    source="Lyle et al. 2025, Fig. 3 left; factor 3 and windows are ours",
)
def activations_flip(seed: Repetition) -> float:
    """Return the least rise at a high peak."""
    return min(rise_of_flips(seed, highest=True))


@claim(
    "lyle2025.5b",
    experiment="lyle2025_fig3",
    says="Re-warming to a ten times lower peak does not",
    statistic="the same with the low peak, the largest over the offsets",
    holds=below(3.0),
    source="Lyle et al. 2025, Fig. 3 right; factor 3 and windows are ours",
)
def activations_hardly_flip(seed: Repetition) -> float:
    """Return the largest rise at a low peak."""
    return max(rise_of_flips(seed, highest=False))


def rank_left(seed: Repetition, arm: str) -> float:
    """Return the last rank of the attention outputs over that at memorisation.

    Raises:
        NotMeasured: if the network never memorises.
    """
    train = seed.track(arm, "accuracy", "train")
    memorised = np.flatnonzero(train.values >= MEMORISED)
    if not len(memorised):
        raise NotMeasured(f"99% training accuracy of arm {arm!r}")
    rank = seed.track(arm, "attention_rank", "attention_output")
    return rank.last / max(rank.at(float(train.steps[memorised[0]])), 1.0)


def _ranks_left(seed: Repetition, *, grokked: bool) -> list[float]:
    found = []
    for arm in seed.arms:
        try:
            if reached(seed, arm) == grokked:
                found.append(rank_left(seed, arm))
        except NotMeasured:
            continue
    return found


@claim(
    "lyle2025.fig8a",
    experiment="lyle2025_fig8",
    says="Where a network groks, the rank of the attention outputs has fallen",
    statistic="largest over the arms that reach 95%, of the last rank over that at memorisation",
    holds=below(1.0),
    source="Lyle et al. 2025, Fig. 8; definition of the rank and 95% are ours",
)
def rank_falls_with_grokking(seed: Repetition) -> float:
    """Return the most that is left of the rank in an arm that groks."""
    left = _ranks_left(seed, grokked=True)
    if not left:
        raise NotMeasured("an arm that groks")
    return max(left)


@claim(
    "lyle2025.fig8b",
    experiment="lyle2025_fig8",
    says="It falls further where networks grok than where they do not",
    statistic="log2 of (last rank over that at memorisation), mean over the arms that reach 95% "
    "less mean over those that do not",
    holds=below(0.0),
    source="Lyle et al. 2025, Fig. 8 and section B.1; 95% is ours",
)
def rank_falls_further(seed: Repetition) -> float:
    """Return by how many octaves further the rank falls where networks grok."""
    kept, fallen = (_ranks_left(seed, grokked=g) for g in (False, True))
    if not kept or not fallen:
        raise NotMeasured("arms that grok and arms that do not")
    means = [np.mean([math.log2(max(v, 1e-3)) for v in values]) for values in (fallen, kept)]
    return float(means[0] - means[1])
