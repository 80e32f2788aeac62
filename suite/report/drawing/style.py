"""Styles of arms in figures: distinct in colour, for colour-blind readers, and in grey.

An arm has a colour of Okabe and Ito's palette (black for the reference), a dash pattern and a
marker, and keeps them in every figure of a report.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.textpath import TextPath

from suite.report.statistics.summary import TaskResult

REFERENCE_COLOUR = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00")
DASHES: tuple[tuple[float, ...], ...] = (
    (5, 1.6),
    (1.2, 1.2),
    (6, 1.5, 1.2, 1.5),
    (2.6, 1.3),
    (8, 2),
)
MARKERS = ("s", "^", "D", "v", "P", "X", "p")
SOLID: tuple[float, ...] = ()
GREY = "#666666"

WIDTH = 6.75
"""Width of every figure in inches, that of two columns of a paper."""
FONT_SIZE = 8.0
LEGEND_SIZE = 7.5

_RC: dict[Any, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "font.size": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.titlesize": FONT_SIZE + 0.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "xtick.labelsize": FONT_SIZE - 1,
    "ytick.labelsize": FONT_SIZE - 1,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "ytick.minor.width": 0.4,
    "legend.fontsize": LEGEND_SIZE,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "lines.scale_dashes": True,
    "text.parse_math": False,  # a dollar sign in an arm's name is a dollar sign
    "svg.fonttype": "none",  # text stays text: searchable, and editable before it is printed
    "svg.hashsalt": "suite",  # the same figure, the same bytes
}


@dataclass(frozen=True)
class ArmStyle:
    """Colour, dash pattern in points (empty for solid) and marker."""

    colour: str
    dashes: tuple[float, ...]
    marker: str


@contextmanager
def paper_style() -> Iterator[None]:
    """Make figures independent of the user's matplotlib settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def arm_styles(tasks: Sequence[TaskResult]) -> dict[tuple[str, str], ArmStyle]:
    """Return the style of every arm by (task, arm).

    Arms of the same name look the same in all tasks, unless that would make two arms of one task
    look alike. The first arm that others are compared with is black and solid.
    """
    styles: dict[tuple[str, str], ArmStyle] = {}
    known: dict[str, int] = {}
    for task in tasks:
        taken: set[int] = set()
        for arm in task.arms:
            if arm.label in task.references[:1]:
                styles[task.label, arm.label] = ArmStyle(REFERENCE_COLOUR, SOLID, "o")
                continue
            index = known.get(arm.label)
            if index is None or index in taken:
                reserved = {known[a.label] for a in task.arms if a.label in known}
                index = next(i for i in range(10_000) if i not in taken | reserved)
                known.setdefault(arm.label, index)
            taken.add(index)
            styles[task.label, arm.label] = _style(index)
    return styles


def _style(index: int) -> ArmStyle:
    dashes = DASHES[index % len(DASHES)]
    return ArmStyle(COLOURS[index % len(COLOURS)], dashes, MARKERS[index % len(MARKERS)])


def plain(text: str, width: int | None = None) -> str:
    """Return text that a legend shows as it is, in lines of at most `width` characters."""
    lines = [text] if width is None else textwrap.wrap(text, width, break_long_words=True)
    shown = "\n".join(lines)
    return f" {shown}" if shown.startswith("_") else shown  # which would hide the entry


def text_width(text: str, size: float = LEGEND_SIZE) -> float:
    """Return the width of the longest line of a text, in inches."""
    widths = (TextPath((0, 0), line, size=size).get_extents().width for line in text.split("\n"))
    return float(max(widths, default=0.0)) / 72
