"""Figures beside those of Lyu et al. 2024: what its theory says of scale, rate and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.report.experiment import Experiment, NotMeasured, Track
from suite.report.published.base import published
from suite.report.published.drawing import draw, draw_tracks, look
from suite.report.published.ladders import arms_in_order
from suite.report.published.lyu2024 import in_steps, log_scale, panels


def _stretched(
    axes: Axes, runs: Experiment, arm: str, factor: float, index: int, name: str
) -> None:
    """Draw the test loss of an arm over a multiple of the steps.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    tracks = [Track(t.steps * factor, t.values) for t in runs.tracks(arm, "loss", "test")]
    if not tracks:
        raise NotMeasured(f"test loss of arm {arm!r}")
    possible = runs.range_of("loss")
    draw_tracks(axes, tracks, style=look(index), label=name or None, range=possible)


def _losses(arms: Sequence[tuple[str, str]], runs: Experiment, right: str) -> tuple[Figure, Axes]:
    """Draw the test loss of arms over steps; return the figure and the panel beside it."""
    figure, (left, beside) = panels(2)
    log_scale(left, "y")
    log_scale(beside, "y")
    for index, (arm, name) in enumerate(arms):
        draw(left, runs, arm, "loss", "test", style=look(index), label=name)
    in_steps(left, "test loss")
    left.legend(loc="lower left")
    beside.set_xlabel(right)
    beside.set_ylabel("test loss")
    return figure, beside


def _whole_decades(figure: Figure) -> None:
    """Begin and end the y axes at powers of ten, so that at least two ticks are named."""
    for axes in figure.axes:
        low, high = (math.log10(y) for y in axes.get_ylim())
        axes.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))


@published(
    "lyu2024_fig3_scale",
    experiment="lyu2024_fig3_scale",
    caption="Lyu et al. 2024, Theorem 3.9: the transition of matrix completion comes after (1 / "
    "decay) ln(alpha) of time. Right: the same curves with time in units of ln(alpha) / decay.",
)
def figure_scale(runs: Experiment) -> Figure:
    """Draw test loss over steps, and over time in units of the theory."""
    arms = arms_in_order(runs, "model.scale")
    named = [(arm, f"scale {scale:g}") for scale, arm in arms]
    figure, right = _losses(named, runs, "decay x rate x steps / ln(scale)")
    for index, (scale, arm) in enumerate(arms):
        rate = float(runs.setting(arm, "optimizer.lr"))
        decay = float(runs.setting(arm, "interventions.0.coefficient"))
        _stretched(right, runs, arm, rate * decay / math.log(scale), index, "")
    right.axvline(1, color="#999999", lw=0.7, zorder=0)
    right.set_xlim(0, 3)
    _whole_decades(figure)
    return figure


@published(
    "lyu2024_rate",
    experiment="lyu2024_rate",
    caption="The theory of Lyu et al. 2024 is of the gradient flow: curves at all rates agree "
    "against rate times steps.",
)
def figure_rate(runs: Experiment) -> Figure:
    """Draw test loss over steps, and over rate times steps."""
    arms = arms_in_order(runs, "optimizer.lr")
    figure, right = _losses([(arm, f"rate {rate:g}") for rate, arm in arms], runs, "rate x steps")
    for index, (rate, arm) in enumerate(arms):
        _stretched(right, runs, arm, rate, index, "")
    log_scale(right, "x")
    right.set_xlim(left=1)
    _whole_decades(figure)
    return figure


@published(
    "lyu2024_label_noise",
    experiment="lyu2024_label_noise",
    caption="Lyu et al. 2024, Appendix B.2: label noise in updates on one example acts as a weight "
    "decay of the order of the rate, so that generalisation takes 1 / rate^2 steps. Right: these "
    "curves against 16 rate^2 times steps, after which u v has shrunk by a factor e.",
)
def figure_label_noise(runs: Experiment) -> Figure:
    """Draw test loss over steps, and over steps in units of the noise's decay."""
    noisy = [arm for arm in runs.arms if float(runs.setting(arm, "task.noise")) > 0]
    rates = sorted((float(runs.setting(arm, "optimizer.lr")), arm) for arm in noisy)
    clean = [(arm, "full batch, no noise") for arm in runs.arms if arm not in noisy]
    named = [*clean, *((arm, f"noise, rate {rate:g}") for rate, arm in rates)]
    figure, right = _losses(named, runs, "16 rate^2 x steps")
    for index, (rate, arm) in enumerate(rates):
        _stretched(right, runs, arm, 16 * rate**2, index + len(clean), "")
    right.set_xlim(left=0)
    _whole_decades(figure)
    return figure
