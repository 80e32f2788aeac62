"""Lines and points over seeds on matplotlib axes, for the renderer and figures that are no grid.

A time that was not reached is known to be at least the run's length
(`suite.report.statistics.censored`). The mean of such times is at least that of their lower ends:
an open marker with an arrow, without a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from suite.ranges import ANY, Range
from suite.report.drawing.curves import FEWEST_OF_BAND, Curve
from suite.report.drawing.lines import dashes, draw_runs
from suite.report.drawing.style import ArmStyle
from suite.report.experiment import Experiment, Track
from suite.report.published.data import Points
from suite.report.published.lines import curve, look
from suite.report.statistics.censored import Censored
from suite.report.statistics.statistics import geometric_interval, mean_interval

__all__ = ["draw", "draw_points", "draw_tracks", "look"]

ARROW = 11
"""Length of the arrow of a value that is larger, in points."""


def draw(
    axes: Axes,
    runs: Experiment,
    arm: str,
    metric: str,
    layer: str = "",
    *,
    style: ArmStyle,
    label: str | None = None,
    scale: float = 1.0,
) -> bool:
    """Draw the mean of a metric over seeds and its 95% interval; return whether there is any.

    With fewer than five seeds each is a thin line instead of the band, with fewer than three there
    is no mean. On a log axis both are those of the logarithms. A run that ended early keeps its
    last value.

    Args:
        axes: where to draw; its scale must be what it will be.
        runs: the experiment.
        arm: the arm.
        metric: name of the metric.
        layer: its layer.
        style: of the line.
        label: entry in the legend.
        scale: factor on the values.
    """
    line = curve(runs, arm, metric, layer, style=style, factor=scale)
    if not line.tracks:
        return False
    draw_tracks(axes, list(line.tracks.values()), style=style, label=label, range=line.range)
    return True


def draw_tracks(
    axes: Axes,
    tracks: Sequence[Track],
    *,
    style: ArmStyle,
    label: str | None = None,
    range: Range = ANY,
) -> None:
    """Draw tracks of several seeds as `draw` does; `range` is that of their values."""
    end = max(float(track.steps[-1]) for track in tracks)
    draw_runs(axes, [_held(track, end) for track in tracks], style, range=range, label=label)


def _held(track: Track, end: float) -> Curve:
    """Return a track as a curve to `end`, its last value held."""
    x, y = track.steps, track.values
    if x[-1] < end:
        x, y = np.append(x, end), np.append(y, y[-1])
    return Curve(0, "complete", x, y)


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


def _place(axes: Axes, x: float, values: Sequence[Censored], points: Points) -> float | None:
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
