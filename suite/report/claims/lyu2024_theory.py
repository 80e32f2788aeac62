"""What the claims on Lyu et al. 2024 share: the units of time of the theory, and crossings."""

from __future__ import annotations

import math

import numpy as np

from suite.report.claims.shared import base_rate
from suite.report.experiment import NotMeasured, Repetition, Track, Undetermined, interventions
from suite.report.statistics.censored import Censored
from suite.report.statistics.transitions import rising

BEFORE = 0.8
"""Share of the time to a transition's beginning that counts as before it; ours."""


def only(seed: Repetition, metric: str, layer: str = "") -> Track:
    """Return a metric of the one arm of an experiment."""
    return seed.track(seed.arm({}), metric, layer)


def decay_of(seed: Repetition, arm: str) -> float:
    """Return the coefficient of an arm's weight decay, 0 without.

    Raises:
        NotMeasured: if there is no such arm.
    """
    return float(sum(i["coefficient"] for i in interventions(seed, arm, "weight_decay")))


def decay_time(seed: Repetition, arm: str) -> float:
    """Return the steps in which decay alone shrinks the norm by a factor e, 1 / (rate decay).

    Raises:
        NotMeasured: if the arm has no weight decay.
    """
    if (coefficient := decay_of(seed, arm)) == 0:
        raise NotMeasured(f"weight decay of arm {arm!r}")
    return 1 / (base_rate(seed, arm) * coefficient)


def fit_time(seed: Repetition, arm: str) -> float:
    """Return the first measured step with a training accuracy of 100%.

    Raises:
        NotMeasured: if there is none.
    """
    train = seed.track(arm, "accuracy", "train")
    reached = np.flatnonzero(train.values >= 1.0)
    if not len(reached):
        raise NotMeasured(f"a fitted training set of arm {arm!r}")
    return max(float(train.steps[reached[0]]), 1.0)


def middle(start: float, stop: float) -> float:
    """Return the middle of an interval of steps on a log axis."""
    return math.sqrt(max(start, 1.0) * max(stop, 1.0))


def norm_misfit(norm: Track, decay_steps: float, until: float) -> float:
    """Return the largest relative distance of a norm from ``norm(0) exp(-step / decay_steps)``.

    Args:
        norm: the norm of all parameters, measured from step 0.
        decay_steps: 1 / (rate decay).
        until: the last step that counts.
    """
    seen = norm.between(0, until)
    expected = norm.first * np.exp(-seen.steps / decay_steps)
    return float(np.abs(seen.values / expected - 1).max())


def width(track: Track, begins: float, half: float, ends: float) -> Censored:
    """Return (T90 - T10) / T50 of an accuracy: at least what is known of a rise that is broken off.

    Args:
        track: the accuracy.
        begins: accuracy at T10.
        half: at T50.
        ends: at T90.

    Raises:
        Undetermined: if it does not begin.
    """
    first, middle_, last = (rising(track, level) for level in (begins, half, ends))
    if not first.exact:
        raise Undetermined(f"an accuracy of {begins:.0%}")
    if last.exact:
        return (last - first) / middle_
    # The end comes after the middle, so the width grows with both.
    return Censored((last.lo - first.lo) / middle_.lo, math.inf)
