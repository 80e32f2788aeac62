"""Learning curves: one run's rows as a curve, and many runs' curves on one axis.

Runs of an arm are usually measured at the same steps, or a few steps apart if several lanes act
together. Otherwise (episodes end at different times) each run's value at a point is its latest
value so far, and only points where every run has a value are used. So the mean is over the same
runs everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from suite.ranges import ANY, Range
from suite.report.statistics.statistics import FEWEST, Array, geometric_interval, mean_interval

POINTS = 400
"""Most points of a drawn curve."""

FEWEST_OF_BAND = 5
"""Least number of runs with a band: below it the runs themselves say more, and are drawn."""

APART = 0.1
"""Share of the shortest way between two points that runs measured together may be apart."""


@dataclass(frozen=True)
class Curve:
    """One metric of one run: `y` at strictly rising `x`, both of shape (points,) and finite."""

    seed: int
    state: str
    x: Array
    y: Array


@dataclass(frozen=True)
class Band:
    """The mean over runs and its pointwise 95% interval, all of shape (points,).

    Below `FEWEST` runs the ends are not-a-number.
    """

    x: Array
    mean: Array
    lo: Array
    hi: Array


def curves(rows: pd.DataFrame, metric: str, layer: str, x: str) -> dict[str, list[Curve]]:
    """Return the curves of one metric by arm, runs in the order of their rows.

    Args:
        rows: rows of one task, as `suite.records.reader.load_results` returns them.
        metric: name of the metric.
        layer: its layer.
        x: column that it is drawn over, ``step`` or ``frames``.
    """
    chosen = rows[(rows["metric"] == metric) & (rows["layer"] == layer)]
    chosen = chosen[np.isfinite(chosen["value"].to_numpy())]
    found: dict[str, list[Curve]] = {}
    groups = chosen.groupby(["arm", "seed"], sort=False, observed=True)
    for (arm, seed), run in groups:
        xs = run[x].to_numpy(np.float64)
        ys = run["value"].to_numpy(np.float64)
        order = np.argsort(xs, kind="stable")
        xs, ys = xs[order], ys[order]
        last = np.append(xs[1:] != xs[:-1], True)  # of several values at one point, the latest
        curve = Curve(int(seed), str(run["state"].iloc[0]), xs[last], ys[last])
        found.setdefault(str(arm), []).append(curve)
    return found


def align(runs: Sequence[Curve], points: int = POINTS) -> tuple[Array, Array]:
    """Put the curves of several runs on one axis.

    Args:
        runs: at least one curve.
        points: most points to return; more are thinned out evenly.

    Returns:
        x, shape (points,), and values, shape (runs, points); no points if the runs share no range.
    """
    together = _together(runs)
    if together is not None:
        keep = _thin(len(together), points)
        return together[keep], np.stack([run.y[keep] for run in runs])
    start, end = max(run.x[0] for run in runs), min(run.x[-1] for run in runs)
    grid = np.unique(np.concatenate([run.x for run in runs]))
    grid = grid[(grid >= start) & (grid <= end)]
    grid = grid[_thin(len(grid), points)]
    latest = [run.y[np.searchsorted(run.x, grid, side="right") - 1] for run in runs]
    return grid, np.stack(latest)


def _together(runs: Sequence[Curve]) -> Array | None:
    """Return the points of runs measured together, each where the last run had it; else None."""
    if len({len(run.x) for run in runs}) > 1:
        return None
    x = np.stack([run.x for run in runs])
    if x.shape[1] == 0:
        return runs[0].x
    shortest = np.diff(x, axis=1).min() if x.shape[1] > 1 else x.min()
    apart = np.ptp(x, axis=0).max()
    return x.max(axis=0) if apart <= APART * max(shortest, 0) else None


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """Return the curve with at most `points` points, the first and the last among them."""
    keep = _thin(len(curve.x), points)
    return Curve(curve.seed, curve.state, curve.x[keep], curve.y[keep])


def band(runs: Sequence[Curve], range: Range = ANY, *, log: bool = False) -> Band | None:
    """Return the mean curve of at least `FEWEST` runs with its interval, else None.

    Args:
        runs: the curves.
        range: what values are possible; the interval stays inside.
        log: whether it is drawn on a log axis: the mean is then the geometric one, its interval
            that of the logarithms, at points where all runs are positive.

    Returns:
        None also where the runs share no range of x, or no point with a logarithm.
    """
    return mean_curve(runs, range, log=log) if len(runs) >= FEWEST else None


def mean_curve(runs: Sequence[Curve], range: Range = ANY, *, log: bool = False) -> Band | None:
    """Return the same of any number of runs; without an interval below `FEWEST`."""
    if not runs:
        return None
    x, values = align(runs)
    if log:
        usable = (values > 0).all(axis=0)
        x, values = x[usable], values[:, usable]
    if not len(x):
        return None
    return Band(x, *(geometric_interval if log else mean_interval)(values, range))


def not_positive(runs: Sequence[Curve]) -> int:
    """Return how many points of the runs have no place on a log axis."""
    return sum(int((run.y <= 0).sum()) for run in runs)


def alike(runs: Sequence[Curve]) -> bool:
    """Return whether all runs have the same curve, to a millionth."""
    first = runs[0]
    return all(
        np.array_equal(run.x, first.x) and np.allclose(run.y, first.y, rtol=1e-6, atol=0.0)
        for run in runs
    )


def _thin(size: int, points: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return at most `points` of the indices below `size`, evenly spread, both ends included."""
    return np.unique(np.linspace(0, size - 1, min(size, points)).round().astype(np.intp))
