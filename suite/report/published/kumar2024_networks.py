"""Figures 2, 6, 8, 12 and 16 to 18 of Kumar et al. 2024: networks other than the committee machine.

Where the paper draws runs of several output scales over one another, each has a panel here, so that
training and test curves can be told apart in grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from suite.ranges import SIZE
from suite.report.claims.kumar2024_modular import unscaled, weight_norm
from suite.report.experiment import Experiment, Track
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Line, Panel, number
from suite.report.published.lines import (
    ACCURACY,
    SPLITS,
    both_splits,
    curve,
    look,
    shades,
    shares,
    split_look,
    split_panels,
)
from suite.rows import THRESHOLDS, layer_of


def by_arm(
    runs: Experiment,
    arms: Sequence[str],
    title: Callable[[str], str],
    columns: int,
    metric: str = "accuracy",
    y: Axis = ACCURACY,
) -> Grid:
    """Return a metric of both splits over log steps from the tenth on, a panel for each arm."""
    titled = [(arm, title(arm)) for arm in arms]
    panels = split_panels(runs, titled, y, metric=metric, x=replace(STEPS, low=10))
    return Grid(panels, min(columns, len(panels)), 1.6)


def few(runs: Experiment) -> int:
    """Return the columns of panels, one for each arm: a row of up to four, else rows of three."""
    return 3 if len(runs.arms) > 4 else 4


def scales(runs: Experiment) -> list[str]:
    """Return the arms, the largest output scale first."""
    return [arm for _, arm in reversed(runs.arms_by("model.alpha"))]


def scale_of(runs: Experiment) -> Callable[[str], str]:
    """Return a function from an arm to its output scale in words."""
    return lambda arm: f"scale {number(runs.setting(arm, 'model.alpha'))}"


@published(
    "kumar2024_fig2",
    caption="Modular addition with a quadratic network under plain gradient descent. At an output "
    "scale of 1: accuracy, squared error, and the sum of both maps' norms over its start. Last: "
    "accuracies for other output scales (the paper's alpha is their root; test "
    "solid, training dashed). Compare Kumar et al. 2024, Fig. 2: test accuracy follows "
    "late while norms grow, and later the larger the scale.",
)
def figure_2(runs: Experiment) -> Grid:
    """Accuracy, error, norm, and accuracies for several output scales."""
    plain = unscaled(runs.repetitions[0])
    norms = {
        seed: Track(track.steps, track.values / track.first)
        for seed, track in runs.each(weight_norm, plain).items()
    }
    steps, arms = replace(STEPS, low=100), scales(runs)[::-1]
    sweep = [
        line
        for colour, arm in zip(shades(len(arms)), arms, strict=True)
        for line in both_splits(runs, arm, "accuracy", label=scale_of(runs)(arm), colour=colour)
    ]
    relative = Axis(r"$|W_1| + |W_2|$ over its start")
    panels = [
        Panel(steps, ACCURACY, both_splits(runs, plain, "accuracy")),
        Panel(steps, Axis("squared error"), both_splits(runs, plain, "loss")),
        Panel(steps, relative, [Line(norms, look(0), range=SIZE)]),
        Panel(steps, ACCURACY, sweep),
    ]
    return Grid(panels, 2, 1.8)


@published(
    "kumar2024_fig16",
    caption="Modular addition with a quadratic network under plain gradient descent, by modulus "
    "p. For Kumar et al. 2024, Fig. 16: late test accuracy for other primes than that of "
    "Fig. 2. That this is what it shows is inferred.",
)
def figure_16(runs: Experiment) -> Grid:
    """Accuracies by modulus."""
    moduli = {arm: f"$p$ = {modulus:g}" for modulus, arm in runs.arms_by("task.modulus")}
    return by_arm(runs, list(moduli), moduli.__getitem__, few(runs))


@published(
    "kumar2024_fig6b",
    caption="Modular addition with a one-layer transformer, by output scale; the rate goes with "
    "1 / scale². Compare Kumar et al. 2024, Fig. 6b: the delay grows with the scale; "
    "at 0.15 there is none.",
)
@published(
    "kumar2024_fig6a",
    caption="Regression on one-hot labels of a few images with large initial weights, by output "
    "scale. Compare Kumar et al. 2024, Fig. 6a: the lag of the test accuracy shrinks with "
    "the scale and is gone at the smallest, although the weights stay large.",
)
def figure_6(runs: Experiment) -> Grid:
    """Accuracies by output scale."""
    return by_arm(runs, scales(runs), scale_of(runs), 4)


@published(
    "kumar2024_fig12",
    caption="Modular addition with a one-layer transformer: weight decay against output scale. "
    "Compare Kumar et al. 2024, Fig. 12: five times the decay takes the delay away, a "
    "larger output scale brings it back.",
)
def figure_12(runs: Experiment) -> Grid:
    """Accuracies for three pairs of output scale and weight decay."""

    def title(arm: str) -> str:
        decay = runs.setting(arm, "interventions.weight_decay.coefficient")
        return f"{scale_of(runs)(arm)}, decay {number(decay)}"

    return by_arm(runs, runs.arms, title, 3)


@published(
    "kumar2024_fig8",
    caption="Students of a random tanh network, by output scale: share of points with a squared "
    "error below 0.001. Compare Kumar et al. 2024, Fig. 8: the scale changes the gap "
    "between the curves although initial weights are the same.",
)
def figure_8(runs: Experiment) -> Grid:
    """Accuracies by output scale."""
    return by_arm(runs, scales(runs)[::-1], scale_of(runs), few(runs))


@published(
    "kumar2024_fig18",
    experiment="kumar2024_fig8",
    caption="Squared errors of the students of Fig. 8, by output scale. "
    "For Kumar et al. 2024, Fig. 18: where accuracies part, losses stay together. "
    "What that figure shows beside the setting of Fig. 8 is inferred.",
)
def figure_18(runs: Experiment) -> Grid:
    """Losses by output scale."""
    loss = Axis("squared error", "log")
    return by_arm(runs, scales(runs)[::-1], scale_of(runs), few(runs), "loss", loss)


@published(
    "kumar2024_fig17",
    caption="One student of a random tanh network: squared error, on both scales, and shares of "
    "points with an error below several thresholds. Compare Kumar et al. 2024, Fig. 17: "
    "one run shows a late rise of test accuracy for some thresholds and none for others.",
)
def figure_17(runs: Experiment) -> Grid:
    """Losses, and accuracies by threshold."""
    (arm,) = runs.arms
    losses = [
        Panel(STEPS, y, both_splits(runs, arm, "loss"), title=title)
        for y, title in (
            (Axis("squared error"), "squared error"),
            (Axis("squared error", "log"), "squared error, log"),
        )
    ]
    within = [
        Panel(
            STEPS,
            shares("share of points"),
            [
                curve(
                    *(runs, arm, "accuracy_within", layer_of(split, threshold)),
                    style=split_look(split),
                    split=name,
                )
                for split, name in SPLITS.items()
            ],
            title=f"error below {number(threshold)}",
        )
        for threshold in THRESHOLDS
        if threshold != 1e-3  # the others are those of the paper
    ]
    return Grid([*losses, *within], 4, 1.6)
