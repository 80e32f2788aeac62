"""When a curve crosses a level, and how sharply it rises.

A level is reached between two measurements; the crossing is interpolated on the axis of the
measurements, which is logarithmic if `log` is set.
"""

from __future__ import annotations

import math

import numpy as np

from suite.report.experiment import Track
from suite.report.statistics.censored import Censored


def first_above(track: Track, level: float, *, log: bool = True) -> float:
    """Return the step at which a track first reaches `level` from below, inf if it never does."""
    return _crossing(track, track.values >= level, level, log=log)


def first_below(track: Track, level: float, *, log: bool = True) -> float:
    """Return the step at which a track first falls to `level`, inf if it never does."""
    return _crossing(track, track.values <= level, level, log=log)


def rises(track: Track, level: float) -> float:
    """Return the step at which a track first reaches `level`, that of its end if it does not."""
    return rising(track, level).lo


def falls(track: Track, level: float) -> float:
    """Return the step at which a track first falls to `level`, that of its end if it does not."""
    return falling(track, level).lo


def rising(track: Track, level: float) -> Censored:
    """Return the step at which a track first reaches `level`, at least its last if it does not."""
    found = first_above(track, level)
    return Censored(min(found, float(track.steps[-1])), found)


def falling(track: Track, level: float) -> Censored:
    """Return the step at which a track first falls to `level`, at least its last if it does not."""
    found = first_below(track, level)
    return Censored(min(found, float(track.steps[-1])), found)


def last_above(track: Track, level: float) -> float:
    """Return the last measured step with a value of at least `level`, -inf if there is none."""
    reached = np.flatnonzero(track.values >= level)
    return float(track.steps[reached[-1]]) if len(reached) else -math.inf


def rise_times(track: Track, low: float, high: float) -> tuple[float, float, float]:
    """Return the steps of 10%, 50% and 90% of the way from `low` to `high`; inf where not reached.

    A suggestion for "sharp", for which Lyu et al. 2024 give no number, is the width (T90 - T10) /
    T50 (`sharpness`).
    """
    t10, t50, t90 = (first_above(track, low + part * (high - low)) for part in (0.1, 0.5, 0.9))
    return t10, t50, t90


def sharpness(track: Track, low: float, high: float) -> float:
    """Return (T90 - T10) / T50 of a rise from `low` to `high`; inf if it is not completed."""
    t10, t50, t90 = rise_times(track, low, high)
    return (t90 - t10) / t50 if math.isfinite(t90) else math.inf


def _crossing(track: Track, beyond: np.ndarray, level: float, *, log: bool) -> float:
    reached = np.flatnonzero(beyond)
    if not len(reached):
        return math.inf
    index = int(reached[0])
    right = float(track.steps[index])
    if index == 0:
        return right
    left = float(track.steps[index - 1])
    before, after = track.values[index - 1], track.values[index]
    share = float((level - before) / (after - before)) if after != before else 1.0
    if log and left > 0:
        return float(left * (right / left) ** share)
    return left + share * (right - left)
