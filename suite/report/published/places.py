"""A number over seeds at one place of a figure: its mean with a bar, or seed by seed.

A time that was not reached is known to be at least the run's length
(`suite.report.statistics.bounds`). The mean of such times is at least that of their lower ends: an
open marker with an arrow, without a bar.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from suite.ranges import ANY, Range
from suite.report.drawing.curves import FEWEST_OF_BAND
from suite.report.statistics.bounds import Bounds
from suite.report.statistics.statistics import geometric_interval, mean_interval

ARROW = 11
"""Length of the arrow of a time that is later, in points."""


def place(
    axes: Axes,
    x: float,
    values: Sequence[float],
    *,
    colour: str,
    marker: str,
    range: Range = ANY,
    size: float = 4.5,
    hollow: bool = False,
) -> float | None:
    """Draw the mean of one value per seed; with a bar, or with dots below `FEWEST_OF_BAND` seeds.

    Args:
        axes: where to draw; on a log axis mean and bar are those of the logarithms.
        x: the place.
        values: at least one, finite.
        colour: of everything.
        marker: of the mean.
        range: what values are possible; the bar stays inside.
        size: of the marker, in points.
        hollow: whether the marker is not filled.

    Returns:
        The mean; None, and nothing is drawn, where a value has no logarithm.
    """
    log = axes.get_yscale() == "log"
    found = np.asarray(values, dtype=np.float64)
    if log and not (found > 0).all():
        return None
    mean, lo, hi = (geometric_interval if log else mean_interval)(found, range)
    if len(found) >= FEWEST_OF_BAND:
        axes.vlines(x, lo, hi, color=colour, lw=1.0)
    elif len(found) > 1:
        axes.plot([x] * len(found), found, "o", color=colour, ms=2.2, alpha=0.7, mew=0)
    face = "white" if hollow else colour
    axes.plot(x, mean, marker, color=colour, mfc=face, ms=size, mew=1.0, zorder=2.5)
    return float(mean)


def time_place(
    axes: Axes, x: float, times: Sequence[Bounds], end: float, *, colour: str, marker: str
) -> float | None:
    """Draw the mean of times on a log axis; open, with an arrow, where some were not reached.

    Args:
        axes: where to draw.
        x: the place.
        times: one for each seed; of those not reached the lower end is the run's length.
        end: the run's length, which no bar passes.
        colour: of everything.
        marker: of the mean.

    Returns:
        The mean, of lower ends where some times were not reached.
    """
    least = [time.lo for time in times]
    if all(time.exact for time in times):
        return place(axes, x, least, colour=colour, marker=marker, range=Range(0, end))
    for time in times if len(times) > 1 else ():
        face = colour if time.exact else "white"
        axes.plot(x, time.lo, "o", color=colour, mfc=face, ms=2.4, mew=0.6, alpha=0.8)
    mean = float(geometric_interval(least)[0])
    axes.plot(x, mean, marker, color=colour, mfc="white", ms=4.5, mew=1.0, zorder=2.5)
    axes.annotate(
        "",
        (x, mean),
        (0, ARROW),
        textcoords="offset points",
        arrowprops={"arrowstyle": "<-", "color": colour, "lw": 0.9, "shrinkA": 0, "shrinkB": 2.5},
        annotation_clip=False,
    )
    return mean
