"""What published figures share: styles by place, and a metric over seeds as a line and band."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from suite.ranges import ANY, Range
from suite.report.drawing.curves import Curve, align
from suite.report.drawing.lines import draw_runs
from suite.report.drawing.style import COLOURS, DASHES, REFERENCE_COLOUR, SOLID, ArmStyle
from suite.report.experiment import Experiment, Track


def look(index: int) -> ArmStyle:
    """Return the style of the line in place `index`, black and solid first."""
    if index == 0:
        return ArmStyle(REFERENCE_COLOUR, SOLID, "o")
    place = index - 1
    return ArmStyle(COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)], "o")


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
    tracks = runs.tracks(arm, metric, layer)
    if not tracks:
        return False
    possible = runs.range_of(metric)
    draw_tracks(axes, tracks, style=style, label=label, scale=scale, range=possible)
    return True


def draw_tracks(
    axes: Axes,
    tracks: list[Track],
    *,
    style: ArmStyle,
    label: str | None = None,
    scale: float = 1.0,
    range: Range = ANY,
) -> None:
    """Draw tracks of several seeds as `draw` does; `range` is that of their values."""
    end = max(float(track.steps[-1]) for track in tracks)
    curves = [_held(track, end, scale) for track in tracks]
    draw_runs(axes, curves, style, range=range.times(scale), label=label)


def mean_track(tracks: list[Track]) -> Track:
    """Return the mean over seeds at the points of all of them, last values held."""
    end = max(float(track.steps[-1]) for track in tracks)
    x, values = align([_held(track, end, 1.0) for track in tracks])
    return Track(x, values.mean(axis=0))


def _held(track: Track, end: float, scale: float) -> Curve:
    """Return a track as a curve to `end`, its last value held."""
    x, y = track.steps, track.values * scale
    if x[-1] < end:
        x, y = np.append(x, end), np.append(y, y[-1])
    return Curve(0, "complete", x, y)
