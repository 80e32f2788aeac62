"""Kumar et al. 2024, Figs. 5 and 10: what the start knows of the target.

Labels of Fig. 5 have norm 1, so levels are relative: a loss has fallen at half its first value,
which is ours. "At once" is within twice the steps that the training loss takes, also ours.
"""

from __future__ import annotations

import math

from suite.report.claims.base import Region, above, claim
from suite.report.claims.kumar2024 import FLAT, SOURCE, loss_on_test, rise
from suite.report.experiment import NotMeasured, Repetition
from suite.report.statistics.transitions import first_below

FIGURE_5, FIGURE_10 = "kumar2024_fig5", "kumar2024_fig10"
HALVED, AT_ONCE = 0.5, 2.0
FIRST, MIDDLE, LATE = 1, 70, 100
"""Eigenvectors that are labels."""

USUAL, CLOSER = 0.0, 0.2
"""Shares of the way to the solution at which a run starts."""

MOST: Region = above(0.5)


def _half_lives(seed: Repetition, index: int) -> tuple[float, float]:
    """Return the steps at which training and test loss have halved, inf if never."""
    arm = seed.arm({"task.index": index})
    tracks = [seed.track(arm, "loss", split) for split in ("train", "test")]
    train, test = (first_below(track, HALVED * track.first) for track in tracks)
    return train, test


@claim(
    "kumar2024.11a",
    experiment=FIGURE_5,
    says="Labels that are the first eigenvector of the kernel are generalised at once",
    statistic=f"whether the test loss falls to {HALVED:g} of its start within {AT_ONCE:g} times "
    f"the steps of the training loss (j = {FIRST})",
    holds=MOST,
    source=f"{SOURCE}, Fig. 5; most seeds, halves and twice are ours",
)
def first_is_at_once(seed: Repetition) -> bool:
    """Return whether the first eigenvector is generalised at once."""
    train, test = _half_lives(seed, FIRST)
    return math.isfinite(test) and test <= AT_ONCE * train


@claim(
    "kumar2024.11b",
    experiment=FIGURE_5,
    says="Labels that are a middle eigenvector are generalised late",
    statistic=f"whether the test loss falls to {HALVED:g} of its start, and later than "
    f"{AT_ONCE:g} times the steps of the training loss (j = {MIDDLE})",
    holds=MOST,
    source=f"{SOURCE}, Fig. 5; most seeds, halves and twice are ours",
)
def middle_is_late(seed: Repetition) -> bool:
    """Return whether the seventieth eigenvector is generalised late."""
    train, test = _half_lives(seed, MIDDLE)
    return math.isfinite(test) and test > AT_ONCE * train


@claim(
    "kumar2024.11c",
    experiment=FIGURE_5,
    says="Labels that are a late eigenvector are fitted and never generalised",
    statistic=f"whether the training loss falls to {HALVED:g} of its start and the test loss "
    f"never does in the run (j = {LATE})",
    holds=MOST,
    source=f"{SOURCE}, Fig. 5; most seeds and halves are ours",
)
def late_is_never(seed: Repetition) -> bool:
    """Return whether the hundredth eigenvector is fitted and not generalised."""
    train, test = _half_lives(seed, LATE)
    return math.isfinite(train) and math.isinf(test)


@claim(
    "kumar2024.12a",
    experiment=FIGURE_10,
    says="From a start a fifth of the way to the solution the test loss does not rise",
    statistic=f"whether the test loss stays within {FLAT:.0%} of its start (c = {CLOSER:g})",
    holds=MOST,
    source=f"{SOURCE}, Fig. 10; most seeds and {FLAT:.0%} are ours",
)
def closer_start_does_not_overfit(seed: Repetition) -> bool:
    """Return whether the test loss does not rise from the closer start."""
    return _rise(seed, CLOSER) <= FLAT


@claim(
    "kumar2024.12b",
    experiment=FIGURE_10,
    says="A start a fifth of the way to the solution removes the rise of the test loss",
    statistic=f"whether the test loss stays within {FLAT:.0%} of its start (c = {CLOSER:g}), of "
    f"the seeds in which it rises further from c = {USUAL:g}",
    holds=MOST,
    source=f"{SOURCE}, Fig. 10; most seeds and {FLAT:.0%} are ours",
)
def closer_start_removes_the_rise(seed: Repetition) -> bool:
    """Return whether a rise that there is from the usual start is gone from the closer one.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    if _rise(seed, USUAL) <= FLAT:
        raise NotMeasured("a rise of the test loss from the usual start")
    return _rise(seed, CLOSER) <= FLAT


@claim(
    "kumar2024.12c",
    experiment=FIGURE_10,
    says="A start a fifth of the way to the solution makes the rise of the test loss smaller",
    statistic=f"rise of the test loss from c = {USUAL:g} less that from c = {CLOSER:g}, shares "
    "of their starts",
    holds=above(0.0),
    source=f"{SOURCE}, Fig. 10",
)
def closer_start_lowers_the_rise(seed: Repetition) -> float:
    """Return the difference of the two rises."""
    return _rise(seed, USUAL) - _rise(seed, CLOSER)


def _rise(seed: Repetition, towards: float) -> float:
    return rise(loss_on_test(seed, seed.arm({"model.inner.towards": towards})))
