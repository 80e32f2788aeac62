"""Empty panels say in words why they are empty: otherwise they look like a result."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import BlendedAffine2D, BlendedGenericTransform

from suite.report.drawing.style import FONT_SIZE, GREY
from suite.report.statistics.statistics import Array

NOT_MEASURED = "nothing measured"
NO_LOGARITHM = "no value above 0, and the axis is logarithmic"
ELSEWHERE = "no value within these axes"


def explain_empty(figure: Figure) -> None:
    """Write into each visible panel without a mark why it has none.

    Lines across a whole panel, such as those of phases, are no marks.
    """
    for axes in figure.axes:
        if axes.get_visible() and axes.axison and (why := why_empty(axes)):
            axes.text(
                0.5,
                0.5,
                why,
                transform=axes.transAxes,
                ha="center",
                va="center",
                fontsize=FONT_SIZE,
                color=GREY,
                in_layout=False,
            )


def why_empty(axes: Axes) -> str:
    """Return why no mark of a panel is seen, "" if one is."""
    said = [text for text in axes.texts if not isinstance(text, Annotation)]
    if axes.images or axes.patches or said:
        return ""
    dots = [shape for shape in axes.collections if isinstance(shape, PathCollection)]
    if any(_area(shape) for shape in axes.collections if shape not in dots):
        return ""
    points = [_points(line) for line in axes.lines if _of_data(line)]
    points += [np.asarray(shape.get_offsets(), np.float64) for shape in dots]
    every = np.concatenate(points) if points else np.empty((0, 2))
    every = every[np.isfinite(every).all(axis=1)]
    if not len(every):
        return NOT_MEASURED
    shown = np.ones(len(every), bool)
    for place, scale in enumerate((axes.get_xscale(), axes.get_yscale())):
        shown &= (every[:, place] > 0) | (scale != "log")
    if not shown.any():
        return NO_LOGARITHM
    low_x, high_x, low_y, high_y = *sorted(axes.get_xlim()), *sorted(axes.get_ylim())
    x, y = every[shown].T
    inside = (low_x <= x) & (x <= high_x) & (low_y <= y) & (y <= high_y)
    return "" if inside.any() else ELSEWHERE


def _area(shape: Collection) -> bool:
    """Return whether a band, bar or map has an area; a map of unknown values has none."""
    values = shape.get_array()
    return values is None or bool(np.isfinite(np.ma.filled(values, np.nan)).any())


def _of_data(line: Line2D) -> bool:
    """Return whether both coordinates are data, unlike those of a line across the panel."""
    return not isinstance(line.get_transform(), BlendedGenericTransform | BlendedAffine2D)


def _points(line: Line2D) -> Array:
    """Return the points that a line shows, (n, 2); a single one only if it has a marker."""
    xy = np.asarray(line.get_xydata(), dtype=np.float64)
    marked = line.get_marker() not in ("None", "none", "", " ", None)
    if len(xy) == 1 and (not marked or line.get_markevery() is not None):
        return np.empty((0, 2))
    return xy
