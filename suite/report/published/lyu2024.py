"""Figures of Lyu et al. 2024: diagonal networks, modular addition, matrix completion."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.report.claims.lyu2024_modular import over_log_time
from suite.report.drawing.axes import power_ticks
from suite.report.drawing.style import WIDTH
from suite.report.experiment import Experiment, NotMeasured, Track
from suite.report.published.base import published
from suite.report.published.drawing import draw, draw_tracks, look

HEIGHT = 2.2
"""Of a row of panels, in inches."""
CHANCE = {"lyu2024_fig1a": 0.5, "lyu2024_fig1b": 0.5}
"""Accuracy of a guess, where a figure shows it."""


def panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with panels side by side."""
    figure = Figure(figsize=(WIDTH if count > 1 else WIDTH / 2, HEIGHT), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def log_scale(axes: Axes, *which: str) -> None:
    """Make axes logarithmic, ``x`` or ``y`` or both, with powers of ten as ticks."""
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        power_ticks(axis, 6)


def legend(figure: Figure) -> None:
    """Name the lines of all panels above them, each once."""
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = 4 if len(figure.axes) > 1 else 2
    figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=columns)


def in_steps(axes: Axes, label: str) -> None:
    """Name both axes; steps are logarithmic from the first on, as in the paper."""
    log_scale(axes, "x")
    axes.set_xlim(left=1)
    axes.set_xlabel("gradient steps")
    axes.set_ylabel(label)


def shares(axes: Axes) -> None:
    """Show accuracies from 0 to 1 with room for lines at either end."""
    axes.set_ylim(-0.04, 1.04)


def _one(runs: Experiment) -> str:
    if len(runs.arms) != 1:
        raise NotMeasured("the only arm")
    return runs.arms[0]


def accuracies(axes: Axes, runs: Experiment, arm: str) -> None:
    """Draw training and test accuracy of an arm over steps."""
    draw(axes, runs, arm, "accuracy", "train", style=look(2), label="training")
    draw(axes, runs, arm, "accuracy", "test", style=look(0), label="test")
    in_steps(axes, "accuracy")
    shares(axes)


def _diagonal(runs: Experiment, extra: Sequence[tuple[str, str, int]]) -> Figure:
    """Draw accuracies, and beside them what the theory says of the effective weight."""
    figure, (left, right) = panels(2)
    accuracies(left, runs, _one(runs))
    left.axhline(CHANCE[runs.name], color="#999999", lw=0.7, zorder=0)
    for metric, label, index in extra:
        draw(right, runs, _one(runs), metric, style=look(index), label=label)
    in_steps(right, "effective weight")
    shares(right)
    legend(figure)
    return figure


@published(
    "lyu2024_fig1a",
    experiment="lyu2024_fig1a",
    caption="Lyu et al. 2024, Fig. 1a: grokking of a diagonal network on a sum's sign. "
    "Left as in the paper; right the effective weight's cosine with the classifier of largest L2 "
    "margin, where the plateau should lie, and its share on the true coordinates.",
)
def figure_1a(runs: Experiment) -> Figure:
    """Draw Fig. 1a."""
    cosine = ("max_margin_cosine", "cosine with largest L2 margin", 1)
    return _diagonal(runs, [cosine, ("true_coordinates", "share on true coordinates", 3)])


@published(
    "lyu2024_fig1b",
    experiment="lyu2024_fig1b",
    caption="Lyu et al. 2024, Fig. 1b: misgrokking on the sides of a hyperplane: the classifier of "
    "the kernel phase generalises, that of the rich phase does not. Left as in the paper.",
)
def figure_1b(runs: Experiment) -> Figure:
    """Draw Fig. 1b."""
    return _diagonal(runs, [("max_margin_cosine", "cosine with largest L2 margin", 1)])


@published(
    "lyu2024_fig2a",
    experiment="lyu2024_fig2a",
    caption="Lyu et al. 2024, Fig. 2a: modular addition with a two-layer ReLU network.",
)
def figure_2a(runs: Experiment) -> Figure:
    """Draw Fig. 2a."""
    figure, (axes,) = panels(1)
    accuracies(axes, runs, _one(runs))
    legend(figure)
    return figure


def _of_arms(runs: Experiment, arms: Sequence[tuple[str, str]]) -> Figure:
    """Draw training accuracy, test accuracy and norm of several arms over steps."""
    figure, axes = panels(3)
    contents = (
        ("accuracy", "train", "training accuracy"),
        ("accuracy", "test", "test accuracy"),
        ("parameter_norm", "all", "norm of parameters"),
    )
    log_scale(axes[2], "y")
    for panel, (metric, layer, label) in zip(axes, contents, strict=True):
        for index, (arm, name) in enumerate(arms):
            draw(panel, runs, arm, metric, layer, style=look(index), label=name)
        in_steps(panel, label)
    for panel in axes[:2]:
        shares(panel)
    legend(figure)
    return figure


@published(
    "lyu2024_fig2b",
    experiment="lyu2024_fig2b",
    caption="Lyu et al. 2024, Fig. 2b: a larger initial scale delays generalisation, by equal "
    "numbers of steps for equal factors.",
)
def figure_2b(runs: Experiment) -> Figure:
    """Draw Fig. 2b."""
    scales = sorted((float(runs.setting(arm, "model.scale")), arm) for arm in runs.arms)
    return _of_arms(runs, [(arm, f"scale {scale:g}") for scale, arm in scales])


@published(
    "lyu2024_fig2c",
    experiment="lyu2024_fig2c",
    caption="Lyu et al. 2024, Fig. 2c: a larger weight decay makes generalisation earlier, and "
    "too large a one undoes the fit.",
)
def figure_2c(runs: Experiment) -> Figure:
    """Draw Fig. 2c."""
    decays = sorted(
        (float(runs.setting(arm, "interventions.0.coefficient")), arm) for arm in runs.arms
    )
    return _of_arms(runs, [(arm, f"decay {decay:g}") for decay, arm in decays])


@published(
    "lyu2024_fig3",
    experiment="lyu2024_fig3",
    caption="Lyu et al. 2024, Fig. 3: matrix completion of a multiplication table. Left as in "
    "the paper; right the distance from the completion of least nuclear norm, where the rich phase "
    "should end, and the largest entry of which nothing is known, 0 in the kernel phase.",
)
def figure_3(runs: Experiment) -> Figure:
    """Draw Fig. 3."""
    figure, (left, right) = panels(2)
    arm = _one(runs)
    log_scale(left, "y")
    log_scale(right, "y")
    draw(left, runs, arm, "loss", "train", style=look(2), label="training")
    draw(left, runs, arm, "loss", "test", style=look(0), label="test")
    draw(
        right, runs, arm, "nuclear_misfit", style=look(1), label="distance from least nuclear norm"
    )
    draw(right, runs, arm, "unseen_entry", style=look(3), label="largest unseen entry")
    for axes, label in ((left, "mean squared error"), (right, "relative distance; entry")):
        in_steps(axes, label)
    right.set_ylim(bottom=1e-4)
    legend(figure)
    return figure


@published(
    "lyu2024_fig4",
    experiment="lyu2024_fig4",
    caption="Lyu et al. 2024, Fig. 4: without weight decay, against the logarithm of the time t, "
    "the sum of the rates: the start (left), and all of it on a doubly logarithmic axis (right).",
)
def figure_4(runs: Experiment) -> Figure:
    """Draw Fig. 4.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    figure, (left, right) = panels(2)
    for layer, index, label in (("train", 2, "training"), ("test", 0, "test")):
        tracks: list[Track] = []
        for seed in runs.repetitions:
            try:
                tracks.append(over_log_time(seed, _one(runs), "accuracy", layer))
            except NotMeasured:
                continue
        if not tracks:
            raise NotMeasured("accuracy over time")
        for axes in (left, right):
            possible = runs.range_of("accuracy")
            draw_tracks(axes, tracks, style=look(index), label=label, range=possible)
    for axes in (left, right):
        axes.set_ylabel("accuracy")
        shares(axes)
    left.set_xlim(0, 20)
    left.set_xlabel("ln(t)")
    log_scale(right, "x")
    right.set_xlim(left=1)
    right.set_xlabel("ln(t), logarithmic axis")
    legend(figure)
    return figure
