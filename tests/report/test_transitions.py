"""Crossings against closed forms."""

import math

import numpy as np
import pytest

from suite.report.experiment import Track
from suite.report.statistics.transitions import (
    first_above,
    first_below,
    last_above,
    rise_times,
    sharpness,
)

STEPS = np.geomspace(1, 1e6, 200)


def sigmoid(middle: float, width: float) -> Track:
    """In the logarithm of the step, from 0 to 1."""
    return Track(STEPS, 1 / (1 + np.exp(-(np.log10(STEPS) - middle) / width)))


def test_crossings_of_a_sigmoid_in_log_time() -> None:
    track = sigmoid(3.0, 0.2)
    t10, t50, t90 = rise_times(track, 0.0, 1.0)
    for found, part in ((t10, 0.1), (t50, 0.5), (t90, 0.9)):
        exact = 10 ** (3.0 + 0.2 * math.log(part / (1 - part)))
        assert found == pytest.approx(exact, rel=0.01)
    assert sharpness(track, 0.0, 1.0) == pytest.approx((t90 - t10) / t50)
    assert sharpness(sigmoid(3.0, 0.05), 0.0, 1.0) < sharpness(track, 0.0, 1.0)


def test_falling_curves_cross_from_above() -> None:
    track = Track(np.array([0.0, 10, 20]), np.array([4.0, 2.0, 1.0]))
    assert first_below(track, 3.0, log=False) == pytest.approx(5.0)
    assert first_below(track, 4.0) == 0.0
    assert first_above(track, 3.5) == 0.0
    assert last_above(track, 2.0) == 10.0


def test_what_is_not_reached_is_infinite() -> None:
    track = Track(np.array([0.0, 10]), np.array([0.0, 0.5]))
    assert first_above(track, 0.6) == math.inf
    assert last_above(track, 0.6) == -math.inf
    assert sharpness(track, 0.0, 1.0) == math.inf
