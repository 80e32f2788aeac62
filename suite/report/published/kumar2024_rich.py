"""Kumar et al. 2024: learning curves and what goes with them (Figs. 1, 4, 9, 11, 13 to 15)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.report.drawing.style import COLOURS, REFERENCE_COLOUR
from suite.report.experiment import Experiment
from suite.report.published.base import published
from suite.report.published.drawing import draw_tracks, look
from suite.report.published.ladders import (
    GREY,
    arms_in_order,
    from_first_step,
    log_labels,
    losses,
    panels,
    split_legend,
    step_axis,
)

TERMS = {"variance": "Variance", "misalignment": "Misalignment", "linear": "Linear power"}


@published(
    "kumar2024_fig1",
    experiment="kumar2024_fig1",
    caption="Kumar et al. 2024, Fig. 1. Left: losses of a committee machine and of its linearised "
    "twin, and the test loss of regression with the kernel of the start (grey line). Middle: the "
    "norm of the weights, without weight decay. Right: alignment of the tangent kernel with the "
    "target, centred on one side as in the authors' code.",
)
def figure_1(runs: Experiment) -> Figure:
    """Draw losses, weight norm and alignment."""
    figure, (left, middle, right) = panels(1, 3)
    _twins(left, runs)
    _kernel_line(left, runs, "network")
    step_axis(left)
    left.set_ylabel("Mean squared error")
    split_legend(left, figure)
    for axes, metric, layer, label in (
        (middle, "parameter_norm", "all", "Weight norm"),
        (right, "ntk_alignment", "one_sided", "Kernel alignment"),
    ):
        _line(axes, runs, "network", metric, layer, 0)
        step_axis(axes)
        axes.set_ylabel(label)
    return figure


@published(
    "kumar2024_fig4",
    experiment="kumar2024_fig4",
    caption="Kumar et al. 2024, Fig. 4. Left: training and test loss. Right: the three terms of "
    "the expected test loss and their sum. The paper shows one seed of two hidden units.",
)
def figure_4(runs: Experiment) -> Figure:
    """Draw losses, and the terms of the test loss."""
    return _with_terms(runs, "network")


@published(
    "kumar2024_fig11",
    experiment="kumar2024_fig11",
    caption="Kumar et al. 2024, Fig. 11. As Fig. 4, with readouts that are trained too.",
)
def figure_11(runs: Experiment) -> Figure:
    """Draw losses and terms with both layers trained."""
    return _with_terms(runs, "network")


@published(
    "kumar2024_fig9",
    experiment="kumar2024_fig9",
    caption="Kumar et al. 2024, Fig. 9. Losses (above) and the terms of the test loss (below) for "
    "rising numbers of training points.",
)
def figure_9(runs: Experiment) -> Figure:
    """Draw losses and terms by number of training points."""
    sizes = arms_in_order(runs, "task.points")
    figure, grid = panels(2, len(sizes), 2.1)
    for column, (points, arm) in enumerate(sizes):
        above, below = grid[column], grid[column + len(sizes)]
        losses(above, runs, arm, REFERENCE_COLOUR)
        step_axis(above, f"{points:g} points")
        _terms(below, runs, arm)
        step_axis(below)
    grid[0].set_ylabel("Mean squared error")
    grid[len(sizes)].set_ylabel("Terms of the test loss")
    split_legend(grid[0])
    grid[len(sizes)].legend(fontsize="small")
    return figure


@published(
    "kumar2024_fig13a",
    experiment="kumar2024_fig13a",
    caption="Kumar et al. 2024, Fig. 13a. A committee machine and its linearised twin, both with "
    "momentum 0.95.",
)
def figure_13a(runs: Experiment) -> Figure:
    """Draw losses with momentum."""
    return _with_twin(runs, "Mean squared error", log=False)


@published(
    "kumar2024_fig13b",
    experiment="kumar2024_fig13b",
    caption="Kumar et al. 2024, Fig. 13b. A student of a random tanh network, weights N(0, 1), and "
    "its linearised twin, both with AdamW.",
)
def figure_13b(runs: Experiment) -> Figure:
    """Draw losses of a student."""
    return _with_twin(runs, "Squared error")


@published(
    "kumar2024_fig13c",
    experiment="kumar2024_fig13c",
    caption="Kumar et al. 2024, Fig. 13c. A one-layer transformer on modular addition and its "
    "linearised twin, both with AdamW: the loss leaves that of the twin early.",
)
def figure_13c(runs: Experiment) -> Figure:
    """Draw losses of a transformer."""
    return _with_twin(runs, "Cross-entropy")


def _twins(axes: Axes, runs: Experiment) -> None:
    """Draw the losses of a network and of its expansion."""
    losses(axes, runs, "network", REFERENCE_COLOUR, label="Network")
    losses(axes, runs, "linearised", COLOURS[1], label="Linearised")


def _with_twin(runs: Experiment, loss: str, log: bool = True) -> Figure:
    """Draw the losses of a network and of its expansion, and the network's weight norm."""
    figure, (axes, other) = panels(1, 2)
    if log:
        axes.set_yscale("log")
    _twins(axes, runs)
    if log:
        log_labels(axes.yaxis)
    step_axis(axes)
    axes.set_ylabel(loss)
    split_legend(axes, figure)
    _line(other, runs, "network", "parameter_norm", "all", 0)
    step_axis(other)
    other.set_ylabel("Weight norm")
    return figure


@published(
    "kumar2024_fig14",
    experiment="kumar2024_fig14",
    caption="Kumar et al. 2024, Fig. 14. Targets that are half the sum of the squares along one, "
    "two or three directions; the settings are not stated in the paper.",
)
def figure_14(runs: Experiment) -> Figure:
    """Draw losses by number of directions."""
    arms = arms_in_order(runs, "task.directions")
    return _columns(runs, [(arm, f"Directions: {count:g}") for count, arm in arms])


@published(
    "kumar2024_fig15",
    experiment="kumar2024_fig15",
    caption="Kumar et al. 2024, Fig. 15. Targets and activations of higher degree; the settings "
    "are not stated in the paper.",
)
def figure_15(runs: Experiment) -> Figure:
    """Draw losses by degree of the target."""
    degrees = sorted((int(runs.setting(arm, "task.degree") or 2), arm) for arm in runs.arms)
    return _columns(runs, [(arm, f"Degree {degree}") for degree, arm in degrees])


def _columns(runs: Experiment, arms: list[tuple[str, str]]) -> Figure:
    figure, grid = panels(1, len(arms))
    for axes, (arm, title) in zip(grid, arms, strict=True):
        losses(axes, runs, arm, REFERENCE_COLOUR, relative=True)
        step_axis(axes, title)
    grid[0].set_ylabel("Loss relative to start")
    split_legend(grid[0])
    return figure


def _with_terms(runs: Experiment, arm: str) -> Figure:
    figure, (left, right) = panels(1, 2)
    losses(left, runs, arm, REFERENCE_COLOUR)
    step_axis(left)
    left.set_ylabel("Mean squared error")
    split_legend(left)
    _line(right, runs, arm, "loss_terms", "total", 0, "Sum")
    _terms(right, runs, arm)
    step_axis(right)
    right.set_ylabel("Terms of the test loss")
    right.legend(fontsize="small")
    return figure


def _terms(axes: Axes, runs: Experiment, arm: str) -> None:
    for index, (layer, label) in enumerate(TERMS.items(), start=1):
        _line(axes, runs, arm, "loss_terms", layer, index, label)


def _line(
    axes: Axes,
    runs: Experiment,
    arm: str,
    metric: str,
    layer: str,
    index: int,
    label: str | None = None,
) -> None:
    """Draw a metric over steps from 1 on, in the style of place `index`."""
    tracks = [from_first_step(track) for track in runs.tracks(arm, metric, layer)]
    if tracks:
        draw_tracks(axes, tracks, style=look(index), label=label, range=runs.range_of(metric))


def _kernel_line(axes: Axes, runs: Experiment, arm: str) -> None:
    """Draw the mean test loss of kernel regression as a horizontal line."""
    tracks = runs.tracks(arm, "kernel_regression", "test")
    if tracks:
        level = float(np.mean([track.first for track in tracks]))
        axes.axhline(level, color=GREY, lw=0.9, label="Kernel regression")
