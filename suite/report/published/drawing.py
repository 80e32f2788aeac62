"""Lines of a metric over seeds on axes, for the renderer and for figures that are no grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from suite.ranges import ANY, Range
from suite.report.drawing.curves import Curve
from suite.report.drawing.lines import draw_runs
from suite.report.drawing.style import ArmStyle
from suite.report.experiment import Experiment, Track
from suite.report.published.lines import curve, look

__all__ = ["draw", "draw_tracks", "look"]


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
