"""Numbers over seeds at places of a panel: means with bars, or seed by seed.

A time that was not reached is known to be at least the run's length
(`suite.report.statistics.bounds`). The mean of such times is at least that of their lower ends: an
open marker with an arrow, without a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from suite.report.drawing.curves import FEWEST_OF_BAND
from suite.report.drawing.lines import dashes
from suite.report.published.data import Points
from suite.report.statistics.bounds import Bounds
from suite.report.statistics.statistics import geometric_interval, mean_interval

ARROW = 11
"""Length of the arrow of a value that is larger, in points."""


def draw_points(axes: Axes, points: Points) -> None:
    """Draw the mean at each place, and a line through them if they are joined.

    With five seeds or more a mean has a bar, its 95% interval; below, and where a value is not
    known exactly, each seed is a dot. On a log axis mean and bar are those of the logarithms, and a
    place with a value of 0 or less is left out.

    Args:
        axes: where to draw; its scale must be what it will be.
        points: what to draw.
    """
    means = [
        (x * points.nudge, mean)
        for x, values in points.values
        if (mean := _place(axes, x * points.nudge, list(values.values()), points)) is not None
    ]
    if points.joined and means:
        axes.plot(
            *zip(*means, strict=True), color=points.style.colour, ls=dashes(points.style), lw=1
        )


def _place(axes: Axes, x: float, values: Sequence[Bounds], points: Points) -> float | None:
    """Draw one mean; return it, or None where there is nothing to draw."""
    log = axes.get_yscale() == "log"
    found = np.array([value.lo for value in values])
    if not len(found) or (log and not (found > 0).all()):
        return None
    colour, exact = points.style.colour, all(value.exact for value in values)
    mean, lo, hi = (geometric_interval if log else mean_interval)(found, points.range)
    if exact and len(values) >= FEWEST_OF_BAND:
        axes.vlines(x, lo, hi, color=colour, lw=1.0)
    for value in (
        values if len(values) > 1 and not (exact and len(values) >= FEWEST_OF_BAND) else ()
    ):
        face = colour if value.exact else "white"
        axes.plot(x, value.lo, "o", color=colour, mfc=face, ms=2.3, mew=0.6, alpha=0.8)
    face = colour if exact and not points.hollow else "white"
    look: dict[str, Any] = {
        "color": colour,
        "mfc": face,
        "ms": points.size,
        "mew": 1.0,
        "zorder": 2.5,
    }
    axes.plot(x, mean, points.style.marker, **look)
    if not exact:
        axes.annotate(
            "",
            (x, mean),
            (0, ARROW),
            textcoords="offset points",
            arrowprops={
                "arrowstyle": "<-",
                "color": colour,
                "lw": 0.9,
                "shrinkA": 0,
                "shrinkB": 2.5,
            },
            annotation_clip=False,
        )
    return float(mean)
