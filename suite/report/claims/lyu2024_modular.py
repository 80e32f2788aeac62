"""Claims of Lyu et al. 2024, section 2 and Appendix B.1: modular addition with a ReLU network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.lyu2024_theory import (
    BEFORE,
    decay_of,
    decay_time,
    fit_time,
    norm_misfit,
    only,
    width,
)
from suite.report.claims.shared import extremes
from suite.report.experiment import NotMeasured, Repetition, Track, Undetermined
from suite.report.statistics.censored import Censored, largest, smallest
from suite.report.statistics.transitions import rises, rising

BEGINS, HALF, ENDS = 0.1, 0.5, 0.9
"""Test accuracies at which a transition begins, is half-way, and ends."""

LARGEST_RATIO = 10.0
"""Of a ratio of two delays: more counts as so much; ours."""

KERNEL = f"{BEFORE:g} of the step of {BEGINS:.0%} test accuracy"
WIDTH = f"(T{100 * ENDS:g} - T{100 * BEGINS:g}) / T{100 * HALF:g} of the test accuracy"


def _test(seed: Repetition, arm: str) -> Track:
    return seed.track(arm, "accuracy", "test")


def _half(seed: Repetition, arm: str) -> Censored:
    return rising(_test(seed, arm), HALF)


@claim(
    "lyu2024.1a",
    experiment="lyu2024_fig2a",
    says="The training set is fitted within the first twentieth of the run",
    statistic="first measured step of 100% training accuracy over the run's length",
    holds=below(0.05),
    source="Lyu et al. 2024, Fig. 2a: before 10^6 of 2 x 10^7 steps",
)
def fitted_early(seed: Repetition) -> float:
    """Time to fit over the length of the run; the length if it is never fitted."""
    end = float(only(seed, "accuracy", "train").steps[-1])
    try:
        return fit_time(seed, seed.arm({})) / end
    except NotMeasured:
        return 1.0


@claim(
    "lyu2024.1b",
    experiment="lyu2024_fig2a",
    says="Nothing generalises when the training set is fitted",
    statistic="test accuracy at the first measured step of 100% training accuracy",
    holds=below(0.05),
    source="Lyu et al. 2024, Fig. 2a",
)
def no_generalisation_at_first(seed: Repetition) -> float:
    """Test accuracy once the training set is fitted."""
    return only(seed, "accuracy", "test").at(fit_time(seed, seed.arm({})))


@claim(
    "lyu2024.1c",
    experiment="lyu2024_fig2a",
    says="The test accuracy is above 99% at the end of the run",
    statistic="last test accuracy",
    holds=above(0.99),
    source="Lyu et al. 2024, Fig. 2a: by about 2 x 10^7 steps, the length of the run",
)
def generalises_at_last(seed: Repetition) -> float:
    """Last test accuracy."""
    return only(seed, "accuracy", "test").last


@claim(
    "lyu2024.2a",
    experiment="lyu2024_fig2b",
    says=f"The larger the initial scale, the later the test accuracy reaches {HALF:.0%}",
    statistic=f"smallest ratio of the steps of {HALF:.0%} test accuracy of neighbouring scales",
    holds=above(1.0),
    source="Lyu et al. 2024, Fig. 2b",
)
def later_with_scale(seed: Repetition) -> Censored:
    """Smallest ratio of neighbouring times.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    times = [_half(seed, arm) for _, arm in seed.arms_by("model.scale")]
    if len(times) < 2:
        raise NotMeasured("two scales")
    return smallest(b / a for a, b in pairwise(times))


@claim(
    "lyu2024.2b",
    experiment="lyu2024_fig2b",
    says="Equal factors of the initial scale delay by equal numbers of steps",
    statistic="second delay over the first, of three scales a factor apart; from 0 to "
    f"{LARGEST_RATIO:g}, and 0 without a first delay",
    holds=between(0.7, 1.3),
    source="Lyu et al. 2024, Fig. 2b and Theorem 3.1; 30% is ours",
)
def equal_delays(seed: Repetition) -> Censored:
    """Ratio of the two delays.

    Raises:
        NotMeasured: if what it needs was not run.
        Undetermined: if a run ended before it was known.
    """
    times = [_half(seed, arm) for _, arm in seed.arms_by("model.scale")]
    if len(times) != 3:
        raise NotMeasured("three scales")
    first, second = times[1] - times[0], times[2] - times[1]
    if first.hi <= 0:
        return Censored.exactly(0.0)
    if not first.exact:
        raise Undetermined("the first delay")
    return (second / first).clip(0.0, LARGEST_RATIO)


@claim(
    "lyu2024.3",
    experiment="lyu2024_fig2c",
    says=f"The step of {HALF:.0%} test accuracy is inversely proportional to the weight decay",
    statistic=f"largest over smallest decay times step of {HALF:.0%} test accuracy, the largest "
    "decay left out",
    holds=below(1.3),
    source="Lyu et al. 2024, Fig. 2c and Theorem 3.1; 30% is ours",
)
def inverse_to_decay(seed: Repetition) -> Censored:
    """Spread of decay times step, over all decays but the largest.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    arms = sorted((decay_of(seed, arm), arm) for arm in seed.arms)
    if len(arms) < 3:
        raise NotMeasured("three decays")
    products = [_half(seed, arm) * decay for decay, arm in arms[:-1]]
    return largest(products) / smallest(products)


@claim(
    "lyu2024.4",
    experiment="lyu2024_fig2c",
    says="At the largest weight decay the training accuracy reaches a maximum and later falls",
    statistic="largest less last training accuracy at the largest decay",
    holds=above(0.1),
    source="Lyu et al. 2024, Fig. 2c; 0.1 is ours",
)
def too_much_decay(seed: Repetition) -> float:
    """Fall of the training accuracy."""
    arm = max(seed.arms, key=lambda a: decay_of(seed, a))
    train = seed.track(arm, "accuracy", "train")
    return float(train.values.max()) - train.last


def _largest_scale(seed: Repetition) -> tuple[str, float]:
    """Return the arm of the largest scale, and the end of what counts as its kernel phase."""
    arm = seed.arms_by("model.scale")[-1][1]
    return arm, BEFORE * rises(_test(seed, arm), BEGINS)


@claim(
    "lyu2024.5a",
    experiment="lyu2024_fig2b",
    says="Until shortly before the transition the norm is that of weight decay alone",
    statistic="largest relative distance of the parameters' norm from |theta(0)| exp(-decay rate "
    f"step), at the largest scale, until {KERNEL}",
    holds=below(0.05),
    source=f"Lyu et al. 2024, Theorem 3.2; 5% and {BEFORE:g} are ours",
)
def norm_decays(seed: Repetition) -> float:
    """Misfit of the norm."""
    arm, until = _largest_scale(seed)
    norm = seed.track(arm, "parameter_norm", "all")
    return norm_misfit(norm, decay_time(seed, arm), until)


@claim(
    "lyu2024.5b",
    experiment="lyu2024_fig2b",
    says="Until shortly before the transition the parameters keep their direction",
    statistic="smallest cosine of the parameters and their start, at the largest scale, until "
    f"{KERNEL}",
    holds=above(0.9),
    source=f"Lyu et al. 2024, Theorem 3.2; 0.9 and {BEFORE:g} are ours",
)
def direction_stays(seed: Repetition) -> float:
    """Smallest cosine."""
    arm, until = _largest_scale(seed)
    return float(seed.track(arm, "start_cosine", "all").between(0, until).values.min())


@claim(
    "lyu2024.6a",
    experiment="lyu2024_fig2a",
    says="With weight decay the transition is sharp",
    statistic=WIDTH,
    holds=below(0.5),
    source="Lyu et al. 2024, section 2; the measure and 0.5 are ours",
)
def sharp(seed: Repetition) -> Censored:
    """Width of the rise."""
    return width(only(seed, "accuracy", "test"), BEGINS, HALF, ENDS)


@claim(
    "lyu2024.6b",
    experiment="lyu2024_fig2b",
    says="The transition is sharper, the larger the initial scale",
    statistic=f"{WIDTH} at the largest scale over that at the smallest",
    holds=below(1.0),
    source="Lyu et al. 2024, section 3.1",
)
def sharper_with_scale(seed: Repetition) -> Censored:
    """Ratio of widths."""
    ends = extremes(seed, "model.scale")
    wide, narrow = (width(_test(seed, arm), BEGINS, HALF, ENDS) for _, arm in ends)
    return narrow / wide.clip(1e-6)


def over_log_time(seed: Repetition, arm: str, metric: str, layer: str) -> Track:
    """Return a metric over ln(t) instead of steps, where t is the time of the gradient flow."""
    track, time = seed.track(arm, metric, layer), seed.track(arm, "log_time")
    return Track(np.interp(track.steps, time.steps, time.values), track.values)


@claim(
    "lyu2024.6c",
    experiment="lyu2024_fig4",
    says="Without weight decay the transition is spread over more than a decade of log(t)",
    statistic=f"log10 of ln(t) at {ENDS:.0%} over ln(t) at {BEGINS:.0%} test accuracy",
    holds=above(1.0),
    source="Lyu et al. 2024, Appendix B.1 and Fig. 4",
)
def gradual_without_decay(seed: Repetition) -> Censored:
    """Decades of log(t) that the rise takes.

    Raises:
        Undetermined: if a run ended before it was known.
    """
    test = over_log_time(seed, seed.arm({}), "accuracy", "test")
    early, late = (rising(test, level).clip(1e-3) for level in (BEGINS, ENDS))
    if not early.exact:
        raise Undetermined(f"an accuracy of {BEGINS:.0%}")
    return (late / early).log(10)


@claim(
    "lyu2024.6d",
    experiment="lyu2024_fig4",
    says="Without weight decay the test accuracy rises late all the same",
    statistic="last test accuracy",
    holds=above(0.99),
    source="Lyu et al. 2024, Fig. 4",
)
def generalises_without_decay(seed: Repetition) -> float:
    """Last test accuracy."""
    return only(seed, "accuracy", "test").last
