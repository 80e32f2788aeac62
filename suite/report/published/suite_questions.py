"""Figures of our own questions: norm against effective rate, and the MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from suite.report.claims.lyle2025_grokking import length, projected, step_reached
from suite.report.claims.suite_mlp_transfer import rate_of
from suite.report.drawing.lines import dashes
from suite.report.drawing.style import GREY, WIDTH
from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import published
from suite.report.published.drawing import draw, look
from suite.report.published.lyle2025_grokking import by_row, floor
from suite.report.published.places import place, time_place

Value = TypeVar("Value")

GRID = (
    "All norms and the effective rate lr / |W| are pinned, each at a multiple of the usual. Above: "
    "gradient steps to 95% test accuracy, geometric means over seeds; open with an arrow where "
    "not every seed gets there: those count as the run's length (grey line), so that the mean is "
    "at least what is drawn; dotted: in inverse proportion to the effective rate. Below: accuracy "
    "at the end, filled on the test set, hollow on the training set; dotted: the training "
    "fraction. Left: by effective rate, a line for each norm. Right: by norm, a line for each "
    "effective rate."
)
BARS = (
    "Bars: 95% intervals over seeds, of times up to the run's length; below five seeds, and where "
    "some do not get there, each is a small dot instead, open where 95% is not reached."
)
MARKERS = ("o", "s", "^", "D")


@published(
    "norm_or_elr_map",
    experiment="norm_or_elr_map",
    caption=f"{GRID} An MLP with RMSNorm of which the hidden map alone has another norm, and in "
    "proportion its own rate: the norms of the others stay the usual ones.",
    seeds=BARS,
)
@published(
    "norm_or_elr_mlp",
    experiment="norm_or_elr_mlp",
    caption=f"{GRID} An MLP with RMSNorm.",
    seeds=BARS,
)
@published(
    "norm_or_elr",
    experiment="norm_or_elr",
    caption=f"{GRID} A transformer without norm layers.",
    seeds=BARS,
)
def norm_or_elr(runs: Experiment) -> Figure:
    """Draw steps and accuracies by one of the two, lines by the other."""
    keys = {
        arm: (float(runs.setting(arm, "model.factor")), float(runs.setting(arm, "schedule.value")))
        for arm in runs.arms
    }
    figure = Figure((WIDTH, 4.6), layout="constrained")
    grid = figure.subplots(2, 2, sharey="row", sharex="col")
    names = ("norm", "effective rate")
    end = max(length(runs.repetitions[0], arm) for arm in runs.repetitions[0].arms)
    for (steps, ends), along in zip(grid.T, (1, 0), strict=True):
        steps.set_yscale("log", base=2)
        for index, held in enumerate(sorted({key[1 - along] for key in keys.values()})):
            arms = sorted((key[along], arm) for arm, key in keys.items() if key[1 - along] == held)
            x = np.array([value for value, _ in arms]) * 1.03 ** (index - 1)  # bars side by side
            look_of = look(index)
            marks: dict[str, Any] = {"colour": look_of.colour, "marker": MARKERS[index % 4]}
            thin: dict[str, Any] = {"color": look_of.colour, "ls": dashes(look_of), "lw": 1.0}
            label = f"{names[1 - along].removeprefix('effective ')} {held:g}"
            times = [_of_seeds(runs, arm, step_reached) for _, arm in arms]
            means = [
                time_place(steps, at, found, end, **marks)
                for at, found in zip(x, times, strict=True)
            ]
            steps.plot(x, means, **thin)
            steps.plot([], [], label=label, marker=marks["marker"], **thin)
            if along == 1 and held == 1.0 and all(time.exact for time in times[len(x) // 2]):
                middle = means[len(x) // 2] * x[len(x) // 2]
                steps.plot(x, middle / x, color=GREY, lw=0.8, ls=":")
            for split in ("train", "test"):
                last = [
                    place(
                        ends,
                        at,
                        _of_seeds(runs, arm, _last_accuracy(split)),
                        range=runs.range_of("accuracy"),
                        hollow=split == "train",
                        **marks,
                    )
                    for at, (_, arm) in zip(x, arms, strict=True)
                ]
                if split == "test":
                    ends.plot(x, last, **thin)
        ticks = sorted({key[along] for key in keys.values()})
        for axes in (steps, ends):
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.xaxis.set_minor_formatter(NullFormatter())
        steps.axhline(end, color=GREY, lw=0.8, zorder=0)
        steps.set_ylim(top=1.7 * end)  # room for arrows
        steps.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        floor(ends, runs)
        ends.set_ylim(-0.04, 1.06)
        ends.set_xlabel(f"{names[along]} (multiple of the usual)")
        steps.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            handlelength=2,
            columnspacing=1.0,
        )
    grid[0, 0].set_ylabel("gradient steps to 95%")
    grid[1, 0].set_ylabel("accuracy at the end")
    return figure


def _last_accuracy(split: str) -> Callable[[Repetition, str], float]:
    return lambda seed, arm: seed.track(arm, "accuracy", split).last


def _of_seeds(runs: Experiment, arm: str, value: Callable[[Repetition, str], Value]) -> list[Value]:
    """Return one value for each seed that has the arm.

    Raises:
        NotMeasured: if none has.
    """
    found = []
    for seed in runs.repetitions:
        try:
            found.append(value(seed, arm))
        except NotMeasured:
            continue
    if not found:
        raise NotMeasured(f"accuracy of arm {arm!r}")
    return found


@published(
    "lyle2025_mlp",
    experiment="lyle2025_mlp",
    caption=(
        "Test accuracy of an MLP, without norm layers (above) and with RMSNorm (below), norms free "
        "or pinned, by what becomes of the rate. Dotted: the training fraction, and the "
        "re-warming; the low rate alone is its control."
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
