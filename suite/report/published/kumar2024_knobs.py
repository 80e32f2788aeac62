"""Kumar et al. 2024: ladders of laziness, alignment and starts (Figs. 3, 5, 7, 10, 19)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.ranges import SIZE
from suite.report.claims.kumar2024 import delay
from suite.report.drawing.style import COLOURS, REFERENCE_COLOUR
from suite.report.experiment import Experiment, NotMeasured
from suite.report.published.base import published
from suite.report.published.ladders import (
    arms_in_order,
    log_labels,
    losses,
    panels,
    shades,
    split_legend,
    step_axis,
)
from suite.report.published.places import place

ALPHA, EPSILON, SIGMA = "model.alpha", "model.inner.epsilon", "model.inner.init_scale"
RELATIVE = "Loss relative to start"
A, E, S = (
    "\N{GREEK SMALL LETTER ALPHA}",
    "\N{GREEK SMALL LETTER EPSILON}",
    "\N{GREEK SMALL LETTER SIGMA}",
)
BOTH = f"{S}, {A} = {S}\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT TWO}"
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO}"
PRODUCT = f"{S}\N{SUPERSCRIPT TWO} {A}"


@published(
    "kumar2024_fig3a",
    experiment="kumar2024_fig3a",
    caption="Kumar et al. 2024, Fig. 3a. Losses by output scale alpha at a fixed epsilon, the rate "
    "being over alpha squared: test losses left, training losses right.",
)
def figure_3a(runs: Experiment) -> Figure:
    """Draw losses by output scale."""
    return _ladder(runs, ALPHA, A)


@published(
    "kumar2024_fig3b",
    experiment="kumar2024_fig3b",
    caption="Kumar et al. 2024, Fig. 3b. Losses by epsilon, the alignment of the first kernel with "
    "the target, at output scale 1: test losses left, training losses right.",
)
def figure_3b(runs: Experiment) -> Figure:
    """Draw losses by epsilon."""
    return _ladder(runs, EPSILON, E)


@published(
    "kumar2024_fig3e",
    experiment="kumar2024_fig3e",
    caption="Kumar et al. 2024, Fig. 3e. Time to grok, the steps from a training loss to a test "
    "loss below 0.1, over laziness and alignment; mean over seeds. A test loss that never falls "
    "counts as the run's length, and its cell is marked; cells whose training loss never falls are "
    "empty.",
    seeds="",
)
def figure_3e(runs: Experiment) -> Figure:
    """Draw the map of times to grok."""
    cells, marked = {}, set()
    for arm in runs.arms:
        found = []
        for seed in runs.repetitions:
            try:
                found.append(delay(seed, arm))
            except NotMeasured:
                continue
        key = float(runs.setting(arm, ALPHA)), float(runs.setting(arm, EPSILON))
        cells[key] = float(np.mean([time.lo for time in found])) if found else np.nan
        if not all(time.exact for time in found):
            marked.add(key)
    alphas, epsilons = (sorted({key[i] for key in cells}) for i in (0, 1))
    values = np.array([[cells.get((a, e), np.nan) for a in alphas] for e in epsilons])
    figure, (axes,) = panels(1, 1, 3.0)
    figure.set_figwidth(4.2)
    image = axes.pcolormesh(1 + values, cmap="viridis", norm="log", edgecolors="white", lw=0.5)
    for alpha, epsilon in marked:
        at = alphas.index(alpha) + 0.5, epsilons.index(epsilon) + 0.5
        axes.text(*at, AT_LEAST, ha="center", va="center", backgroundcolor="white", size="small")
    for ticks, labels in ((axes.set_xticks, alphas), (axes.set_yticks, epsilons)):
        ticks(np.arange(len(labels)) + 0.5, [f"{value:g}" for value in labels])
    axes.grid(False)
    axes.set_xlabel(f"Output scale {A}")
    axes.set_ylabel(E)
    bar = figure.colorbar(image, ax=axes, label="1 + time to grok, gradient steps")
    log_labels(bar.ax.yaxis)
    return figure


@published(
    "kumar2024_fig5",
    experiment="kumar2024_fig5",
    caption="Kumar et al. 2024, Fig. 5. Labels are the j-th eigenvector of the network's own "
    "tangent kernel at its start, on training and test points together.",
)
def figure_5(runs: Experiment) -> Figure:
    """Draw losses by eigenvector."""
    arms = arms_in_order(runs, "task.index")
    figure, grid = panels(1, len(arms), share_y=True)
    for axes, (index, arm) in zip(grid, arms, strict=True):
        losses(axes, runs, arm, REFERENCE_COLOUR, relative=True)
        step_axis(axes, f"j = {index:g}")
    grid[0].set_ylabel(RELATIVE)
    split_legend(grid[0])
    return figure


@published(
    "kumar2024_fig19",
    experiment="kumar2024_fig19",
    caption="Kumar et al. 2024, Fig. 19. As Fig. 5, by number P of training points (rows) and "
    "index j of the eigenvector (columns). Down a column more data removes the gap; along a "
    "diagonal, j in proportion to P, learning fails. The paper does not state its values.",
)
def figure_19(runs: Experiment) -> Figure:
    """Draw losses by number of points and eigenvector."""
    cells = {
        (int(runs.setting(arm, "task.points")), int(runs.setting(arm, "task.index"))): arm
        for arm in runs.arms
    }
    rows, columns = (sorted({key[i] for key in cells}) for i in (0, 1))
    figure, grid = panels(len(rows), len(columns), 1.7, share_y=True)
    for cell, axes in enumerate(grid):
        row, column = divmod(cell, len(columns))
        arm = cells.get((rows[row], columns[column]))
        if arm is None:
            axes.set_axis_off()
            continue
        losses(axes, runs, arm, REFERENCE_COLOUR, relative=True)
        step_axis(axes, f"P = {rows[row]}, j = {columns[column]}")
        if not column:
            axes.set_ylabel(RELATIVE)
        if row + 1 < len(rows) and (rows[row + 1], columns[column]) in cells:
            axes.set_xlabel("")
    split_legend(grid[0], figure)
    return figure


@published(
    "kumar2024_fig7",
    experiment="kumar2024_fig7",
    caption="Kumar et al. 2024, Fig. 7. Above: test losses by output scale alpha, by initial scale "
    "sigma, and by sigma with alpha = sigma^-2. Below: final relative movement of the weights and "
    "final test loss, over sigma^2 alpha; bars are 95% intervals over seeds, dots single ones.",
)
def figure_7(runs: Experiment) -> Figure:
    """Draw test losses by group, and movement and loss over the product of scales."""
    figure, grid = panels(2, 3)
    groups = _scale_groups(runs)
    for axes, (title, members) in zip(grid[:3], groups.items(), strict=True):
        for colour, (value, arm) in zip(shades(len(members)), members, strict=True):
            losses(axes, runs, arm, colour, label=f"{value:g}", relative=True, splits=("test",))
        step_axis(axes, title)
        axes.legend(fontsize="x-small", ncols=2)
    grid[0].set_ylabel("Test loss relative to start")
    for axes in grid[3:5]:
        axes.set_xscale("log")
        axes.set_yscale("log")
    marks = zip(groups.items(), "os^", (REFERENCE_COLOUR, *COLOURS), strict=False)
    for (title, members), marker, colour in marks:
        arms = [arm for _, arm in members]
        _final(grid[3], runs, arms, _movement, marker, colour, title)
        _final(grid[4], runs, arms, _end, marker, colour, title)
    for axes, label in ((grid[3], "Relative movement"), (grid[4], "Test loss, end / start")):
        log_labels(axes.xaxis)
        log_labels(axes.yaxis)
        axes.set_xlabel(PRODUCT)
        axes.set_ylabel(label)
    grid[5].set_axis_off()
    grid[5].legend(*grid[3].get_legend_handles_labels(), title="varied", loc="center left")
    return figure


@published(
    "kumar2024_fig10",
    experiment="kumar2024_fig10",
    caption="Kumar et al. 2024, Fig. 10. Losses from starts a share c of the way to weights that "
    "solve the task: test losses left, training losses right.",
)
def figure_10(runs: Experiment) -> Figure:
    """Draw losses by start."""
    return _ladder(runs, "model.inner.towards", "c")


def _ladder(runs: Experiment, path: str, symbol: str) -> Figure:
    """Draw relative test losses and training losses, one shade for each value of a key."""
    arms = arms_in_order(runs, path)
    figure, (left, right) = panels(1, 2, share_y=True)
    for colour, (value, arm) in zip(shades(len(arms)), arms, strict=True):
        label = f"{symbol} = {value:g}"
        losses(left, runs, arm, colour, label=label, relative=True, splits=("test",))
        losses(right, runs, arm, colour, relative=True, splits=("train",))
    step_axis(left, "Test")
    step_axis(right, "Training")
    left.set_ylabel(RELATIVE)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=5)
    return figure


def _scale_groups(runs: Experiment) -> dict[str, list[tuple[float, str]]]:
    """Return (value, arm) of the three ladders; the arm of both scales 1 is in each."""
    groups: dict[str, list[tuple[float, str]]] = {A: [], S: [], BOTH: []}
    for arm in runs.arms:
        alpha, sigma = float(runs.setting(arm, ALPHA)), float(runs.setting(arm, SIGMA))
        if sigma == 1:
            groups[A].append((alpha, arm))
        if alpha == 1:
            groups[S].append((sigma, arm))
        if np.isclose(alpha * sigma**2, 1):
            groups[BOTH].append((sigma, arm))
    return {title: sorted(members) for title, members in groups.items()}


def _movement(runs: Experiment, arm: str) -> list[float]:
    return [track.last for track in runs.tracks(arm, "relative_movement", "all")]


def _end(runs: Experiment, arm: str) -> list[float]:
    return [track.last / track.first for track in runs.tracks(arm, "loss", "test")]


def _final(
    axes: Axes,
    runs: Experiment,
    arms: list[str],
    of: Callable[[Experiment, str], list[float]],
    marker: str,
    colour: str,
    label: str,
) -> None:
    """Draw a final value over sigma^2 alpha, with its interval over seeds."""
    axes.plot([], [], marker, color=colour, fillstyle="none", label=label)
    size = {"o": 7.0, "s": 4.5}.get(marker, 3.0)  # those that agree are seen inside each other
    for arm in arms:
        x = float(runs.setting(arm, SIGMA)) ** 2 * float(runs.setting(arm, ALPHA))
        if values := of(runs, arm):
            place(axes, x, values, colour=colour, marker=marker, size=size, range=SIZE, hollow=True)
