"""Figures of Lyu et al. 2024: diagonal networks, modular addition, matrix completion.

The last three are beside those of the paper: what its theory says of scale, rate and noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from suite.report.claims.lyu2024_modular import over_log_time
from suite.report.experiment import Experiment
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Level, Line, Panel, number
from suite.report.published.lines import (
    ACCURACY,
    SPLITS,
    TEST_ACCURACY,
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
TEST_LOSS = Axis("test loss", "log")


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
    named = [(arm, f"{name} {number(value)}") for value, arm in runs.arms_by(path)]
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
    return _of_arms(runs, "interventions.weight_decay.coefficient", "decay")


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


def _both_times(
    runs: Experiment,
    named: Sequence[tuple[str, str]],
    time: Axis,
    stretch: Mapping[str, float],
    levels: Sequence[Level] = (),
) -> Grid:
    """Return the test losses of (arm, name) over steps, and over a multiple of them.

    Args:
        runs: the experiment.
        named: arms and what the legend calls them.
        time: axis of the right panel.
        stretch: factor on the steps by arm; arms without one are left out of the right panel.
        levels: of the right panel.
    """
    left = Panel(STEPS, TEST_LOSS, ladder(runs, named, "loss", "test"))
    right = [
        curve(runs, arm, "loss", "test", style=look(place), label=name, stretch=stretch[arm])
        for place, (arm, name) in enumerate(named)
        if arm in stretch
    ]
    return Grid([left, Panel(time, TEST_LOSS, right, levels=levels)], 2)


@published(
    "lyu2024_fig3_scale",
    caption="Lyu et al. 2024, Theorem 3.9: the transition of matrix completion comes after (1 / "
    "decay) ln(alpha) of time. Right: the same curves with time in units of ln(alpha) / decay.",
)
def figure_scale(runs: Experiment) -> Grid:
    """Test loss over steps, and over time in units of the theory."""
    arms = runs.arms_by("model.scale")
    stretch = {
        arm: float(runs.setting(arm, "optimizer.lr"))
        * float(runs.setting(arm, "interventions.weight_decay.coefficient"))
        / math.log(scale)
        for scale, arm in arms
    }
    named = [(arm, f"scale {number(scale)}") for scale, arm in arms]
    time = Axis(r"$\lambda \eta t / \ln \alpha$ ($t$ gradient steps)", low=0, high=3)
    return _both_times(runs, named, time, stretch, [Level(x=1.0)])


@published(
    "lyu2024_rate",
    caption="The theory of Lyu et al. 2024 is of the gradient flow: curves at all rates agree "
    "against rate times steps.",
)
def figure_rate(runs: Experiment) -> Grid:
    """Test loss over steps, and over rate times steps."""
    arms = runs.arms_by("optimizer.lr")
    named = [(arm, f"rate {number(rate)}") for rate, arm in arms]
    time = Axis(r"$\eta t$ ($t$ gradient steps)", "log", low=1)
    return _both_times(runs, named, time, {arm: rate for rate, arm in arms})


@published(
    "lyu2024_label_noise",
    caption="Lyu et al. 2024, Appendix B.2: label noise in updates on one example acts as a weight "
    "decay of the order of the rate, so that generalisation takes 1 / rate^2 steps. Right: these "
    "curves against 16 rate^2 times steps, after which u v has shrunk by a factor e.",
)
def figure_label_noise(runs: Experiment) -> Grid:
    """Test loss over steps, and over steps in units of the noise's decay."""
    noisy = [arm for arm in runs.arms if float(runs.setting(arm, "task.noise")) > 0]
    rates = [(rate, arm) for rate, arm in runs.arms_by("optimizer.lr") if arm in noisy]
    clean = [(arm, "full batch, no noise") for arm in runs.arms if arm not in noisy]
    named = [*clean, *((arm, f"noise, rate {number(rate)}") for rate, arm in rates)]
    time = Axis(r"$16 \eta^2 t$ ($t$ gradient steps)", low=0)
    return _both_times(runs, named, time, {arm: 16 * rate**2 for rate, arm in rates})
