r"""What a published figure shows, as data: a grid of panels with lines, points, levels and cells.

A figure's function returns a `Grid`. Its values can be tested and written as CSV without drawing
anything. `suite.report.published.render` draws it.

Titles and labels may contain mathematics between dollar signs, as matplotlib's mathtext has it:
``$\alpha$``. Write a dollar sign that is none as ``\$``. The CSV file spells the mathematics out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from suite.ranges import ANY, Range
from suite.report.drawing.style import GREY, REFERENCE_COLOUR, SOLID, ArmStyle
from suite.report.experiment import Array, Track
from suite.report.statistics.censored import Censored

COLUMNS = ("panel", "title", "x_name", "y_name", "line", "seed", "x", "y", "bound")
"""Columns of a figure's CSV file."""
BLACK_LINE = ArmStyle(REFERENCE_COLOUR, SOLID, "o")


@dataclass(frozen=True)
class Axis:
    """One axis of a panel. Panels with equal axes share them.

    Attributes:
        label: quantity, with its unit in brackets where it has one.
        scale: ``linear`` or ``log``.
        low: lower limit, None where the data say it.
        high: upper limit, likewise.
        ticks: where to put ticks, None for ticks by the renderer.
    """

    label: str = ""
    scale: Literal["linear", "log"] = "linear"
    low: float | None = None
    high: float | None = None
    ticks: tuple[float, ...] | None = None


STEPS = Axis("gradient steps", "log", low=1)
"""Gradient steps on a log scale, from the first on."""


@dataclass(frozen=True)
class Line:
    """A quantity over x: the mean over seeds with its interval, or seed by seed.

    Attributes:
        tracks: by seed. Runs that ended early keep their last value.
        style: colour and dashes.
        label: name in the legend, "" for none.
        split: ``training`` or ``test``, of lines that come in both; the legend explains dashes.
        range: values that are possible; bands stay inside.
    """

    tracks: Mapping[int, Track]
    style: ArmStyle = BLACK_LINE
    label: str = ""
    split: str = ""
    range: Range = ANY

    @property
    def name(self) -> str:
        """What the CSV file calls it."""
        return ", ".join(filter(None, (self.label, self.split)))


@dataclass(frozen=True)
class Points:
    """One value per seed at each of several places: means with intervals.

    Attributes:
        values: x, and the values there by seed. Of a value that is not known exactly the lower end
            is drawn, as an open marker with an arrow.
        style: colour, dashes of the connecting line, and marker.
        label: name in the legend, "" for none.
        name: what the CSV file calls it, `label` if "".
        range: values that are possible; bars stay inside.
        size: of the marker, in points.
        hollow: whether the marker is not filled.
        joined: whether a line connects the means.
        nudge: factor on x that keeps markers of different arms apart; not part of the data.
    """

    values: Sequence[tuple[float, Mapping[int, Censored]]]
    style: ArmStyle = BLACK_LINE
    label: str = ""
    name: str = ""
    range: Range = ANY
    size: float = 4.5
    hollow: bool = False
    joined: bool = False
    nudge: float = 1.0


@dataclass(frozen=True)
class Level:
    """A reference: a value of x or of y across the panel, or a curve if it has both.

    Attributes:
        x: a value, or (points,) of a curve; None for a horizontal line.
        y: a value, or (points,) of a curve; None for a vertical line.
        label: name in the legend, "" for none. A named line is in the CSV file.
        colour: of the line.
        dotted: whether it is dotted.
    """

    x: float | Array | None = None
    y: float | Array | None = None
    label: str = ""
    colour: str = GREY
    dotted: bool = False


@dataclass(frozen=True)
class Cells:
    """A map over x and y: colours for the mean over seeds plus 1, on a log scale.

    Attributes:
        values: by (x, y) and seed. Cells with a value that is not known exactly are marked; cells
            without a seed are empty.
        label: of the colour bar.
    """

    values: Mapping[tuple[float, float], Mapping[int, Censored]]
    label: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        x: horizontal axis.
        y: vertical axis.
        lines: quantities over x, the last on top.
        points: values at places.
        levels: references.
        cells: a map, if the panel is one; both axes then have a tick for each cell.
        title: above the panel.
    """

    x: Axis
    y: Axis
    lines: Sequence[Line] = ()
    points: Sequence[Points] = ()
    levels: Sequence[Level] = ()
    cells: Cells | None = None
    title: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing that was measured is shown; levels do not count."""
        cells = self.cells.values.values() if self.cells else ()
        at_places = (values for points in self.points for _, values in points.values)
        return not any((*(line.tracks for line in self.lines), *at_places, *cells))

    def rows(self) -> Iterator[tuple[str, int | str, float | str, float | str, str]]:
        """Yield name, seed, x, y and kind of bound of everything that is measured."""
        for line in self.lines:
            for seed, track in line.tracks.items():
                for x, y in zip(track.steps.tolist(), track.values.tolist(), strict=True):
                    yield line.name, seed, x, y, ""
        for points in self.points:
            for x, values in points.values:
                for seed, value in values.items():
                    yield points.name or points.label, seed, x, value.lo, _bound(value)
        for (x, y), values in self.cells.values.items() if self.cells else ():
            for seed, value in values.items():
                yield f"{self.y.label} = {y:g}", seed, x, value.lo, _bound(value)
        for level in self.levels:
            if level.label and (level.x is None or level.y is None):
                yield level.label, "", _or_blank(level.x), _or_blank(level.y), ""


@dataclass(frozen=True)
class Grid:
    """A figure of panels in rows and columns.

    Attributes:
        panels: row by row; None leaves a place empty.
        columns: panels in a row.
        height: of a row, in inches.
        share_y: whether panels with equal axes of y have the same limits.
    """

    panels: Sequence[Panel | None]
    columns: int = 1
    height: float = 2.2
    share_y: bool = True

    @property
    def shown(self) -> list[Panel]:
        """The panels, without empty places."""
        return [panel for panel in self.panels if panel is not None]

    @property
    def empty(self) -> bool:
        """Whether no panel shows anything that was measured."""
        return all(panel.empty for panel in self.shown)

    def csv(self) -> str:
        """Return the data as text of a CSV file with `COLUMNS`.

        Panels are numbered row by row from 1, empty places left out. `bound` is ``>=`` where a
        value is only known to be at least `y`. Of a map, `line` names the row and `y` is the value.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, panel in enumerate(self.shown, start=1):
            y_name = panel.cells.label if panel.cells else panel.y.label
            names = [spelt(text) for text in (panel.title, panel.x.label, y_name)]
            for line, *values in panel.rows():
                writer.writerow([number, *names, spelt(line), *values])
        return out.getvalue()


def _bound(value: Censored) -> str:
    return "" if value.exact else ">="


def _or_blank(value: float | Array | None) -> float | str:
    return float(value) if isinstance(value, int | float) else ""


def number(value: float) -> str:
    r"""Return a number as a label shows it.

    >>> number(0.25), number(1e-5), number(2e6)
    ('0.25', '$10^{-5}$', '$2 \\times 10^{6}$')
    """
    mantissa, mark, exponent = f"{value:g}".partition("e")
    if not mark:
        return mantissa
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa} \times {power}$"


def spelt(text: str) -> str:
    r"""Return a label with its mathematics spelt out.

    >>> spelt(r"$\lambda \eta t / \ln \alpha$"), spelt(r"$2 \times 10^{-5}$"), spelt(r"1 \$")
    ('lambda eta t / ln alpha', '2 x 10^-5', '1 $')
    """

    def plain(found: re.Match[str]) -> str:
        return re.sub(r"[\\{}]", "", found[1].replace(r"\times", "x"))

    return re.sub(r"(?<!\\)\$(.*?)(?<!\\)\$", plain, text).replace(r"\$", "$")
