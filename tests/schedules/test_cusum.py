from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.schedules.cusum import Cusum, cusum_step


def _average_run_length(h: float, k: float, runs: int, seed: int) -> tuple[float, float]:
    """Return mean and standard error of the alarm time of the bare recursion on N(0, 1)."""
    rng = np.random.default_rng(seed)
    g = np.zeros(runs)
    length = np.zeros(runs)
    alive = np.ones(runs, bool)
    while alive.any():
        z = rng.standard_normal(int(alive.sum()))
        g[alive] = np.maximum(0.0, g[alive] + z - k)
        length[alive] += 1
        alive &= g <= h
    return float(length.mean()), float(length.std() / math.sqrt(runs))


@pytest.mark.parametrize(("h", "published"), [(4.0, 336.0), (5.0, 930.0)])
def test_average_run_length_is_the_published_one(h: float, published: float) -> None:
    """One-sided, k = 0.5, known mean and scale (tables of the average run length of CUSUM)."""
    mean, error = _average_run_length(h, 0.5, runs=20_000, seed=0)
    assert abs(mean - published) < 4 * error + 0.005 * published


@given(st.lists(st.floats(-10, 10), max_size=50), st.floats(0, 2))
def test_bare_recursion_equals_the_reflected_random_walk(z: list[float], k: float) -> None:
    """g_t is the walk minus its running minimum (with 0)."""
    g, walk, low = 0.0, 0.0, 0.0
    for value in z:
        g = cusum_step(g, value, k)
        walk += value - k
        low = min(low, walk)
        assert g == pytest.approx(walk - low, abs=1e-9)


def _losses(*levels: tuple[float, int], noise: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    logs = np.concatenate([np.full(n, math.log(level)) for level, n in levels])
    return np.exp(logs + noise * rng.standard_normal(len(logs)))


def _alarms(detector: Cusum, losses: np.ndarray) -> list[int]:
    return [i for i, loss in enumerate(losses) if detector.observe(float(loss))]


@pytest.mark.parametrize("seed", range(5))
def test_a_rise_from_a_hundredth_to_one_alarms_once_and_soon(seed: int) -> None:
    falling = np.geomspace(2.3, 0.01, 150)
    losses = np.concatenate([falling, _losses((0.01, 150), (1.0, 30), seed=seed)])
    settled = np.geomspace(1.0, 0.05, 100)
    alarms = _alarms(Cusum(), np.concatenate([losses, settled]))
    assert len(alarms) == 1
    assert 300 <= alarms[0] < 310


def test_a_rise_during_the_first_window_is_not_hidden_by_the_initial_loss() -> None:
    """The reference trails: it is low when the loss is, whatever the loss was at the start."""
    losses = _losses((2.3, 20), (0.01, 100), (0.5, 50))
    assert _alarms(Cusum(window=50, lag=10), losses)[0] in range(120, 130)


def test_falling_losses_and_single_outliers_do_not_alarm() -> None:
    assert _alarms(Cusum(), np.geomspace(2.3, 1e-4, 500)) == []
    losses = _losses((0.1, 400))
    losses[200] = 1e3
    assert _alarms(Cusum(), losses) == []


def test_state_continues_exactly() -> None:
    losses = _losses((0.01, 120), (1.0, 80))
    whole, first, second = Cusum(), Cusum(), Cusum()
    expected = _alarms(whole, losses)
    found = _alarms(first, losses[:100])
    second.load_state_dict(first.state_dict())
    found += [100 + i for i in _alarms(second, losses[100:])]
    assert found == expected
    assert second.statistic == whole.statistic


def test_refractory_period_and_non_finite_losses() -> None:
    rising = np.concatenate([_losses((1e-3, 70)), np.geomspace(1e-3, 1e3, 400)])
    quick = _alarms(Cusum(window=10, lag=5), rising)
    slow = _alarms(Cusum(window=10, lag=5, refractory=150), rising)
    assert len(quick) > len(slow) >= 1
    assert all(b - a >= 150 for a, b in itertools.pairwise(slow))
    detector = Cusum()
    before = detector.state_dict()
    assert not detector.observe(math.nan)
    assert detector.state_dict() == before


def test_alarms_where_a_peer_does_on_standardised_input() -> None:
    """River's Page-Hinkley test with its running mean held at zero is the same recursion."""
    drift = pytest.importorskip("river.drift")
    rng = np.random.default_rng(3)
    z = np.concatenate([rng.standard_normal(300), 1.5 + rng.standard_normal(100)])
    peer = drift.PageHinkley(min_instances=1, delta=0.5, threshold=10.0, alpha=1.0, mode="up")
    g, ours, theirs = 0.0, None, None
    for step, value in enumerate(z):
        g = cusum_step(g, value, 0.5)
        ours = step if ours is None and g > 10.0 else ours
        peer.update(float(value))
        theirs = step if theirs is None and peer.drift_detected else theirs
    assert ours is not None
    assert theirs is not None
    # The peer's mean is estimated as it goes, so its alarm may come a little later.
    assert 300 <= ours <= theirs < ours + 40
