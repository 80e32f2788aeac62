"""Lines of figures: a quantity over many runs as a mean with its band, or run by run.

On a log axis the mean is geometric and the band is that of the logarithms, so set the scale of the
axis before drawing. A quantity that was measured once is a marker with a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Transform, offset_copy

from suite.ranges import ANY, Range
from suite.report.drawing.curves import FEWEST_OF_BAND, Curve, band, thinned
from suite.report.drawing.style import ArmStyle
from suite.report.statistics.statistics import Array

THIN, SEED, BROKEN = 0.9, 0.5, 0.6
"""Widths of runs without a mean, of runs with a mean, and of incomplete runs."""
APART = 5.0
"""Points between the markers of arms that were measured once, at the same place."""


def dashes(style: ArmStyle) -> str | tuple[float, tuple[float, ...]]:
    """Return matplotlib's name of a dash pattern."""
    return (0, style.dashes) if style.dashes else "solid"


def line(
    axes: Axes, x: Array, y: Array, style: ArmStyle, *, place: float = 0.0, **look: Any
) -> None:
    """Draw a line; a single point is a marker, which a line would not show.

    Args:
        axes: where to draw.
        x: (points,).
        y: (points,).
        style: of the line.
        place: points to the left of of a single marker, so that arms do not hide each other.
        look: further keywords, such as `lw` or `label`.
    """
    look = {"color": style.colour, "ls": dashes(style), **look}
    if len(x) == 1:
        look |= {"marker": look.get("marker", style.marker), "markevery": None, "ls": "none"}
        look["transform"] = _shifted(axes, place)
        _make_room(axes, x, y)
    axes.plot(x, y, **look)


def draw_runs(
    axes: Axes,
    runs: Sequence[Curve],
    style: ArmStyle,
    *,
    range: Range = ANY,
    place: float = 0.0,
    label: str | None = None,
    **look: Any,
) -> None:
    """Draw runs that count: mean and band, below `FEWEST_OF_BAND` the runs instead of the band.

    Below three runs there is no mean either.

    Args:
        axes: where to draw; its scale must be what it will be.
        runs: the curves.
        style: of the lines.
        range: what values are possible; bands stay inside.
        place: see `line`.
        label: entry in the legend.
        look: further keywords of the mean, or of every run where there is none.
    """
    found = band(runs, range, log=axes.get_yscale() == "log")
    if found is None:
        for index, run in enumerate(map(thinned, runs)):
            named = label if index == 0 else None
            line(axes, run.x, run.y, style, place=place, label=named, **{"lw": THIN, **look})
        return
    if len(runs) < FEWEST_OF_BAND:
        for run in map(thinned, runs):
            line(axes, run.x, run.y, style, place=place, lw=SEED, alpha=0.55, mfc="none", ms=2.6)
    elif len(found.x) == 1:
        shifted = _shifted(axes, place)
        axes.vlines(found.x, found.lo, found.hi, color=style.colour, transform=shifted)
        _make_room(axes, np.tile(found.x, 2), np.concatenate([found.lo, found.hi]))
    else:
        colour = style.colour
        axes.fill_between(found.x, found.lo, found.hi, color=colour, alpha=0.17, linewidth=0)
    line(axes, found.x, found.mean, style, place=place, label=label, **look)


def _make_room(axes: Axes, x: Array, y: Array) -> None:
    """Let the limits of both axes take in points, which they do not learn of what is shifted."""
    axes.update_datalim(np.column_stack([x, y]))
    axes.autoscale_view()


def _shifted(axes: Axes, place: float) -> Transform:
    """Return the coordinates of the data, some points further left."""
    return offset_copy(axes.transData, axes.figure, x=-place, units="points")  # type: ignore[arg-type]
