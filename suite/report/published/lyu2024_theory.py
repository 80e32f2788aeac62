"""Figures beside those of Lyu et al. 2024: what its theory says of scale, rate and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from suite.report.experiment import Experiment
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Level, Panel, number
from suite.report.published.lines import arms_in_order, curve, ladder, look

LOSS = Axis("test loss", "log")


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
    left = Panel(STEPS, LOSS, ladder(runs, named, "loss", "test"))
    right = [
        curve(runs, arm, "loss", "test", style=look(place), label=name, stretch=stretch[arm])
        for place, (arm, name) in enumerate(named)
        if arm in stretch
    ]
    return Grid([left, Panel(time, LOSS, right, levels=levels)], 2)


@published(
    "lyu2024_fig3_scale",
    caption="Lyu et al. 2024, Theorem 3.9: the transition of matrix completion comes after (1 / "
    "decay) ln(alpha) of time. Right: the same curves with time in units of ln(alpha) / decay.",
)
def figure_scale(runs: Experiment) -> Grid:
    """Test loss over steps, and over time in units of the theory."""
    arms = arms_in_order(runs, "model.scale")
    stretch = {
        arm: float(runs.setting(arm, "optimizer.lr"))
        * float(runs.setting(arm, "interventions.0.coefficient"))
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
    arms = arms_in_order(runs, "optimizer.lr")
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
    rates = [(rate, arm) for rate, arm in arms_in_order(runs, "optimizer.lr") if arm in noisy]
    clean = [(arm, "full batch, no noise") for arm in runs.arms if arm not in noisy]
    named = [*clean, *((arm, f"noise, rate {number(rate)}") for rate, arm in rates)]
    time = Axis(r"$16 \eta^2 t$ ($t$ gradient steps)", low=0)
    return _both_times(runs, named, time, {arm: 16 * rate**2 for rate, arm in rates})
