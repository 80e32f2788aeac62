"""Claims of Lyle et al. 2025, section 5: warm starts, Figs. 4, 5, 9 and 13."""

from __future__ import annotations

import numpy as np

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition

NEAR = 0.01
"""Difference of accuracies that counts as none: one point, ours; the paper speaks of noise."""

AGREE = 0.2
"""Share by which update norms may differ; ours, after the paper's figure."""

SOON = 0.1
"""Share of the second phase after its start in which a rank is looked at; ours."""

NAP: Chosen = {"interventions.nap.kind": "nap"}
FREE: Chosen = {"interventions.nap": None}
PLAIN: Chosen = {"task.augment": "none"}
SLOW: Chosen = {"optimizer.rate_by_role.weight": 0.1}
FAST: Chosen = {"optimizer.rate_by_role.output": 0.1}
CONSTANT: Chosen = {"optimizer.rate_by_role.weight": None, "optimizer.rate_by_role.output": None}


def by_fraction(seed: Repetition, settings: Chosen) -> list[tuple[float, str]]:
    """Return (share of the data in the first phase, arm) in rising order, without augmentation.

    Raises:
        NotMeasured: unless there are two shares.
    """
    arms = seed.grid("task.phases.0.fraction", where=PLAIN | settings)
    found = [(float(share), arm) for (share,), arm in arms.items()]
    if len(found) < 2:
        raise NotMeasured("arms of two first phases")
    return found


def final(seed: Repetition, arm: str) -> float:
    """Return the test accuracy at the end of a run."""
    return seed.track(arm, "accuracy", "test").last


def gap(seed: Repetition, settings: Chosen) -> float:
    """Return by how much the smallest first phase ends below the largest."""
    arms = by_fraction(seed, settings)
    return final(seed, arms[-1][1]) - final(seed, arms[0][1])


def second_phase(seed: Repetition, arm: str) -> tuple[float, float]:
    """Return the first and the last gradient step of the second phase.

    Raises:
        NotMeasured: if it did not begin.
    """
    phase = seed.track(arm, "phase")
    begun = phase.steps[phase.values == 1]
    if not len(begun):
        raise NotMeasured(f"a second phase of arm {arm!r}")
    return float(begun[0]), float(seed.track(arm, "accuracy", "test").steps[-1])


def mean_in_second(seed: Repetition, arm: str, metric: str, layer: str) -> float:
    """Return the mean of a metric over the second phase, its first measurement left out."""
    start, stop = second_phase(seed, arm)
    return float(np.mean(seed.track(arm, metric, layer).between(start + 1, stop).values))


def ratio(seed: Repetition, metric: str, layer: str | None = None) -> float:
    """Return a metric's mean over the second phase with free norms, over that with NaP.

    Args:
        seed: the repetition.
        metric: its name.
        layer: its layer; None for the mean over all layers.
    """
    means = []
    for which in (FREE, NAP):
        arm = by_fraction(seed, which)[0][1]
        layers = [name for name in seed.layers(arm, metric) if name != "mean"]
        chosen = layers if layer is None else [layer]
        means.append(np.mean([mean_in_second(seed, arm, metric, name) for name in chosen]))
    return float(means[0] / means[1])


@claim(
    "lyle2025.6a",
    experiment="lyle2025_fig4",
    says="With NaP and a cycle aligned with the new data there is no gap",
    statistic="final test accuracy with all data from the start, less that with the smallest part",
    holds=below(NEAR),
    source="Lyle et al. 2025, Fig. 4; one point is ours",
)
def no_gap(seed: Repetition) -> float:
    """See the claim."""
    return gap(seed, NAP)


@claim(
    "lyle2025.6b",
    experiment="lyle2025_fig4",
    says="With free norms and the same schedule there is a larger gap",
    statistic="the same gap with free norms, less that with NaP",
    holds=above(0.0),
    source="Lyle et al. 2025, Fig. 4",
)
def larger_gap(seed: Repetition) -> float:
    """See the claim."""
    return gap(seed, FREE) - gap(seed, NAP)


@claim(
    "lyle2025.7a",
    experiment="lyle2025_fig4",
    says="In the second cycle features change less with free norms than with NaP",
    statistic="larger of the ratios, free over NaP, of the mean change of feature covariance and "
    "of activation patterns in the second phase, smallest first phase",
    holds=below(1.0),
    source="Lyle et al. 2025, Fig. 4",
)
def features_change_less(seed: Repetition) -> float:
    """See the claim."""
    metrics = ("feature_covariance_change", "activation_pattern_change")
    return max(ratio(seed, metric) for metric in metrics)


@claim(
    "lyle2025.7b",
    experiment="lyle2025_fig4",
    says="Although the updates are about as large",
    statistic="ratio, free over NaP, of the mean norm of the updates in the second phase, smallest "
    "first phase",
    holds=between(1 - AGREE, 1 / (1 - AGREE)),
    source=f"Lyle et al. 2025, Fig. 4; {AGREE:.0%} is ours",
)
def updates_are_as_large(seed: Repetition) -> float:
    """See the claim."""
    return ratio(seed, "update_norm", "all")


def four_arms(seed: Repetition) -> dict[tuple[bool, bool], float]:
    """Return the final accuracies of Fig. 5 right by (NaP, re-warmed), smallest first phase."""
    found = {}
    for nap, norms in ((True, NAP), (False, FREE)):
        for rewarmed, kind in ((True, "triggered"), (False, "warmup_cosine")):
            arms = by_fraction(seed, norms | {"schedule.kind": kind})
            found[nap, rewarmed] = final(seed, arms[0][1])
    return found


@claim(
    "lyle2025.8a",
    experiment="lyle2025_fig5r",
    says="Projection with change detection ends highest after the smallest first phase",
    statistic="its final test accuracy less the highest of the other three arms'",
    holds=above(0.0),
    source="Lyle et al. 2025, Fig. 5 right",
)
def both_are_needed(seed: Repetition) -> float:
    """See the claim."""
    arms = four_arms(seed)
    best = arms.pop((True, True))
    return best - max(arms.values())


@claim(
    "lyle2025.8b",
    experiment="lyle2025_fig5r",
    says="A single cycle with free norms ends lowest",
    statistic="lowest final test accuracy of the other three arms, less its own",
    holds=above(0.0),
    source="Lyle et al. 2025, Fig. 5 right",
)
def neither_is_worst(seed: Repetition) -> float:
    """See the claim."""
    arms = four_arms(seed)
    worst = arms.pop((False, False))
    return min(arms.values()) - worst


@claim(
    "lyle2025.9",
    experiment="lyle2025_fig9",
    says="With NaP, five cycles that do not fit the phases leave no gap either",
    statistic="final test accuracy with all data from the start, less that with the smallest part",
    holds=below(NEAR),
    source="Lyle et al. 2025, Fig. 9; one point is ours",
)
def no_gap_misaligned(seed: Repetition) -> float:
    """See the claim."""
    return gap(seed, NAP)


@claim(
    "lyle2025.10a",
    experiment="lyle2025_fig5l",
    says="A tenth of the rate in the last layer makes no difference",
    statistic="final test accuracy with the same rate everywhere, less that with it, smallest "
    "first phase",
    holds=between(-NEAR, NEAR),
    source="Lyle et al. 2025, Fig. 5 left; one point is ours",
)
def last_layer_hardly_matters(seed: Repetition) -> float:
    """See the claim."""
    constant, fast = (
        by_fraction(seed, which | {"interventions.even_ratio_abs": None})[0][1]
        for which in (CONSTANT, FAST)
    )
    return final(seed, constant) - final(seed, fast)


@claim(
    "lyle2025.10b",
    experiment="lyle2025_fig5l",
    says="A tenth of the rate in the layers below widens the gap",
    statistic="gap between the largest and the smallest first phase with it, less that with the "
    "same rate everywhere",
    holds=above(0.0),
    source="Lyle et al. 2025, Fig. 5 left",
)
def slow_features_widen_the_gap(seed: Repetition) -> float:
    """See the claim."""
    none: Chosen = {"interventions.even_ratio_abs": None}
    return gap(seed, SLOW | none) - gap(seed, CONSTANT | none)


def at_peak(seed: Repetition, highest: bool) -> Chosen:
    """Return the settings of arms with slow features and the highest or lowest second peak.

    Raises:
        NotMeasured: unless there are two peaks.
    """
    arms = seed.grid("schedule.peaks.1", "task.phases.0.fraction", where=SLOW)
    peaks = sorted({peak for peak, _ in arms})
    if len(peaks) < 2:
        raise NotMeasured("arms of two second peaks")
    return SLOW | {"schedule.peaks.1": peaks[-1 if highest else 0]}


@claim(
    "lyle2025.10c",
    experiment="lyle2025_fig13",
    says="A second peak ten times as high closes the gap that slow features leave",
    statistic="gap between the largest and the smallest first phase with slow features and the "
    "high second peak",
    holds=below(NEAR),
    source="Lyle et al. 2025, Fig. 13; one point is ours",
)
def high_peak_closes_the_gap(seed: Repetition) -> float:
    """See the claim."""
    return gap(seed, at_peak(seed, highest=True))


@claim(
    "lyle2025.10d",
    experiment="lyle2025_fig13",
    says="The rank of the features jumps at the high second peak and not at the equal one",
    statistic="numerical rank of the last features, highest in the first tenth of the second phase "
    "over the last before it: ratio at the high peak, over that at the equal peak; slow features, "
    "smallest first phase",
    holds=above(1.0),
    source="Lyle et al. 2025, Fig. 13; a tenth of the phase is ours",
)
def rank_jumps(seed: Repetition) -> float:
    """See the claim."""
    jumps = []
    for highest in (True, False):
        arm = by_fraction(seed, at_peak(seed, highest))[0][1]
        start, stop = second_phase(seed, arm)
        rank = seed.track(arm, "feature_rank", seed.layers(arm, "feature_rank")[-1])
        soon = rank.between(start + 1, start + SOON * (stop - start)).values
        jumps.append(float(np.max(soon)) / rank.at(start))
    return jumps[0] / jumps[1]
