"""Scores of many games in four numbers, with stratified-bootstrap intervals (Agarwal et al. 2021).

Scores of one arm are an array (runs, games), normalised so that 0 is random play and 1 a human:

- interquartile mean: of all runs of all games, the mean without the lowest and the highest quarter
  (of n values, floor(n / 4) are left out at either end, as rliable has it);
- median: over games, of a game's mean over runs;
- mean: over games, of the same;
- optimality gap: how far runs fall short of a human on average, the mean of ``1 - min(score, 1)``.

The interval is the 2.5th to the 97.5th percentile of the number over resampled arrays. Games are
strata: the runs of each game are drawn with replacement, separately from other games. It shows how
far other seeds would move the number, not other games. Each call makes a new generator with a fixed
seed, so that the same scores give the same interval.

References:
    Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from suite.report.statistics.statistics import CONFIDENCE, FEWEST, RESAMPLES, SEED, Array, Estimate

CHUNK = 1 << 21
"""Scores that are drawn at once."""


def interquartile_mean(scores: Array) -> Array:
    """Return the mean of the middle half of the scores (..., runs, games), shape (...).

    >>> float(interquartile_mean(np.array([[1.0, 2.0], [3.0, 100.0]])))
    2.5
    """
    flat = scores.reshape(*scores.shape[:-2], -1)
    out = flat.shape[-1] // 4
    if out == 0:
        return np.asarray(flat.mean(axis=-1))
    ordered = np.partition(flat, (out, flat.shape[-1] - out - 1), axis=-1)
    return np.asarray(ordered[..., out:-out].mean(axis=-1))


def median(scores: Array) -> Array:
    """Return the median over games of the mean over runs, shape (...)."""
    return np.asarray(np.median(scores.mean(axis=-2), axis=-1))


def mean(scores: Array) -> Array:
    """Return the mean over games of the mean over runs, shape (...)."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def optimality_gap(scores: Array) -> Array:
    """Return the mean shortfall of a human's score, shape (...).

    >>> float(optimality_gap(np.array([[0.5, 3.0]])))
    0.25
    """
    return np.asarray(1 - np.minimum(scores, 1).mean(axis=(-2, -1)))


AGGREGATES: dict[str, Callable[[Array], Array]] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}
"""The four numbers by the key that they have in ``aggregate.json``."""


def aggregate(scores: npt.ArrayLike) -> dict[str, Estimate]:
    """Return all four numbers of an arm with their intervals; `n` is the number of runs.

    Args:
        scores: finite normalised scores, shape (runs, games); may have no run.

    Returns:
        By key of `AGGREGATES`; without an interval below `FEWEST` runs.

    Raises:
        ValueError: if the shape is another or a score is not finite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"scores: got shape {table.shape}; expected (runs, games)")
    if not np.isfinite(table).all():
        raise ValueError("scores: expected finite numbers; leave the others out, and say so")
    runs = len(table)
    if runs == 0:
        return dict.fromkeys(AGGREGATES, Estimate(None, None, None, 0))
    found = {name: float(function(table)) for name, function in AGGREGATES.items()}
    if runs < FEWEST:
        return {name: Estimate(value, None, None, runs) for name, value in found.items()}
    ends = stratified_interval(table)
    return {name: Estimate(value, *ends[name], runs) for name, value in found.items()}


def stratified_interval(
    scores: Array, resamples: int = RESAMPLES
) -> dict[str, tuple[float, float]]:
    """Return both ends of the 95% interval of each number, see the module.

    Args:
        scores: (runs, games).
        resamples: number of arrays drawn.
    """
    generator = np.random.default_rng(SEED)
    drawn: dict[str, list[Array]] = {name: [] for name in AGGREGATES}
    left = resamples
    while left > 0:
        size = min(left, max(1, CHUNK // scores.size))
        chosen = generator.integers(len(scores), size=(size, *scores.shape))
        samples = np.take_along_axis(scores[None], chosen, axis=1)
        for name, function in AGGREGATES.items():
            drawn[name].append(function(samples))
        left -= size
    tail = (1 - CONFIDENCE) / 2
    ends = {n: np.quantile(np.concatenate(v), [tail, 1 - tail]) for n, v in drawn.items()}
    return {name: (float(lo), float(hi)) for name, (lo, hi) in ends.items()}
