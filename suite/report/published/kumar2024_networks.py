"""Figures 2, 6, 8, 12 and 16 to 18 of Kumar et al. 2024: networks other than the committee machine.

Where the paper draws runs of several output scales over one another, each has a panel here, so that
training and test curves can be told apart in grey: training dashed and grey, test solid and black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from suite.ranges import SIZE
from suite.report.claims.kumar2024_modular import unscaled, weight_norm
from suite.report.drawing.axes import count_axis, log_axis
from suite.report.drawing.style import DASHES, GREY, REFERENCE_COLOUR, SOLID, WIDTH, ArmStyle
from suite.report.experiment import Experiment, NotMeasured, Track
from suite.report.published.base import published
from suite.report.published.drawing import draw, draw_tracks, look
from suite.report.published.ladders import arms_in_order
from suite.rows import THRESHOLDS, layer_of

TEST = ArmStyle(REFERENCE_COLOUR, SOLID, "o")
TRAIN = ArmStyle(GREY, DASHES[0], "o")


def grid(panels: int, columns: int, height: float = 1.55) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels in rows of `columns`, all with one axis of y."""
    rows = -(-panels // columns)
    figure = Figure(figsize=(WIDTH, height * rows + 0.55), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def both_splits(axes: Axes, runs: Experiment, arm: str, metric: str) -> None:
    """Draw a metric of training and test examples.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    drawn = [
        draw(axes, runs, arm, metric, split, style=style, label=label)
        for split, style, label in (("train", TRAIN, "training"), ("test", TEST, "test"))
    ]
    if not any(drawn):
        raise NotMeasured(f"{metric} of arm {arm!r}")


def log_steps(axes: Axes, runs: Experiment, start: float = 10.0, *, named: bool = True) -> None:
    """Make the axis of steps logarithmic, from `start` to the end.

    Args:
        axes: what is drawn already.
        runs: the experiment.
        start: the first step shown.
        named: whether to say what is on the axis.
    """
    of_runs = [seed.rows[i] for seed in runs.repetitions for i in seed.runs.values()]
    end = max(float(rows["step"].max()) for rows in of_runs)
    count_axis(axes, "steps", end, log=True)
    axes.set_xlim(min(start, end / 10), 1.15 * end)
    axes.xaxis.set_minor_formatter(NullFormatter())
    if not named:
        axes.set_xlabel("")


def legend(figure: Figure, axes: Axes) -> None:
    """Put the entries of one panel above all."""
    handles, labels = axes.get_legend_handles_labels()
    columns = min(len(labels), 6)
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=3.2)


def few(runs: Experiment) -> int:
    """Return the columns of panels, one for each arm: a row of up to four, else rows of three."""
    return 3 if len(runs.arms) > 4 else 4


def by_arm(
    runs: Experiment,
    arms: Sequence[str],
    title: Callable[[str], str],
    columns: int,
    metric: str = "accuracy",
    label: str = "accuracy",
    *,
    log: bool = False,
) -> Figure:
    """Return a metric of both splits over log steps, a panel for each arm; y `log` if asked."""
    figure, panels = grid(len(arms), columns)
    if log:
        panels[0].set_yscale("log")  # of all panels, which share it
    for index, (axes, arm) in enumerate(zip(panels, arms, strict=True)):
        both_splits(axes, runs, arm, metric)
        log_steps(axes, runs, named=index + columns >= len(arms))
        axes.set_title(title(arm))
        if metric == "accuracy":
            axes.set_ylim(-0.03, 1.03)
        if index % columns == 0:
            axes.set_ylabel(label)
    legend(figure, panels[0])
    return figure


def scales(runs: Experiment) -> list[str]:
    """Return the arms, the largest output scale first."""
    return sorted(runs.arms, key=lambda arm: -float(runs.setting(arm, "model.alpha")))


def scale_of(runs: Experiment) -> Callable[[str], str]:
    """Return a function from an arm to its output scale in words."""
    return lambda arm: f"scale {runs.setting(arm, 'model.alpha'):g}"


@published(
    "kumar2024_fig2",
    experiment="kumar2024_fig2",
    caption="Modular addition with a quadratic network under plain gradient descent. At an output "
    "scale of 1: accuracy, squared error, and the sum of both maps' norms over its start. Last: "
    "accuracies for other output scales (the paper's alpha is their root; test "
    "solid, training dashed). Compare Kumar et al. 2024, Fig. 2: test accuracy follows "
    "late while norms grow, and later the larger the scale.",
)
def figure_2(runs: Experiment) -> Figure:
    """Accuracy, error, norm, and accuracies for several output scales."""
    plain = unscaled(runs.repetitions[0])
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    accuracy, error, norm, sweep = figure.subplots(2, 2).flat
    both_splits(accuracy, runs, plain, "accuracy")
    both_splits(error, runs, plain, "loss")
    accuracy.legend(loc="lower right")
    accuracy.set_ylabel("accuracy")
    error.set_ylabel("squared error")
    norms = [weight_norm(seed, plain) for seed in runs.repetitions if plain in seed.arms]
    relative = [Track(track.steps, track.values / track.first) for track in norms]
    draw_tracks(norm, relative, style=TEST, range=SIZE)
    norm.set_ylabel("|W₁| + |W₂| over its start")
    for index, arm in enumerate(reversed(scales(runs))):
        style = look(index)
        scale = f"{runs.setting(arm, 'model.alpha'):g}"
        draw(sweep, runs, arm, "accuracy", "test", style=ArmStyle(style.colour, SOLID, "o"))
        dashed = ArmStyle(style.colour, DASHES[1], "o")
        draw(sweep, runs, arm, "accuracy", "train", style=dashed)
        sweep.plot([], [], color=style.colour, label=f"scale {scale}")
    sweep.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.5, columnspacing=1.2
    )
    sweep.set_ylabel("accuracy")
    for axes in (accuracy, error, norm, sweep):
        log_steps(axes, runs, 100.0, named=axes in (norm, sweep))
    return figure


@published(
    "kumar2024_fig16",
    experiment="kumar2024_fig16",
    caption="Modular addition with a quadratic network under plain gradient descent, by modulus "
    "p. For Kumar et al. 2024, Fig. 16: late test accuracy for other primes than that of "
    "Fig. 2. That this is what it shows is inferred.",
)
def figure_16(runs: Experiment) -> Figure:
    """Accuracies by modulus."""
    moduli = {arm: f"p = {modulus:g}" for modulus, arm in arms_in_order(runs, "task.modulus")}
    return by_arm(runs, list(moduli), moduli.__getitem__, min(few(runs), len(moduli)))


@published(
    "kumar2024_fig6a",
    experiment="kumar2024_fig6a",
    caption="Regression on one-hot labels of a few images with large initial weights, by output "
    "scale. Compare Kumar et al. 2024, Fig. 6a: the lag of the test accuracy shrinks with "
    "the scale and is gone at the smallest, although the weights stay large.",
)
def figure_6a(runs: Experiment) -> Figure:
    """Accuracies by output scale."""
    return by_arm(runs, scales(runs), scale_of(runs), 4)


@published(
    "kumar2024_fig6b",
    experiment="kumar2024_fig6b",
    caption="Modular addition with a one-layer transformer, by output scale; the rate goes with "
    "1 / scale². Compare Kumar et al. 2024, Fig. 6b: the delay grows with the scale; "
    "at 0.15 there is none.",
)
def figure_6b(runs: Experiment) -> Figure:
    """Accuracies by output scale."""
    return by_arm(runs, scales(runs), scale_of(runs), min(4, len(runs.arms)))


@published(
    "kumar2024_fig12",
    experiment="kumar2024_fig12",
    caption="Modular addition with a one-layer transformer: weight decay against output scale. "
    "Compare Kumar et al. 2024, Fig. 12: five times the decay takes the delay away, a "
    "larger output scale brings it back.",
)
def figure_12(runs: Experiment) -> Figure:
    """Accuracies for three pairs of output scale and weight decay."""

    def title(arm: str) -> str:
        decay = runs.setting(arm, "interventions.0.coefficient")
        return f"scale {runs.setting(arm, 'model.alpha'):g}, decay {decay:g}"

    return by_arm(runs, runs.arms, title, 3)


@published(
    "kumar2024_fig8",
    experiment="kumar2024_fig8",
    caption="Students of a random tanh network, by output scale: share of points with a squared "
    "error below 0.001. Compare Kumar et al. 2024, Fig. 8: the scale changes the gap "
    "between the curves although initial weights are the same.",
)
def figure_8(runs: Experiment) -> Figure:
    """Accuracies by output scale."""
    return by_arm(runs, scales(runs)[::-1], scale_of(runs), few(runs))


@published(
    "kumar2024_fig18",
    experiment="kumar2024_fig8",
    caption="Squared errors of the students of Fig. 8, by output scale. "
    "For Kumar et al. 2024, Fig. 18: where accuracies part, losses stay together. "
    "What that figure shows beside the setting of Fig. 8 is inferred.",
)
def figure_18(runs: Experiment) -> Figure:
    """Losses by output scale."""
    figure = by_arm(
        runs, scales(runs)[::-1], scale_of(runs), few(runs), "loss", "squared error", log=True
    )
    lines = [line for axes in figure.axes for line in axes.lines]
    log_axis(figure.axes[0], [np.asarray(line.get_ydata(), float) for line in lines])
    return figure


@published(
    "kumar2024_fig17",
    experiment="kumar2024_fig17",
    caption="One student of a random tanh network: squared error, on both scales, and shares of "
    "points with an error below several thresholds. Compare Kumar et al. 2024, Fig. 17: "
    "one run shows a late rise of test accuracy for some thresholds and none for others.",
)
def figure_17(runs: Experiment) -> Figure:
    """Losses, and accuracies by threshold."""
    (arm,) = runs.arms
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    panels = list(figure.subplots(2, 4).flat)
    panels.pop().remove()
    loss, log_loss, *accuracies = panels
    shown = [t for t in THRESHOLDS if t != 1e-3]  # those of the paper
    log_loss.set_yscale("log")
    for axes, title in ((loss, "squared error"), (log_loss, "squared error, log")):
        both_splits(axes, runs, arm, "loss")
        axes.set_title(title)
    log_axis(log_loss, [np.asarray(line.get_ydata(), float) for line in log_loss.lines])
    for axes, threshold in zip(accuracies, shown, strict=True):
        for split, style in (("train", TRAIN), ("test", TEST)):
            draw(axes, runs, arm, "accuracy_within", layer_of(split, threshold), style=style)
        axes.set_title(f"right if < {threshold:g}")
        axes.set_ylim(-0.03, 1.03)
    for index, axes in enumerate(panels):
        log_steps(axes, runs, 1.0, named=index >= 3)
    legend(figure, loss)
    return figure
