"""Intervals stay inside what is possible, agree with plain code, and cover as often as before."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_intervals import log_interval, t_interval, t_quantile

from suite.ranges import ANY, MAGNITUDE, SHARE, SIZE, Range
from suite.report.statistics.statistics import (
    Estimate,
    estimate,
    geometric_interval,
    mean_interval,
    paired_difference,
)

shares = st.floats(0, 1)
positive = st.floats(1e-300, 1e300)
ends = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2, unique=True).map(sorted)


def whole(found: Estimate) -> tuple[float, float, float]:
    """The mean and the interval, which are there."""
    assert found.mean is not None
    assert found.lo is not None
    assert found.hi is not None
    return found.mean, found.lo, found.hi


def test_the_reference_s_quantiles_are_those_of_tables() -> None:
    assert t_quantile(2) == pytest.approx(4.302653, abs=1e-6)
    assert t_quantile(4) == pytest.approx(2.776445, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "possible"),
    [
        ([0.0, 0.01, 0.4], SHARE),
        ([1.0, 0.99, 1.0, 1.0, 0.93], SHARE),
        ([480.0, 500.0, 310.0], Range(0, 500)),
        ([1e-9, 2.0, 1e-3, 0.1, 7.0], MAGNITUDE),
        ([-0.9, -0.1, -0.5], Range(-1, 1)),
        ([3.0, 4.0, 5.0], ANY),
    ],
)
def test_bounded_intervals_equal_the_reference(values: list[float], possible: Range) -> None:
    expected = t_interval(values, possible.low, possible.high)
    assert estimate(values, possible)[:3] == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("n", [3, 5])
def test_log_space_intervals_equal_the_reference(n: int) -> None:
    values = 10 ** np.random.default_rng(n).normal(-4, 3, n)
    found = [float(x) for x in geometric_interval(values)]
    assert found == pytest.approx(log_interval(values.tolist()), rel=1e-12)


def test_the_faults_that_were_seen() -> None:
    assert estimate([0.0, 0.01, 0.42], SHARE).lo == 0
    assert estimate([1.0, 1.0, 0.995], SHARE).hi == 1
    assert estimate([500.0, 460.0, 490.0], Range(0, 500)).hi == 500
    assert estimate([0.01, 0.001, 0.9], MAGNITUDE).lo == 0
    apart = paired_difference({0: 1.0, 1: 1.0, 2: 0.6}, {0: 0.0, 1: 0.1, 2: 0.0}, SHARE)
    assert apart.hi == 1
    assert apart.lo == pytest.approx(t_interval([1.0, 0.9, 0.6])[1])


@given(st.data(), ends, st.integers(3, 14))
def test_intervals_lie_inside_and_hold_the_mean(
    data: st.DataObject, bounds: list[float], n: int
) -> None:
    low, high = bounds
    values = data.draw(st.lists(st.floats(low, high), min_size=n, max_size=n))
    mean, lo, hi = whole(estimate(values, Range(low, high)))
    assert low <= lo <= mean <= hi <= high
    free = whole(estimate(values))
    assert mean == pytest.approx(free[0], rel=1e-12)
    assert lo == pytest.approx(max(low, free[1]), rel=1e-12)
    assert hi == pytest.approx(min(high, free[2]), rel=1e-12)


@given(st.lists(st.tuples(shares, shares), min_size=3, max_size=14))
def test_differences_of_shares_lie_between_minus_one_and_one(
    pairs: list[tuple[float, ...]],
) -> None:
    a, b = ({i: pair[k] for i, pair in enumerate(pairs)} for k in (0, 1))
    mean, lo, hi = whole(paired_difference(a, b, SHARE))
    assert -1 <= lo <= mean <= hi <= 1


@given(st.lists(positive, min_size=3, max_size=14))
def test_log_space_intervals_are_positive_and_hold_the_geometric_mean(values: list[float]) -> None:
    mean, lo, hi = geometric_interval(values, MAGNITUDE)
    assert 0 < lo <= mean <= hi < math.inf
    assert math.log(mean) == pytest.approx(np.mean(np.log(values)), abs=1e-9)


@given(st.lists(st.floats(1e-3, 1), min_size=3, max_size=14), st.floats(1e-3, 1e3))
def test_log_space_intervals_scale_with_their_values(values: list[float], factor: float) -> None:
    scaled = geometric_interval([factor * value for value in values])
    expected = [factor * float(end) for end in geometric_interval(values)]
    assert [float(end) for end in scaled] == pytest.approx(expected, rel=1e-9)
    assert all(float(end) <= 1 for end in geometric_interval(values, SHARE))


@given(shares, st.integers(3, 14))
def test_seeds_that_agree_have_an_interval_without_width(value: float, n: int) -> None:
    mean, lo, hi, _ = estimate([value] * n, SHARE)
    assert (lo, mean, hi) == pytest.approx((value,) * 3, rel=1e-12, abs=1e-15)


DRAWS: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], float]] = {
    "in the middle": (lambda g, size: g.random(size), 0.92),
    "near 1": (lambda g, size: g.beta(8, 2, size), 0.91),
    "some at 1": (lambda g, size: g.normal(0.97, 0.05, size).clip(0, 1), 0.88),
    "heaped at 1": (lambda g, size: g.beta(2, 0.5, size), 0.84),
}
"""Shares of seeds, and how often an interval should hold their mean at the very least."""


@pytest.mark.parametrize("n", [3, 5, 10, 12])
@pytest.mark.parametrize("name", DRAWS)
def test_what_is_cut_off_could_not_have_held_the_mean(name: str, n: int) -> None:
    draw, least = DRAWS[name]
    true = float(draw(np.random.default_rng(1), (1000, 1000)).mean())
    samples = draw(np.random.default_rng(0), (n, 2000))  # two thousand experiments of n seeds
    _, lo, hi = mean_interval(samples, SHARE)
    _, free_lo, free_hi = mean_interval(samples)
    covered = (lo <= true) & (true <= hi)
    assert (covered == ((free_lo <= true) & (true <= free_hi))).all()
    assert least - (0.03 if n > 10 else 0) < covered.mean() < 0.97
    assert (hi - lo).mean() <= (free_hi - free_lo).mean()


@pytest.mark.parametrize("n", [3, 5, 10])
def test_log_space_intervals_cover_95_percent_of_what_spreads_over_decades(n: int) -> None:
    samples = np.random.default_rng(n).lognormal(0, 2, (n, 4000))
    _, lo, hi = geometric_interval(samples, SIZE)
    assert 0.94 < ((lo <= 1) & (hi >= 1)).mean() < 0.96


@pytest.mark.parametrize("values", [[1.0, 0.0, 2.0], [1.0, -1.0, 2.0], [1.0, math.nan, 1.0]])
def test_what_has_no_logarithm_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        geometric_interval(values)


def test_a_bound_that_values_refute_is_left_out_of_account() -> None:
    values = [0.9, 1.5, 0.1]
    assert estimate(values, SHARE)[1:3] == (0, estimate(values).hi)
    rounded = [1.0000001, 1.0, 0.9]
    assert estimate(rounded, SHARE).hi == 1.0000001
