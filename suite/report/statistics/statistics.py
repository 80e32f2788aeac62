"""The mean over seeds, and how far it can be trusted.

The unit of repetition is the run: one seed, one value. Of n values x_1 .. x_n with mean m and
sample standard deviation s (denominator n - 1) the 95% interval of the mean is

- n < 3: none, because two values say almost nothing about their spread;
- 3 <= n <= 10: Student's ``m +- t(0.975; n - 1) s / sqrt(n)``, which assumes values near normal,
  cut to the range of the quantity if it has one (`suite.ranges`). The mean of shares is a share, so
  the cut part cannot contain it and the coverage does not change (Mandelkern 2002, section 2);
- n > 10: the percentile bootstrap (Efron & Tibshirani 1993, chapter 13): the 2.5th and 97.5th
  percentiles of the means of `RESAMPLES` samples of n values drawn with replacement, by a
  separate generator with a fixed seed, so that the same values give the same interval. Means of
  values within a range lie within it.

On a log axis a mean and its interval are computed on the logarithms and transformed back: the
geometric mean, with an interval that is always positive (`geometric_interval`).

Arms of one task share data, initial weights and batch order for each seed, so two arms are compared
by the n differences at common seeds, with the same rules. The difference of two values from a to b
lies between a - b and b - a. Each interval is for one mean or one difference; nothing is adjusted
for the number of intervals in a table.

References:
    Efron & Tibshirani 1993, An Introduction to the Bootstrap.
    Mandelkern 2002, Setting confidence intervals for bounded parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from suite.ranges import ANY, Range

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
FEWEST = 3
"""Least number of values with an interval."""
MOST_FOR_T = 10
"""Largest number of values with a t-interval; above it the bootstrap takes over."""
RESAMPLES = 10_000
"""Samples that the bootstrap draws."""
SEED = 0
"""Seed of the bootstrap's generator, made afresh for each call."""


class Estimate(NamedTuple):
    """A mean over seeds.

    Attributes:
        mean: mean of the values, None if there are none.
        lo: lower end of the 95% interval, None below `FEWEST` values.
        hi: upper end.
        n: number of values.
    """

    mean: float | None
    lo: float | None
    hi: float | None
    n: int


def mean_interval(values: npt.ArrayLike, range: Range = ANY) -> tuple[Array, Array, Array]:
    """Return mean and both ends of its 95% interval over the first axis.

    The points of a curve are resampled together, run by run; its band is still pointwise.

    Args:
        values: one value or one curve per run, shape (runs,) or (runs, points); finite.
        range: what values are possible; a bound that they refute is left out of account.

    Returns:
        Three arrays, shape () or (points,); the ends are not-a-number below `FEWEST` runs.

    Raises:
        ValueError: if there is no run or a value is not finite.

    >>> [round(float(x), 3) for x in mean_interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    >>> [round(float(x), 3) for x in mean_interval([1.0, 2.0, 3.0], Range(0, 4))]
    [2.0, 0.0, 4.0]
    """
    runs = np.asarray(values, dtype=np.float64)
    n = len(runs)
    if n == 0:
        raise ValueError("values: got none; expected at least one run")
    if not np.isfinite(runs).all():
        raise ValueError("values: expected finite numbers; leave the others out, and say so")
    mean = runs.mean(axis=0)
    if range.bounded and runs.size:
        held = range.holding(float(runs.min()), float(runs.max()))
        bounds = held.low, held.high
        mean = mean.clip(*bounds)  # sums are rounded
    else:
        bounds = -np.inf, np.inf
    if n < FEWEST:
        none = np.full_like(mean, np.nan)
        return mean, none, none
    if n <= MOST_FOR_T:
        margin = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * runs.std(axis=0, ddof=1) / np.sqrt(n)
        return mean, (mean - margin).clip(*bounds), (mean + margin).clip(*bounds)
    lo, hi = _bootstrap(runs)
    return mean, lo.clip(*bounds), hi.clip(*bounds)


def geometric_interval(values: npt.ArrayLike, range: Range = ANY) -> tuple[Array, Array, Array]:
    """Return the geometric mean over the first axis and both ends of its 95% interval.

    Both are those of the logarithms, taken back; as `mean_interval` otherwise.

    Args:
        values: one value or one curve per run, shape (runs,) or (runs, points); positive.
        range: what values are possible.

    Raises:
        ValueError: if there is no run, or a value is not finite or not positive.

    >>> [round(float(x), 3) for x in geometric_interval([0.1, 1.0, 10.0])]
    [1.0, 0.003, 304.886]
    """
    runs = np.asarray(values, dtype=np.float64)
    if not (runs > 0).all():
        raise ValueError("values: expected positive numbers; others have no logarithm")
    found = mean_interval(np.log(runs))
    if not runs.size:
        return found
    held = range.holding(float(runs.min()), float(runs.max()))
    least, most = np.finfo(np.float64).smallest_subnormal, np.finfo(np.float64).max
    bounds = max(held.low, least), min(held.high, most)
    with np.errstate(over="ignore", under="ignore"):
        mean, lo, hi = (np.exp(logs).clip(*bounds) for logs in found)
    return mean, lo, hi


def _bootstrap(runs: Array) -> tuple[Array, Array]:
    """Return both ends of the percentile interval of the mean over the first axis."""
    n = len(runs)
    generator = np.random.default_rng(SEED)
    # How often each run was drawn: a resampled mean is a weighted one, one matrix product for all.
    counts = generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    centre = runs.mean(axis=0)  # taken out first, so that equal values give an empty interval
    means = counts / n @ (runs - centre)
    tail = (1 - CONFIDENCE) / 2
    lo, hi = np.quantile(means, [tail, 1 - tail], axis=0)
    return centre + lo, centre + hi


def estimate(values: npt.ArrayLike, range: Range = ANY) -> Estimate:
    """Return the mean of one value per run, with its interval.

    Args:
        values: finite numbers, shape (runs,); may be empty.
        range: what values are possible, see `mean_interval`.

    >>> estimate([0.5, 1.0])
    Estimate(mean=0.75, lo=None, hi=None, n=2)
    """
    runs = np.asarray(values, dtype=np.float64)
    if len(runs) == 0:
        return Estimate(None, None, None, 0)
    mean, lo, hi = (float(x) for x in mean_interval(runs, range))
    if len(runs) < FEWEST:
        return Estimate(mean, None, None, len(runs))
    return Estimate(mean, lo, hi, len(runs))


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float], range: Range = ANY
) -> Estimate:
    """Return the mean of ``values - reference`` over the seeds that both have.

    Args:
        values: value by seed.
        reference: the same for the arm that is compared with.
        range: what values are possible, of either arm.

    >>> paired_difference({0: 3.0, 1: 5.0, 7: 9.0}, {0: 1.0, 1: 2.0, 2: 0.0})
    Estimate(mean=2.5, lo=None, hi=None, n=2)
    """
    common = [seed for seed in values if seed in reference]
    differences = [values[seed] - reference[seed] for seed in common]
    return estimate(differences, range.difference())
