"""Figures of our own questions: norm against effective rate, and the MLP."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from suite.report.claims.lyle2025_grokking import length, projected, step_reached
from suite.report.claims.suite_mlp_transfer import rate_of
from suite.report.experiment import Experiment, NotMeasured
from suite.report.published.base import published
from suite.report.published.drawing import draw, look
from suite.report.published.lyle2025_grokking import by_row, floor
from suite.report.statistics import estimate
from suite.report.style import GREY, WIDTH

GRID = (
    "Gradient steps to 95% test accuracy with all norms and the effective rate lr / |W| "
    "pinned, each a multiple of the usual. Left: by effective rate, a line for each norm. "
    "Right: by norm, a line for each effective rate. Dotted: in inverse proportion to the "
    "effective rate. A step not reached counts as the run's length. Bars: 95% intervals over "
    "seeds of the mean of the logarithm."
)


@published("norm_or_elr_mlp", experiment="norm_or_elr_mlp", caption=f"{GRID} An MLP with RMSNorm.")
@published(
    "norm_or_elr", experiment="norm_or_elr", caption=f"{GRID} A transformer without norm layers."
)
def norm_or_elr(runs: Experiment) -> Figure:
    """Draw the steps by one of the two, lines by the other."""
    keys = {
        arm: (float(runs.setting(arm, "model.factor")), float(runs.setting(arm, "schedule.value")))
        for arm in runs.arms
    }
    figure = Figure((WIDTH, 2.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = ("norm", "effective rate")
    for axes, along in zip(panels, (1, 0), strict=True):
        for place, held in enumerate(sorted({key[1 - along] for key in keys.values()})):
            arms = sorted((key[along], arm) for arm, key in keys.items() if key[1 - along] == held)
            x = np.array([value for value, _ in arms]) * 1.03 ** (place - 1)  # bars side by side
            middle, low, high = np.transpose([_steps(runs, arm) for _, arm in arms])
            style = look(place)
            axes.errorbar(
                x,
                middle,
                yerr=(middle - low, high - middle),
                color=style.colour,
                ls=(0, style.dashes) if style.dashes else "-",
                marker=("o", "s", "^", "D")[place % 4],
                capsize=2,
                label=f"{names[1 - along]} {held:g}",
            )
            if along == 1 and held == 1.0:
                axes.plot(x, middle[len(x) // 2] * x[len(x) // 2] / x, color=GREY, lw=0.8, ls=":")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        ticks = sorted({key[along] for key in keys.values()})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel(f"{names[along]} (multiple of the usual)")
        axes.legend(handlelength=3)
    panels[0].set_ylabel("gradient steps to 95%")
    return figure


def _steps(runs: Experiment, arm: str) -> tuple[float, float, float]:
    """Return mean and interval of the steps, on the logarithmic scale; without one the mean."""
    logs = []
    for seed in runs.repetitions:
        try:
            logs.append(float(np.log(step_reached(seed, arm).lo)))
        except NotMeasured:
            continue
    if not logs:
        raise NotMeasured(f"accuracy of arm {arm!r}")
    found = estimate(logs)
    mean = float(np.mean(logs))
    ends = (mean if end is None else end for end in (found.lo, found.hi))
    low, high = (float(np.exp(end)) for end in ends)
    return float(np.exp(mean)), low, high


@published(
    "lyle2025_mlp",
    experiment="lyle2025_mlp",
    caption=(
        "Test accuracy of an MLP, without norm layers (above) and with RMSNorm (below), norms free "
        "or pinned, by what becomes of the rate. Dotted: the training fraction, and the "
        "re-warming; the low rate alone is its control. Bands: 95% intervals over seeds."
    ),
)
def mlp(runs: Experiment) -> Figure:
    """Draw a panel for each network and treatment of norms."""
    figure = Figure((WIDTH, 3.6), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    rates = ("constant", "low", "rewarmed")
    seed = runs.repetitions[0]
    for row, layers in zip(grid, ("none", "rms"), strict=True):
        for axes, pinned in zip(row, (False, True), strict=True):
            title = "no norm layers" if layers == "none" else "RMSNorm"
            axes.set_title(f"{title}, norms {'pinned' if pinned else 'free'}")
            for arm in seed.arms:
                if (seed.setting(arm, "model.norm"), projected(seed, arm)) != (layers, pinned):
                    continue
                rate = rate_of(seed, arm)
                label = f"{rate.replace('rewarmed', 're-warmed')} rate"
                draw(
                    axes, runs, arm, "accuracy", "test", style=look(rates.index(rate)), label=label
                )
                if rate == "rewarmed":
                    share = float(seed.setting(arm, "schedule.offset.fraction"))
                    steps = share * length(seed, arm)
                    axes.axvline(steps, color=GREY, lw=0.8, ls=":")
            floor(axes, runs)
    by_row(figure, grid, runs, log=False)
    return figure
