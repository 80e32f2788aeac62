"""Kumar et al. 2024: learning curves and what goes with them (Figs. 1, 4, 9, 11, 13 to 15)."""

from __future__ import annotations

import numpy as np

from suite.report.drawing.style import COLOURS, REFERENCE_COLOUR
from suite.report.experiment import Experiment
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Level, Line, Panel
from suite.report.published.lines import (
    RELATIVE,
    arms_in_order,
    both_splits,
    curve,
    look,
    split_panels,
)

SQUARED = Axis("mean squared error")
TERMS = {"variance": "variance", "misalignment": "misalignment", "linear": "linear power"}


@published(
    "kumar2024_fig1",
    caption="Kumar et al. 2024, Fig. 1. Left: losses of a committee machine and of its linearised "
    "twin, and the test loss of regression with the kernel of the start (grey line). Middle: the "
    "norm of the weights, without weight decay. Right: alignment of the tangent kernel with the "
    "target, centred on one side as in the authors' code.",
)
def figure_1(runs: Experiment) -> Grid:
    """Losses, weight norm and alignment."""
    kernel = [track.first for track in runs.tracks("network", "kernel_regression", "test")]
    level = [Level(y=float(np.mean(kernel)), label="kernel regression")] if kernel else []
    alignment = curve(runs, "network", "ntk_alignment", "one_sided", style=look(0))
    panels = [
        Panel(STEPS, SQUARED, _twins(runs), levels=level),
        _norm(runs),
        Panel(STEPS, Axis("kernel alignment"), [alignment]),
    ]
    return Grid(panels, 3)


@published(
    "kumar2024_fig11",
    caption="Kumar et al. 2024, Fig. 11. As Fig. 4, with readouts that are trained too.",
)
@published(
    "kumar2024_fig4",
    caption="Kumar et al. 2024, Fig. 4. Left: training and test loss. Right: the three terms of "
    "the expected test loss and their sum. The paper shows one seed of two hidden units.",
)
def figure_4(runs: Experiment) -> Grid:
    """Losses, and the terms of the test loss."""
    left = Panel(STEPS, SQUARED, both_splits(runs, "network", "loss"))
    return Grid([left, _terms(runs, "network", {"total": "sum"})], 2)


@published(
    "kumar2024_fig9",
    caption="Kumar et al. 2024, Fig. 9. Losses (above) and the terms of the test loss (below) for "
    "rising numbers of training points.",
)
def figure_9(runs: Experiment) -> Grid:
    """Losses and terms by number of training points."""
    arms = arms_in_order(runs, "task.points")
    above = split_panels(runs, [(arm, f"{points:g} points") for points, arm in arms], SQUARED)
    below = [_terms(runs, arm) for _, arm in arms]
    return Grid([*above, *below], len(arms), 1.9, share_y=False)


@published(
    "kumar2024_fig13a",
    caption="Kumar et al. 2024, Fig. 13a. A committee machine and its linearised twin, both with "
    "momentum 0.95.",
)
def figure_13a(runs: Experiment) -> Grid:
    """Losses with momentum."""
    return _with_twin(runs, SQUARED)


@published(
    "kumar2024_fig13b",
    caption="Kumar et al. 2024, Fig. 13b. A student of a random tanh network, weights N(0, 1), and "
    "its linearised twin, both with AdamW.",
)
def figure_13b(runs: Experiment) -> Grid:
    """Losses of a student."""
    return _with_twin(runs, Axis("squared error", "log"))


@published(
    "kumar2024_fig13c",
    caption="Kumar et al. 2024, Fig. 13c. A one-layer transformer on modular addition and its "
    "linearised twin, both with AdamW: the loss leaves that of the twin early.",
)
def figure_13c(runs: Experiment) -> Grid:
    """Losses of a transformer."""
    return _with_twin(runs, Axis("cross-entropy (nats)", "log"))


@published(
    "kumar2024_fig14",
    caption="Kumar et al. 2024, Fig. 14. Targets that are half the sum of the squares along one, "
    "two or three directions; the settings are not stated in the paper.",
)
def figure_14(runs: Experiment) -> Grid:
    """Losses by number of directions."""
    arms = arms_in_order(runs, "task.directions")
    titled = [(arm, f"directions: {count:g}") for count, arm in arms]
    return Grid(split_panels(runs, titled, RELATIVE, relative=True), len(arms), share_y=False)


@published(
    "kumar2024_fig15",
    caption="Kumar et al. 2024, Fig. 15. Targets and activations of higher degree; the settings "
    "are not stated in the paper.",
)
def figure_15(runs: Experiment) -> Grid:
    """Losses by degree of the target."""
    degrees = sorted((int(runs.setting(arm, "task.degree") or 2), arm) for arm in runs.arms)
    titled = [(arm, f"degree {degree}") for degree, arm in degrees]
    return Grid(split_panels(runs, titled, RELATIVE, relative=True), len(titled), share_y=False)


def _twins(runs: Experiment) -> list[Line]:
    """Return the losses of a network and of its expansion."""
    network = both_splits(runs, "network", "loss", label="network", colour=REFERENCE_COLOUR)
    return network + both_splits(runs, "linearised", "loss", label="linearised", colour=COLOURS[1])


def _norm(runs: Experiment) -> Panel:
    norm = curve(runs, "network", "parameter_norm", "all", style=look(0))
    return Panel(STEPS, Axis("norm of weights"), [norm])


def _with_twin(runs: Experiment, loss: Axis) -> Grid:
    """Return the losses of a network and of its expansion, and the network's weight norm."""
    return Grid([Panel(STEPS, loss, _twins(runs)), _norm(runs)], 2)


def _terms(runs: Experiment, arm: str, first: dict[str, str] | None = None) -> Panel:
    """Return the terms of the test loss; `first` are layers and labels before them."""
    lines = [
        curve(runs, arm, "loss_terms", layer, style=look(place), label=label)
        for place, (layer, label) in enumerate({**(first or {}), **TERMS}.items(), not first)
    ]
    return Panel(STEPS, Axis("terms of the test loss"), lines)
