"""Claims of Lyu et al. 2024, section 3.3.3: matrix completion; and what the unit of time is."""

from __future__ import annotations

import math

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.lyu2024_theory import (
    BEFORE,
    decay_time,
    middle,
    norm_misfit,
    only,
)
from suite.report.claims.shared import base_rate, extremes
from suite.report.experiment import NotMeasured, Repetition
from suite.report.statistics.censored import Censored, largest, smallest
from suite.report.statistics.transitions import falling, falls

FITTED = 100
"""Steps within which the observed entries are fitted."""

HALVED, LEAVES = 0.5, 0.9
"""Shares of the first, and of the plateau's, test loss: the transition, and when it begins."""

KERNEL = f"{BEFORE:g} of the step of {LEAVES:.0%} of the plateau's test loss"


def kernel_loss(seed: Repetition, arm: str) -> float:
    """Return the test loss of a matrix that is right where observed or mirrored, else 0.

    The mean of (i j / d^2)^2 over all entries, times the share of test entries whose mirror image
    is not observed.
    """
    d = int(seed.setting(arm, "task.size"))
    squares = (d - 1) * (2 * d - 1) / (6 * d**2)  # mean of (i / d)^2
    return float(squares**2 * (1 - float(seed.setting(arm, "task.fraction"))))


def transition(seed: Repetition, arm: str) -> Censored:
    """Return the step at which the test loss is half its first value."""
    test = seed.track(arm, "loss", "test")
    return falling(test, HALVED * test.first)


def _plateau(seed: Repetition) -> float:
    """Return the step halfway, in log steps, between fitting and the transition or the end."""
    return middle(FITTED, transition(seed, seed.arm({})).lo)


@claim(
    "lyu2024.10a",
    experiment="lyu2024_fig3",
    says=f"The observed entries are fitted within {FITTED} steps",
    statistic=f"training loss after {FITTED} steps",
    holds=below(1e-3),
    source="Lyu et al. 2024, Fig. 3; the numbers are ours",
)
def observed_are_fitted(seed: Repetition) -> float:
    """Training loss after 100 steps."""
    return only(seed, "loss", "train").at(FITTED)


@claim(
    "lyu2024.10b",
    experiment="lyu2024_fig3",
    says="The plateau's test loss is that of a matrix which is 0 where nothing is known",
    statistic=f"test loss halfway in log steps between {FITTED} steps and {HALVED:g} of the first "
    "test loss, over ((d - 1)(2 d - 1) / 6 d^2)^2 (1 - fraction)",
    holds=between(0.9, 1.1),
    source="Lyu et al. 2024, section 3.3.3; 0.10 +- 0.01 at the published size",
)
def plateau_loss(seed: Repetition) -> float:
    """Plateau over prediction."""
    test = only(seed, "loss", "test")
    return test.at(_plateau(seed)) / kernel_loss(seed, seed.arm({}))


@claim(
    "lyu2024.10c",
    experiment="lyu2024_fig3",
    says="At the plateau entries neither observed nor mirrored are 0",
    statistic="largest absolute value of such an entry at the same step",
    holds=below(0.01),
    source="Lyu et al. 2024, section 3.3.3; 0.01 is ours",
)
def unseen_are_zero(seed: Repetition) -> float:
    """Largest unseen entry."""
    return only(seed, "unseen_entry").at(_plateau(seed))


@claim(
    "lyu2024.10d",
    experiment="lyu2024_fig3",
    says="After the transition the test loss is less than a tenth of the plateau's",
    statistic="test loss at the plateau over the last",
    holds=above(10.0),
    source="Lyu et al. 2024, Fig. 3; 10 is ours",
)
def completes(seed: Repetition) -> float:
    """Plateau over last test loss."""
    test = only(seed, "loss", "test")
    return test.at(_plateau(seed)) / max(test.last, 1e-12)


@claim(
    "lyu2024.5c",
    experiment="lyu2024_fig3",
    says="In matrix completion, too, the norm is that of weight decay alone before the transition",
    statistic="largest relative distance of the parameters' norm from |theta(0)| exp(-decay rate "
    f"step), until {KERNEL}",
    holds=below(0.05),
    source=f"Lyu et al. 2024, Theorem 3.8; 5% and {BEFORE:g} are ours",
)
def norm_decays(seed: Repetition) -> float:
    """Misfit of the norm."""
    norm = only(seed, "parameter_norm", "all")
    until = BEFORE * _leaves(seed)
    return norm_misfit(norm, decay_time(seed, seed.arm({})), until)


@claim(
    "lyu2024.5d",
    experiment="lyu2024_fig3",
    says="In matrix completion, too, the parameters keep their direction before the transition",
    statistic=f"smallest cosine of the parameters and their start, until {KERNEL}",
    holds=above(0.9),
    source=f"Lyu et al. 2024, Theorem 3.8; 0.9 and {BEFORE:g} are ours",
)
def direction_stays(seed: Repetition) -> float:
    """Smallest cosine."""
    cosine = only(seed, "start_cosine", "all")
    return float(cosine.between(0, BEFORE * _leaves(seed)).values.min())


def _leaves(seed: Repetition) -> float:
    """Return the step at which the test loss leaves the plateau, by a tenth of it."""
    test = only(seed, "loss", "test")
    late = test.between(FITTED, float(test.steps[-1]))
    return falls(late, LEAVES * test.at(_plateau(seed)))


@claim(
    "lyu2024.11a",
    experiment="lyu2024_fig3_scale",
    says="Twice the logarithm of the initial scale doubles the step of the transition",
    statistic=f"step of {HALVED:g} of the first test loss at the largest scale over that at the "
    "smallest, whose logarithm is half as large",
    holds=between(1.6, 2.4),
    source="Lyu et al. 2024, Theorem 3.9: (1 / decay) ln(alpha) of time; 20% is ours",
)
def proportional_to_log_scale(seed: Repetition) -> Censored:
    """Ratio of the transitions.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    (small, early), (large, late) = extremes(seed, "model.scale")
    if not math.isclose(math.log(large), 2 * math.log(small), rel_tol=1e-3):
        raise NotMeasured("a scale and its square")
    return transition(seed, late) / transition(seed, early)


@claim(
    "lyu2024.11b",
    experiment="lyu2024_fig3_scale",
    says="The transition moves by 1 / (rate decay) steps for every factor e of the scale",
    statistic="slope of decay times rate times step of the transition in ln(alpha), between the "
    "smallest and the largest scale",
    holds=between(0.8, 1.2),
    source="Lyu et al. 2024, Theorem 3.9; 20% is ours",
)
def slope_in_log_scale(seed: Repetition) -> Censored:
    """Slope of the transition in units of the decay."""
    (small, early), (large, late) = extremes(seed, "model.scale")
    moved = transition(seed, late) - transition(seed, early)
    return moved / decay_time(seed, late) / math.log(large / small)


@claim(
    "lyu2024.12",
    experiment="lyu2024_rate",
    says="Only rate times steps matters: a larger rate gives the same curve in fewer steps",
    statistic="largest over smallest rate times step of the transition, less 1",
    holds=below(0.05),
    source="The gradient flow of Lyu et al. 2024, section 3; 5% is ours",
)
def rate_times_steps(seed: Repetition) -> Censored:
    """Spread of the time of the transition over rates.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    times = [transition(seed, arm) * base_rate(seed, arm) for arm in seed.arms]
    if len(times) < 2:
        raise NotMeasured("two rates")
    return largest(times) / smallest(times) - 1.0
