from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from suite.report.statistics.statistics import Estimate, estimate, mean_interval, paired_difference

numbers = st.floats(-1e6, 1e6)


def test_t_interval_by_hand() -> None:
    # s = 1, standard error 1 / sqrt(3), t(0.975; 2) = 4.302653
    mean, lo, hi, n = estimate([1.0, 2.0, 3.0])
    assert (mean, n) == (2.0, 3)
    assert lo == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert hi == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)


@pytest.mark.parametrize("n", range(3, 11))
def test_t_interval_equals_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(3, 2, n)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimate(values)[1:3] == pytest.approx((expected.low, expected.high), rel=1e-12)


def whole(found: Estimate) -> tuple[float, float, float]:
    """The mean and the interval, which are there."""
    assert found.mean is not None
    assert found.lo is not None
    assert found.hi is not None
    return found.mean, found.lo, found.hi


def test_there_is_no_interval_below_three_values() -> None:
    assert estimate([]) == Estimate(None, None, None, 0)
    assert estimate([4.0]) == Estimate(4.0, None, None, 1)
    assert estimate([4.0, 5.0]) == Estimate(4.5, None, None, 2)


def test_t_up_to_ten_values_and_bootstrap_above() -> None:
    # A skewed sample: the t-interval is symmetric about the mean, the percentile interval is not.
    ten = [0.0] * 9 + [10.0]
    mean, lo, hi = whole(estimate(ten))
    assert hi - mean == pytest.approx(mean - lo)
    mean, lo, hi = whole(estimate([*ten, 0.0]))
    assert hi - mean > 1.2 * (mean - lo)


@pytest.mark.parametrize(("n", "ones"), [(20, 10), (12, 3), (30, 21)])
def test_bootstrap_of_zeros_and_ones_is_binomial(n: int, ones: int) -> None:
    # The mean of n draws from n values of which k are one is Binomial(n, k / n) / n.
    _, lo, hi, _ = estimate([1.0] * ones + [0.0] * (n - ones))
    expected = scipy.stats.binom.ppf([0.025, 0.975], n, ones / n) / n
    assert [lo, hi] == pytest.approx(expected, abs=1e-12)


def test_bootstrap_agrees_with_scipys() -> None:
    values = np.random.default_rng(3).gamma(2.0, 1.0, 40)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    _, lo, hi, _ = estimate(values)
    error = values.std() / math.sqrt(40)
    assert lo == pytest.approx(theirs.low, abs=0.05 * error)
    assert hi == pytest.approx(theirs.high, abs=0.05 * error)


def test_bootstrap_covers_about_95_percent() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(0.0, 1.0, (20, 1000))  # a thousand experiments with 20 runs
    _, lo, hi = mean_interval(samples)
    assert 0.90 < np.mean((lo < 0) & (hi > 0)) < 0.96  # the percentile interval is a bit short


def test_repeated_calls_agree_and_leave_the_global_generator_alone() -> None:
    values = list(np.random.default_rng(0).normal(size=15))
    state: Any = np.random.get_state()  # noqa: NPY002
    before = state[1].copy()
    assert estimate(values) == estimate(values)
    state = np.random.get_state()  # noqa: NPY002
    assert (state[1] == before).all()


@given(st.lists(numbers, min_size=1, max_size=15))
def test_interval_holds_the_mean(values: list[float]) -> None:
    mean, *_, n = estimate(values)
    assert n == len(values)
    assert mean is not None
    assert min(values) - 1e-9 * abs(min(values)) <= mean <= max(values) + 1e-9 * abs(max(values))
    if n >= 3:
        _, lo, hi = whole(estimate(values))
        assert lo <= mean <= hi


@given(st.lists(numbers, min_size=3, max_size=15), st.floats(0.1, 10), st.floats(-100, 100))
def test_interval_moves_and_scales_with_its_values(
    values: list[float], scale: float, shift: float
) -> None:
    moved = estimate([scale * value + shift for value in values])
    expected = [scale * end + shift for end in whole(estimate(values))]
    size = scale * max(map(abs, values)) + abs(shift) + 1
    assert moved[:3] == pytest.approx(expected, abs=1e-9 * size)


@given(numbers, st.integers(3, 20))
def test_equal_values_give_an_empty_interval(value: float, n: int) -> None:
    mean, lo, hi, _ = estimate([value] * n)
    assert (lo, mean, hi) == pytest.approx((value,) * 3, rel=1e-12, abs=1e-12)


@given(
    st.dictionaries(st.integers(0, 20), numbers, max_size=14),
    st.dictionaries(st.integers(0, 20), numbers, max_size=14),
)
def test_paired_difference_is_of_common_seeds_and_changes_sign(
    a: dict[int, float], b: dict[int, float]
) -> None:
    there, back = paired_difference(a, b), paired_difference(b, a)
    common = a.keys() & b.keys()
    assert there.n == back.n == len(common)
    if not common:
        assert there.mean is None
        return
    expected = sum(a[k] - b[k] for k in common) / len(common)
    assert back.mean is not None
    assert there.mean == pytest.approx(expected, abs=1e-6)
    assert there.mean == pytest.approx(-back.mean, abs=1e-6)
    if 3 <= len(common) <= 10:
        _, lo, hi = whole(back)
        assert (there.lo, there.hi) == pytest.approx((-hi, -lo), abs=1e-4)


def test_pairing_removes_what_seeds_share() -> None:
    seeds = {s: 100.0 * s for s in range(5)}
    better = {s: value + 1 + 0.01 * s for s, value in seeds.items()}
    mean, lo, hi = whole(paired_difference(better, seeds))
    assert 0.9 < lo < mean < hi < 1.2
    assert whole(estimate(list(better.values())))[1] < whole(estimate(list(seeds.values())))[0]


@pytest.mark.parametrize("n", [2, 5, 14])
def test_points_of_a_curve_are_as_values_alone(n: int) -> None:
    curves = np.random.default_rng(n).normal(size=(n, 4))
    mean, lo, hi = mean_interval(curves)
    for point in range(4):
        alone = mean_interval(curves[:, point])
        assert np.allclose([mean[point], lo[point], hi[point]], alone, equal_nan=True)


@pytest.mark.parametrize("values", [[1.0, math.nan, 2.0], [math.inf] * 4, []])
def test_values_without_a_mean_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values"):
        mean_interval(values)
