"""Claims of Lyu et al. 2024, section 3.2.3: diagonal linear networks."""

from __future__ import annotations

from suite.report.claims.base import above, below, claim
from suite.report.claims.lyu2024_theory import fit_time, middle, only
from suite.report.experiment import Repetition, Track
from suite.report.statistics.censored import Censored
from suite.report.statistics.transitions import falls, rises, rising

LEFT, FELL = 0.55, 0.8
"""Test accuracies above which the plateau at one half is left, below which one near 1 is; ours."""


def _once_fitted(seed: Repetition, split: str) -> tuple[float, Track]:
    """Return the step of 100% training accuracy, and an accuracy from there on."""
    fitted, track = fit_time(seed, seed.arm({})), only(seed, "accuracy", split)
    return fitted, track.between(fitted, float(track.steps[-1]))


@claim(
    "lyu2024.7a",
    experiment="lyu2024_fig1a",
    says="The test accuracy stays near one half for ten times as long as fitting takes",
    statistic=f"steps from 100% training accuracy to above {LEFT:.0%} test accuracy, over the "
    "steps to 100% training accuracy",
    holds=above(10.0),
    source="Lyu et al. 2024, Fig. 1a",
)
def long_plateau(seed: Repetition) -> Censored:
    """Length of the plateau in times to fit."""
    fitted, late = _once_fitted(seed, "test")
    return (rising(late, LEFT) - fitted) / fitted


@claim(
    "lyu2024.7b",
    experiment="lyu2024_fig1a",
    says="At the end the network generalises",
    statistic="last test accuracy",
    holds=above(0.99),
    source="Lyu et al. 2024, Fig. 1a",
)
def generalises(seed: Repetition) -> float:
    """Last test accuracy."""
    return only(seed, "accuracy", "test").last


@claim(
    "lyu2024.8a",
    experiment="lyu2024_fig1a",
    says="The plateau is at the classifier of largest L2 margin",
    statistic="cosine of u^2 - v^2 and that classifier, halfway in log steps between 100% training "
    f"and {LEFT:.0%} test accuracy, or the end of the run if that comes first",
    holds=above(0.95),
    source="Lyu et al. 2024, Corollary 3.6; 0.95 and the place are ours",
)
def plateau_is_max_margin(seed: Repetition) -> float:
    """Cosine at the plateau."""
    fitted, late = _once_fitted(seed, "test")
    here = middle(fitted, rises(late, LEFT))
    return only(seed, "max_margin_cosine").at(here)


@claim(
    "lyu2024.8b",
    experiment="lyu2024_fig1a",
    says="At the end the effective weight lies on the true coordinates",
    statistic="last share of |u^2 - v^2|_1 on the coordinates that make the label",
    holds=above(0.9),
    source="Lyu et al. 2024, Corollary 3.7; 90% is ours",
)
def sparse_at_last(seed: Repetition) -> float:
    """Share on the true coordinates."""
    return only(seed, "true_coordinates").last


def _plateau(seed: Repetition) -> float:
    """Return the step halfway, in log steps, between fitting and a test accuracy back at 80%."""
    fitted, late = _once_fitted(seed, "test")
    return middle(fitted, falls(late, FELL))


@claim(
    "lyu2024.9a",
    experiment="lyu2024_fig1b",
    says="The network generalises first",
    statistic="test accuracy halfway in log steps between 100% training accuracy and the fall to "
    f"{FELL:.0%} test accuracy; a step not reached counts as the run's length",
    holds=above(0.99),
    source="Lyu et al. 2024, Fig. 1b; the place is ours",
)
def right_at_first(seed: Repetition) -> float:
    """Test accuracy at the plateau."""
    return only(seed, "accuracy", "test").at(_plateau(seed))


@claim(
    "lyu2024.9b",
    experiment="lyu2024_fig1b",
    says="Late in training the test accuracy falls to near one half",
    statistic="last test accuracy",
    holds=below(0.6),
    source="Lyu et al. 2024, Fig. 1b",
)
def wrong_at_last(seed: Repetition) -> float:
    """Last test accuracy."""
    return only(seed, "accuracy", "test").last


@claim(
    "lyu2024.9c",
    experiment="lyu2024_fig1b",
    says="All the while the training set is fitted",
    statistic="smallest training accuracy from the first 100% on",
    holds=above(0.999),
    source="Lyu et al. 2024, Fig. 1b",
)
def fitted_throughout(seed: Repetition) -> float:
    """Smallest training accuracy once fitted."""
    _, late = _once_fitted(seed, "train")
    return float(late.values.min())
