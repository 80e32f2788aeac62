"""Figures of Lyu et al. 2024: diagonal networks, modular addition, matrix completion."""

from __future__ import annotations

from collections.abc import Sequence

from suite.report.claims.lyu2024_modular import over_log_time
from suite.report.experiment import Experiment
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Level, Line, Panel, number
from suite.report.published.lines import (
    ACCURACY,
    SPLITS,
    TEST_ACCURACY,
    arms_in_order,
    both_splits,
    curve,
    ladder,
    look,
    only_arm,
    shares,
    split_look,
)

CHANCE = 0.5
"""Accuracy of a guess in Fig. 1."""


def _diagonal(runs: Experiment, extra: Sequence[tuple[str, str, int]]) -> Grid:
    """Return accuracies, and beside them what the theory says of the effective weight."""
    arm = only_arm(runs)
    lines = [
        curve(runs, arm, metric, style=look(index), label=label) for metric, label, index in extra
    ]
    left = Panel(STEPS, ACCURACY, both_splits(runs, arm, "accuracy"), levels=[Level(y=CHANCE)])
    return Grid([left, Panel(STEPS, shares("effective weight"), lines)], 2)


@published(
    "lyu2024_fig1a",
    caption="Lyu et al. 2024, Fig. 1a: grokking of a diagonal network on a sum's sign. "
    "Left as in the paper; right the effective weight's cosine with the classifier of largest L2 "
    "margin, where the plateau should lie, and its share on the true coordinates.",
)
def figure_1a(runs: Experiment) -> Grid:
    """Accuracies, and cosine and share of the effective weight."""
    cosine = ("max_margin_cosine", "cosine with largest L2 margin", 1)
    return _diagonal(runs, [cosine, ("true_coordinates", "share on true coordinates", 3)])


@published(
    "lyu2024_fig1b",
    caption="Lyu et al. 2024, Fig. 1b: misgrokking on the sides of a hyperplane: the classifier of "
    "the kernel phase generalises, that of the rich phase does not. Left as in the paper.",
)
def figure_1b(runs: Experiment) -> Grid:
    """Accuracies, and the cosine of the effective weight."""
    return _diagonal(runs, [("max_margin_cosine", "cosine with largest L2 margin", 1)])


@published(
    "lyu2024_fig2a",
    caption="Lyu et al. 2024, Fig. 2a: modular addition with a two-layer ReLU network.",
)
def figure_2a(runs: Experiment) -> Grid:
    """Accuracies."""
    return Grid([Panel(STEPS, ACCURACY, both_splits(runs, only_arm(runs), "accuracy"))])


def _of_arms(runs: Experiment, path: str, name: str) -> Grid:
    """Return training accuracy, test accuracy and norm, a line for each value of a key."""
    contents = (
        ("accuracy", "train", shares("training accuracy")),
        ("accuracy", "test", TEST_ACCURACY),
        ("parameter_norm", "all", Axis("norm of parameters", "log")),
    )
    named = [(arm, f"{name} {number(value)}") for value, arm in arms_in_order(runs, path)]
    return Grid([Panel(STEPS, y, ladder(runs, named, *of)) for *of, y in contents], 3)


@published(
    "lyu2024_fig2b",
    caption="Lyu et al. 2024, Fig. 2b: a larger initial scale delays generalisation, by equal "
    "numbers of steps for equal factors.",
)
def figure_2b(runs: Experiment) -> Grid:
    """Accuracies and norm by initial scale."""
    return _of_arms(runs, "model.scale", "scale")


@published(
    "lyu2024_fig2c",
    caption="Lyu et al. 2024, Fig. 2c: a larger weight decay makes generalisation earlier, and "
    "too large a one undoes the fit.",
)
def figure_2c(runs: Experiment) -> Grid:
    """Accuracies and norm by weight decay."""
    return _of_arms(runs, "interventions.0.coefficient", "decay")


@published(
    "lyu2024_fig3",
    caption="Lyu et al. 2024, Fig. 3: matrix completion of a multiplication table. Left as in "
    "the paper; right the distance from the completion of least nuclear norm, where the rich phase "
    "should end, and the largest entry of which nothing is known, 0 in the kernel phase.",
)
def figure_3(runs: Experiment) -> Grid:
    """Losses, and distances from what the theory predicts."""
    arm = only_arm(runs)
    shown = (
        ("nuclear_misfit", "distance from least nuclear norm", 1),
        ("unseen_entry", "largest unseen entry", 3),
    )
    lines = [curve(runs, arm, metric, style=look(i), label=label) for metric, label, i in shown]
    panels = [
        Panel(STEPS, Axis("mean squared error", "log"), both_splits(runs, arm, "loss")),
        Panel(STEPS, Axis("relative distance; entry", "log", low=1e-4), lines),
    ]
    return Grid(panels, 2)


@published(
    "lyu2024_fig4",
    caption="Lyu et al. 2024, Fig. 4: without weight decay, against the logarithm of the time t, "
    "the sum of the rates: the start (left), and all of it on a doubly logarithmic axis (right).",
)
def figure_4(runs: Experiment) -> Grid:
    """Accuracies over the logarithm of the time, on two axes."""
    arm = only_arm(runs)
    lines = [
        Line(
            runs.each(over_log_time, arm, "accuracy", layer),
            split_look(layer),
            split=split,
            range=runs.range_of("accuracy"),
        )
        for layer, split in SPLITS.items()
    ]
    start = Axis(r"$\ln t$", low=0, high=20)
    whole = Axis(r"$\ln t$, logarithmic axis", "log", low=1)
    return Grid([Panel(x, ACCURACY, lines) for x in (start, whole)], 2)
