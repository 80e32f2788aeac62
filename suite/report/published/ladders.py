"""What figures of losses over steps share: shades along a ladder of arms, both splits, log axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from suite.ranges import ANY, SIZE
from suite.report.drawing.axes import count, power_ticks
from suite.report.drawing.style import SOLID, WIDTH, ArmStyle
from suite.report.experiment import Experiment, NotMeasured, Track
from suite.report.published.drawing import draw_tracks

DASHED: tuple[float, ...] = (4, 1.6)
GREY = "#555555"


def panels(
    rows: int, columns: int, height: float = 2.4, *, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure as wide as a page with a grid of panels, row by row."""
    figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    return figure, list(grid.ravel())


def shades(count: int) -> list[str]:
    """Return colours from dark to light, whose order can be told in grey."""
    return [to_hex(colormaps["viridis"](x)) for x in np.linspace(0.0, 0.88, max(count, 2))][:count]


def from_first_step(track: Track, relative: bool = False) -> Track:
    """Return a track without step 0, for a log axis; over its first value if `relative`."""
    values = track.values / track.first if relative else track.values
    later = track.steps > 0
    return Track(track.steps[later], values[later])


def losses(
    axes: Axes,
    runs: Experiment,
    arm: str,
    colour: str,
    *,
    label: str | None = None,
    relative: bool = False,
    splits: Sequence[str] = ("train", "test"),
) -> None:
    """Draw an arm's losses over steps: test solid, training dashed.

    Raises:
        NotMeasured: if no seed has them.
    """
    for split in splits:
        tracks = [from_first_step(t, relative) for t in runs.tracks(arm, "loss", split)]
        if not tracks:
            raise NotMeasured(f"losses of arm {arm!r}")
        test = split == "test"
        style = ArmStyle(colour, SOLID if test else DASHED, "o")
        possible = runs.range_of("loss")
        if relative:  # a multiple of another value at each seed
            possible = SIZE if possible.low >= 0 else ANY
        draw_tracks(axes, tracks, style=style, label=label if test else None, range=possible)


def step_axis(axes: Axes, title: str = "") -> None:
    """Make the horizontal axis one of steps on a log scale."""
    axes.set_xscale("log")
    log_labels(axes.xaxis)
    axes.set_xlabel("Gradient steps")
    axes.set_title(title, loc="left")


def log_labels(axis: Axis) -> None:
    """Label a log axis: powers of ten, or 1, 2 and 5 times those where it spans few of them.

    Its limits must be what they will be.
    """
    low, high = sorted(axis.get_view_interval())
    power_ticks(axis, 7)
    if high < 100 * low:
        axis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=7))
        axis.set_major_formatter(FuncFormatter(count))


def split_legend(axes: Axes, above: Figure | None = None) -> None:
    """Add what solid and dashed mean to the lines named already, as the legend.

    Args:
        axes: the panel.
        above: the figure, if the legend is to stand above all its panels.
    """
    handles, labels = axes.get_legend_handles_labels()
    handles += [
        Line2D([], [], color=GREY),
        Line2D([], [], color=GREY, ls=(0, DASHED)),
    ]
    labels += ["Test", "Training"]
    if above is not None:
        above.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    else:
        axes.legend(handles, labels, fontsize="small")


def arms_in_order(runs: Experiment, path: str) -> list[tuple[float, str]]:
    """Return (value, arm) in the order of a key of the arms' configs."""
    return sorted((float(runs.setting(arm, path)), arm) for arm in runs.arms)
