"""Axes of figures: tick labels in words and powers, limits that show all data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from suite.ranges import Range
from suite.report.statistics.statistics import Array

X_LABELS = {"steps": "gradient steps", "frames": "environment frames"}
X_COLUMNS = {"steps": "step", "frames": "frames"}
LEFT_OUT = 0.03
"""Share of a line's points that may lie below a log axis."""
FIRST = 0.1
"""Share of a run that may count as its first rise."""
FLAT = 0.4
"""Share of the whole range below which what follows the first rise is shown in close-up."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(value: float, _: int | None = None) -> str:
    """Return a tick label for a count.

    >>> count(500.0), count(20_000.0), count(1_500_000.0)
    ('500', '20k', '1.5M')
    """
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{value:,.6g}"


def power(value: float, _: int | None = None) -> str:
    """Return a tick label for a power of ten.

    >>> power(0.001)
    '10⁻³'
    """
    return f"10{str(round(math.log10(value))).translate(_SUPERSCRIPTS)}" if value > 0 else ""


def count_axis(axes: Axes, x: str, end: float, *, log: bool) -> None:
    """Make the x axis one of gradient steps or frames, from 0 (or 1 on a log axis) to `end`."""
    axes.set_xlabel(X_LABELS[x])
    if log:
        axes.set_xlim(1, max(end, 10))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(power))
        return
    margin = 0.01 * (end or 1)
    axes.set_xlim(-margin, (end or 1) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(count))


def log_axis(axes: Axes, lines: Sequence[Array]) -> None:
    """Make the y axis logarithmic, at least one decade tall, around the positive values of lines.

    The lowest `LEFT_OUT` of each line may leave the axis: a rate that is annealed to nothing would
    otherwise stretch it without end.
    """
    positive = [line[line > 0] for line in lines]
    lowest = min((float(np.quantile(y, LEFT_OUT)) for y in positive if len(y)), default=0.1)
    highest = max((float(y.max()) for y in positive if len(y)), default=1.0)
    middle, half = (lowest * highest) ** 0.5, max((highest / lowest) ** 0.5 * 1.5, 10**0.55)
    axes.set_ylim(middle / half, middle * half)
    axes.set_yscale("log", nonpositive="clip")
    power_ticks(axes.yaxis, 5)


def power_ticks(axis: Axis, most: int) -> None:
    """Label a logarithmic axis at powers of ten, at about `most` of them."""
    axis.set_major_locator(LogLocator(10, numticks=most))
    axis.set_major_formatter(FuncFormatter(power))
    axis.set_minor_formatter(NullFormatter())


def later_range(lines: Sequence[tuple[Array, Array]]) -> tuple[float, float] | None:
    """Return limits without a first steep rise or fall, if that would flatten all the rest.

    Args:
        lines: x and y of every line.

    Returns:
        Lower and upper limit; None where the whole range is the better view.
    """
    if not lines:
        return None
    cut = FIRST * max(float(x[-1]) for x, _ in lines)
    every = np.concatenate([y for _, y in lines])
    later = np.concatenate([y[x >= cut] for x, y in lines])
    if len(later) == 0 or not 0 < np.ptp(later) <= FLAT * np.ptp(every):
        return None
    margin = 0.08 * float(np.ptp(later))
    return float(later.min()) - margin, float(later.max()) + margin


def within(axes: Axes, range: Range) -> None:
    """Keep a linear y axis within the values that are possible, with room for lines at its ends."""
    low, high = axes.get_ylim()
    span = range.high - range.low if math.isfinite(range.high - range.low) else high - low
    axes.set_ylim(max(low, range.low - 0.02 * span), min(high, range.high + 0.02 * span))
