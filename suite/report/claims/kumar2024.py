"""What the claims on Kumar et al. 2024's committee machine share.

A loss is relative to its first value where a claim says so. A time is the first step with a loss
below 0.1, as in the authors' code, placed between measurements; the time to grok is that of the
test loss less that of the training loss, 0 if it is negative.
"""

from __future__ import annotations

import math

from suite.report.claims.shared import length
from suite.report.experiment import Repetition, Track, Undetermined
from suite.report.statistics.censored import Censored
from suite.report.statistics.transitions import first_below

FALLEN = 0.1
"""Loss at which it counts as fallen."""

FLAT = 0.01
"""A rise of a test loss that is none; ours."""

FACTOR = 2.0
"""By which a time has to be longer; ours."""

SOURCE = "Kumar et al. 2024"
GROK = f"time to grok (from a training to a test loss of {FALLEN:g})"
"""How statistics speak of it."""


def loss_on_test(seed: Repetition, arm: str) -> Track:
    """Return the test loss of an arm."""
    return seed.track(arm, "loss", "test")


def rise(track: Track) -> float:
    """Return how far a track rises above its first value, as a share of it."""
    return float(track.values.max()) / track.first - 1


def fall_times(seed: Repetition, arm: str) -> tuple[float, float]:
    """Return the steps at which training and test loss fall below the level, inf if never."""
    return (
        first_below(seed.track(arm, "loss", "train"), FALLEN),
        first_below(loss_on_test(seed, arm), FALLEN),
    )


def delay(seed: Repetition, arm: str) -> Censored:
    """Return the time to grok in steps, at least as long as the run where the test loss stays.

    Raises:
        Undetermined: if the training loss never falls.
    """
    train, test = fall_times(seed, arm)
    if math.isinf(train):
        raise Undetermined(f"a training loss below {FALLEN:g} of arm {arm!r}")
    return Censored(max(0.0, min(test, length(seed, arm)) - train), max(0.0, test - train))


def log_ratio(late: Censored, early: Censored) -> Censored:
    """Return the logarithm of (1 + one time to grok) over (1 + another)."""
    return ((late + 1.0) / (early + 1.0)).log(math.e)


def ladder(seed: Repetition, path: str) -> list[tuple[float, Censored]]:
    """Return (value, time to grok) of the arms in the order of a key, as far as times are known.

    It ends before the first arm whose training loss never falls, and with the first whose test loss
    never does, for of those behind it nothing is known but that they are as long.
    """
    found: list[tuple[float, Censored]] = []
    for value, arm in seed.arms_by(path):
        try:
            time = delay(seed, arm)
        except Undetermined:
            break
        found.append((float(value), time))
        if not time.exact:
            break
    return found
