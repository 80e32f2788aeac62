"""The summary figure: every arm's score and its paired difference to the reference, task by task.

Left: the mean of the primary metric with its 95% interval, small circles for single seeds, a
dashed line at the reference's mean. Right: the mean paired difference to the reference arm with
its interval; if that excludes 0 the arms differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from suite.report.drawing.style import FONT_SIZE, GREY, WIDTH, ArmStyle, plain
from suite.report.page.wording import metric_label
from suite.report.statistics.statistics import Estimate
from suite.report.statistics.summary import ArmResult, TaskResult

FOREST_CAPTION = (
    "Left: mean of the primary metric with its 95% interval; small circles are single seeds, the "
    "dashed line is the reference's mean. Right: mean paired difference to the reference with its "
    "95% interval. Hollow markers have no interval: fewer than three seeds."
)
MOST_ROWS = 40
"""Most arms of one figure, all its tasks together; at least one task is on each."""
LABEL_WIDTH = 38
"""Characters of a line of an arm's label."""
ROW = 0.22
"""Height of an arm with a label of one line, in inches."""


def pages(tasks: Sequence[TaskResult]) -> list[list[TaskResult]]:
    """Return the tasks of each summary figure."""
    found: list[list[TaskResult]] = []
    rows = 0
    for task in tasks:
        if not found or rows + len(task.arms) > MOST_ROWS:
            found.append([])
            rows = 0
        found[-1].append(task)
        rows += len(task.arms)
    return found


def forest_figure(
    tasks: Sequence[TaskResult], styles: Mapping[tuple[str, str], ArmStyle]
) -> Figure | None:
    """Return the summary figure of some tasks, None if none of their runs has a score.

    Args:
        tasks: the tasks, one block of rows each.
        styles: style by (task, arm).
    """
    tasks = [task for task in tasks if any(arm.score.n for arm in task.arms)]
    if not tasks:
        return None
    labels = {task.label: [_label(task, arm) for arm in task.arms] for task in tasks}
    heights = [max(ROW * sum(map(_lines, labels[task.label])), 0.5) for task in tasks]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.72 * len(tasks)), layout="constrained")
    grid = figure.subplots(len(tasks), 2, squeeze=False, height_ratios=heights)
    for task, (left, right) in zip(tasks, grid, strict=True):
        places = _places(labels[task.label])
        for axes in (left, right):
            axes.set_ylim(max(places) + 0.8, min(places) - 0.8)
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(4))
        left.set_yticks(places, labels[task.label])
        right.set_yticks(places, [])
        left.set_title(plain(task.label), loc="left", fontweight="bold")
        left.set_xlabel(metric_label(*task.record.primary_metric, task.record.unit))
        right.set_xlabel("paired difference to the reference")
        for place, arm in zip(places, task.arms, strict=True):
            style = styles[task.label, arm.label]
            _score(left, place, arm, style)
            _difference(right, place, arm, style)
        _guides(left, right, task)
    return figure


def _label(task: TaskResult, arm: ArmResult) -> str:
    reference = " (reference)" if arm.label in task.references else ""
    return plain(f"{arm.label}{reference}", LABEL_WIDTH)


def _lines(label: str) -> float:
    """Return the height of a label in rows; lines of one label stand closer together."""
    return 1 + 0.6 * label.count("\n")


def _places(labels: Sequence[str]) -> list[float]:
    """Return the y of each arm, in rows from the top."""
    places, top = [], 0.0
    for label in labels:
        places.append(top + _lines(label) / 2)
        top += _lines(label)
    return places


def _score(axes: Axes, place: float, arm: ArmResult, style: ArmStyle) -> None:
    values = list(arm.values.values())
    axes.plot(
        values,
        [place + 0.27] * len(values),
        "o",
        color=style.colour,
        mfc="none",
        ms=2.6,
        mew=0.5,
        alpha=0.75,
    )
    draw_interval(axes, place, arm.score, style)
    if arm.score.n == 0:
        axes.text(
            0.02,
            place,
            "no result",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=FONT_SIZE - 1,
            color=GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


def _difference(axes: Axes, place: float, arm: ArmResult, style: ArmStyle) -> None:
    if arm.difference is not None:
        draw_interval(axes, place, arm.difference, style)


def draw_interval(axes: Axes, place: float, estimate: Estimate, style: ArmStyle) -> None:
    """Draw a mean and, where there is one, its interval; without one the marker is hollow."""
    if estimate.mean is None:
        return
    if estimate.lo is not None and estimate.hi is not None:
        ends = [estimate.lo, estimate.hi]  # where the line ends, too
        axes.plot(ends, [place] * 2, "-", color=style.colour, lw=1.4, solid_capstyle="butt")
    axes.plot(
        [estimate.mean],
        [place],
        marker=style.marker,
        color=style.colour,
        mfc="white" if estimate.lo is None else style.colour,
        ms=4.6,
        mew=1.0,
        ls="",
    )


def _guides(left: Axes, right: Axes, task: TaskResult) -> None:
    """Draw the reference's mean, and no difference."""
    if len(task.references) == 1:
        mean = next(arm.score.mean for arm in task.arms if arm.label == task.references[0])
        if mean is not None:
            left.axvline(mean, color=GREY, lw=0.8, ls="--", zorder=0.5)
    right.set_visible(bool(task.references))
    if not any(arm.difference is not None and arm.difference.n for arm in task.arms):
        right.text(
            0.5,
            0.5,
            "no seed in common yet",
            transform=right.transAxes,
            ha="center",
            fontsize=FONT_SIZE - 1,
            color=GREY,
        )
    right.axvline(0, color=GREY, lw=0.8, ls="--", zorder=1.5)
    low, high = right.dataLim.intervalx
    margin = 0.08 * (max(abs(low), abs(high)) or 1)
    right.set_xlim(min(low, 0) - margin, max(high, 0) + margin)
