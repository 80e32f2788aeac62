"""Draws a `Grid`: the one place that decides how published figures look.

- Panels with equal axes share them, and an axis is named once: under the lowest and to the left of
  the first of neighbours that are equal.
- The legend stands above all panels and has every name once. Where one look has two names in
  different panels, or one name two looks, each panel has a legend of its own above it; one without
  a title leaves out what panels before it have.
- Log axes have ticks at powers of ten, or at 1, 2 and 5 times those where they span few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis as Ticks
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from suite.report.drawing.axes import count, log_axis, power_ticks
from suite.report.drawing.lines import dashes
from suite.report.drawing.style import GREY, WIDTH, plain, text_width
from suite.report.experiment import Array, Track
from suite.report.published.data import Axis, Cells, Grid, Level, Panel, number
from suite.report.published.drawing import draw_points, draw_tracks

NARROW = 0.6
"""Width of a figure with one column of panels, as a share of that of others."""
HANDLE = 0.5
"""Width of a legend's handle with the space around it, in inches."""
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO}"

Entry = tuple[str, tuple[tuple[str, Any], ...]]
"""A name in a legend, and keywords of the line that it names."""


def render(grid: Grid) -> Figure:
    """Return a figure of a grid; within `suite.report.drawing.style.paper_style`."""
    with matplotlib.rc_context({"text.parse_math": True}):
        return _render(grid)


def _render(grid: Grid) -> Figure:
    rows = -(-len(grid.panels) // grid.columns)
    width = WIDTH * (NARROW if grid.columns == 1 else 1)
    figure = Figure((width, grid.height * rows + 0.4), layout="constrained")
    places = list(figure.subplots(rows, grid.columns, squeeze=False).flat)
    drawn: list[tuple[Panel, Axes]] = []
    for axes, panel in zip_longest(places, grid.panels):
        if panel is None:
            axes.remove()
        else:
            drawn.append((panel, axes))
    _share(drawn, grid.share_y)
    for panel, axes in drawn:
        _draw(panel, axes)
    for panel, axes in drawn:
        together = [p for p, _ in drawn if grid.share_y and p.y == panel.y] or [panel]
        _limits(panel, axes, together)
    _names(grid, places)
    _legends(figure, drawn, width, grid.columns)
    return figure


def _share(drawn: Sequence[tuple[Panel, Axes]], share_y: bool) -> None:
    """Tie equal axes of panels to each other, and set all scales."""
    first: dict[tuple[str, Axis], Axes] = {}
    for panel, axes in drawn:
        if (other := first.setdefault(("x", panel.x), axes)) is not axes:
            axes.sharex(other)
        if share_y and (other := first.setdefault(("y", panel.y), axes)) is not axes:
            axes.sharey(other)
    for panel, axes in drawn:
        axes.set_xscale(panel.x.scale)
        axes.set_yscale(panel.y.scale)


def _draw(panel: Panel, axes: Axes) -> None:
    """Draw what a panel shows; the scales of its axes are set."""
    axes.set_title(_text(panel.title), loc="left")
    axes.margins(x=0.02 if panel.lines else 0.08)
    for line in panel.lines:
        tracks = [_on_axis(track, panel.x) for track in line.tracks.values()]
        tracks = [track for track in tracks if len(track.steps)]
        if tracks:
            draw_tracks(axes, tracks, style=line.style, range=line.range)
    for points in panel.points:
        draw_points(axes, points)
    for level in panel.levels:
        _level(axes, level)
    if panel.cells is not None:
        _cells(axes, panel.cells)


def _on_axis(track: Track, x: Axis) -> Track:
    """Return a track without the points that have no place on a log axis."""
    if x.scale == "linear":
        return track
    later = track.steps > 0
    return Track(track.steps[later], track.values[later])


def _level(axes: Axes, level: Level) -> None:
    look: dict[str, Any] = {"color": level.colour, "lw": 0.8, "ls": _dots(level), "zorder": 1}
    if level.x is not None and level.y is not None:
        axes.plot(level.x, level.y, **look)
    elif level.x is not None:
        axes.axvline(float(level.x), **look)
    elif level.y is not None:
        axes.axhline(float(level.y), **look)


def _dots(level: Level) -> str:
    return ":" if level.dotted else "-"


def _cells(axes: Axes, cells: Cells) -> None:
    """Draw a map, with a bar that says what its colours are."""
    xs, ys = (sorted({key[i] for key in cells.values}) for i in (0, 1))
    shown = np.full((len(ys), len(xs)), np.nan)
    for (x, y), seeds in cells.values.items():
        place = ys.index(y), xs.index(x)
        if seeds:
            shown[place] = 1 + np.mean([value.lo for value in seeds.values()])
        if not all(value.exact for value in seeds.values()):
            at = place[1] + 0.5, place[0] + 0.5
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            axes.text(*at, AT_LEAST, ha="center", va="center", bbox=box, size="small")
    image = axes.pcolormesh(shown, cmap="viridis", norm="log", edgecolors="white", lw=0.5)
    axes.set_xticks(np.arange(len(xs)) + 0.5, [number(x) for x in xs])
    axes.set_yticks(np.arange(len(ys)) + 0.5, [number(y) for y in ys])
    axes.grid(False)
    bar = axes.figure.colorbar(image, ax=axes, label=_text(f"1 + {cells.label}"))
    _log_ticks(bar.ax.yaxis)


def _limits(panel: Panel, axes: Axes, together: Sequence[Panel]) -> None:
    """Set limits and ticks of a panel in which everything is drawn.

    Args:
        panel: the panel.
        axes: its axes.
        together: all panels that share its axis of y.
    """
    if panel.cells is not None:
        return
    if panel.y.scale == "log" and panel.lines:
        log_axis(axes, [y for shown in together for y in _heights(shown)])
    axes.set_xlim(panel.x.low, panel.x.high)
    axes.set_ylim(panel.y.low, panel.y.high)
    for axis, of in ((axes.xaxis, panel.x), (axes.yaxis, panel.y)):
        if of.ticks is not None:
            axis.set_ticks(of.ticks, [number(tick) for tick in of.ticks])
            axis.set_minor_locator(NullLocator())
        elif of.scale == "log":
            _log_ticks(axis)
        elif axis is axes.xaxis:
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(FuncFormatter(count))


def _heights(panel: Panel) -> Iterator[Array]:
    """Yield the values that the limits of a log axis of y hold."""
    for line in panel.lines:
        for track in line.tracks.values():
            yield _on_axis(track, panel.x).values


def _log_ticks(axis: Ticks) -> None:
    """Put ticks on a log axis whose limits are set."""
    low, high = sorted(axis.get_view_interval())
    power_ticks(axis, 7)
    if high < 100 * low:
        axis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=7))
        axis.set_major_formatter(FuncFormatter(count))


def _names(grid: Grid, places: Sequence[Axes]) -> None:
    """Name axes, but where the neighbour below or to the left has an equal one."""
    for index, (panel, axes) in enumerate(zip(grid.panels, places, strict=False)):
        if panel is None:
            continue
        below = grid.panels[index + grid.columns :][:1]
        left = grid.panels[index - 1] if index % grid.columns else None
        if below and below[0] is not None and below[0].x == panel.x:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel(_text(panel.x.label))
        if left is None or left.y != panel.y:
            axes.set_ylabel(_text(panel.y.label))
        elif grid.share_y:
            axes.tick_params(labelleft=False)


def _legends(
    figure: Figure, drawn: Sequence[tuple[Panel, Axes]], width: float, across: int
) -> None:
    """Name lines above all panels, or panel by panel where looks or names mean several things."""
    panels = _entries([panel for panel, _ in drawn])
    every = dict.fromkeys(entry for entries in panels for entry in entries)
    if len({name for name, _ in every}) == len({look for _, look in every}) == len(every):
        if every:
            figure.legend(**_contents(every, width), loc="outside upper left")
        return
    known: set[Entry] = set()
    for entries, (panel, axes) in zip(panels, drawn, strict=True):
        new = [entry for entry in entries if panel.title or entry not in known]
        known.update(new)
        if new:
            axes.set_title("", loc="left")  # the legend has it
            contents = _contents(new, width / across - HANDLE)
            place: dict[str, Any] = {
                "loc": "lower left",
                "bbox_to_anchor": (0.0, 1.0),
                "borderaxespad": 0.2,
            }
            axes.legend(**contents, **place, title=_text(panel.title), alignment="left")


def _entries(panels: Sequence[Panel]) -> list[list[Entry]]:
    """Return what legends have to say of each panel, every entry once; splits come last."""
    lines = [line for panel in panels for line in panel.lines if line.tracks]
    alone = {line.split: line.style.colour for line in lines if line.split and not line.label}
    several = len({line.split for line in lines if line.split}) > 1
    found = []
    for panel in panels:
        entries: dict[Entry, None] = {}
        splits: dict[Entry, None] = {}
        for line in (line for line in panel.lines if line.tracks):
            style = line.style
            if line.label:
                ls = "solid" if line.split else dashes(style)
                entries[line.label, _look(color=style.colour, ls=ls)] = None
            if line.split and (several or not line.label):
                colour = alone.get(line.split, GREY)
                splits[line.split, _look(color=colour, ls=dashes(style))] = None
        for points in (points for points in panel.points if points.label):
            colour, ls = points.style.colour, dashes(points.style) if points.joined else "none"
            marker = {"marker": points.style.marker, "ms": 4.5, "lw": 1.0}
            face = "white" if points.hollow else colour
            entries[points.label, _look(color=colour, ls=ls, mfc=face, **marker)] = None
        for level in (level for level in panel.levels if level.label):
            entries[level.label, _look(color=level.colour, ls=_dots(level), lw=0.8)] = None
        found.append([*entries, *splits])
    return found


def _look(**keys: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(keys.items())


def _contents(entries: Iterable[Entry], width: float) -> dict[str, Any]:
    """Return the part of `legend`'s keywords that says what is in it, for a width in inches."""
    names = [plain(_text(name)) for name, _ in entries]
    handles = [Line2D([], [], **dict(look)) for _, look in entries]
    rows = next((n for n in range(1, len(names)) if _wide(names, n) <= width), len(names))
    ncols = -(-len(names) // rows)
    return {"handles": handles, "labels": names, "ncols": ncols, "columnspacing": 1.4}


def _wide(names: Sequence[str], rows: int) -> float:
    """Return the width of a legend with so many rows, in inches."""
    columns = (names[start : start + rows] for start in range(0, len(names), rows))
    return sum(max(map(text_width, column)) + HANDLE for column in columns)


def _text(text: str) -> str:
    """Return a text whose mathematics can be set; as it is, dollars and all, where it cannot."""
    try:
        if "$" in text:
            MathTextParser("path").parse(text)
    except ValueError:
        return text.replace("$", r"\$")
    return text
