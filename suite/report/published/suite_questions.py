"""Figures of our own questions: norm against effective rate, and the MLP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Concatenate, ParamSpec

import numpy as np

from suite.ranges import Range
from suite.report.claims.lyle2025_grokking import projected, step_reached
from suite.report.claims.shared import length
from suite.report.claims.suite_mlp_transfer import rate_of
from suite.report.experiment import Experiment, Repetition
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Level, Panel, Points, number
from suite.report.published.lines import SPLITS, TEST_ACCURACY, curve, floor, look, shares
from suite.report.statistics.censored import Censored
from suite.report.statistics.statistics import geometric_interval

More = ParamSpec("More")

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
KEYS = {"model.factor": "norm", "schedule.value": "effective rate"}


@published(
    "norm_or_elr_map",
    caption=f"{GRID} An MLP with RMSNorm of which the hidden map alone has another norm, and in "
    "proportion its own rate: the norms of the others stay the usual ones.",
    seeds=BARS,
)
@published(
    "norm_or_elr_mlp",
    caption=f"{GRID} An MLP with RMSNorm.",
    seeds=BARS,
)
@published(
    "norm_or_elr",
    caption=f"{GRID} A transformer without norm layers.",
    seeds=BARS,
)
def norm_or_elr(runs: Experiment) -> Grid:
    """Steps and accuracies by one of the two, lines by the other."""
    seed = runs.repetitions[0]
    end = max(length(seed, arm) for arm in seed.arms)
    time = Axis("gradient steps to 95%", "log", high=1.7 * end)  # with room for arrows
    above, below = [], []
    for along, held in (("schedule.value", "model.factor"), ("model.factor", "schedule.value")):
        grid = runs.grid(held, along)
        values, places = (sorted(set(found)) for found in zip(*grid, strict=True))
        x = Axis(f"{KEYS[along]} (multiple of the usual)", "log", ticks=tuple(places))
        times: list[Points] = []
        ends: list[Points] = []
        levels = [Level(y=end)]
        for index, value in enumerate(values):
            arms = [(place, arm) for (other, place), arm in grid.items() if other == value]
            style = replace(look(index), marker=MARKERS[index % len(MARKERS)])
            label = f"{KEYS[held].removeprefix('effective ')} {number(value)}"
            nudge = 1.03 ** (index - 1)
            reached = _places(runs, arms, step_reached)
            time_range = Range(0, end)
            times.append(Points(reached, style, label, range=time_range, joined=True, nudge=nudge))
            if along == "schedule.value" and value == 1.0:
                levels += _inverse(reached)
            ends += [
                Points(
                    _places(runs, arms, _last_accuracy, split),
                    style,
                    name=f"{label}, {name}",
                    range=runs.range_of("accuracy"),
                    hollow=split == "train",
                    joined=split == "test",
                    nudge=nudge,
                )
                for split, name in SPLITS.items()
            ]
        above.append(Panel(x, time, points=times, levels=levels))
        below.append(Panel(x, shares("accuracy at the end"), points=ends, levels=[floor(runs)]))
    return Grid([*above, *below], 2)


Places = list[tuple[float, Mapping[int, Censored]]]


def _places(
    runs: Experiment,
    arms: Sequence[tuple[float, str]],
    of: Callable[Concatenate[Repetition, str, More], Censored],
    *args: More.args,
    **keys: More.kwargs,
) -> Places:
    """Return (place, value by seed) of (place, arm)."""
    return [(place, runs.each(of, arm, *args, **keys)) for place, arm in arms]


def _last_accuracy(seed: Repetition, arm: str, split: str) -> Censored:
    return Censored.exactly(seed.track(arm, "accuracy", split).last)


def _inverse(reached: Places) -> list[Level]:
    """Return times in inverse proportion to the place, through the mean of the middle one."""
    middle, found = reached[len(reached) // 2]
    if not found or not all(time.exact and time.lo > 0 for time in found.values()):
        return []
    mean = float(geometric_interval([time.lo for time in found.values()])[0])
    x = np.array([place for place, _ in reached])
    return [Level(x, mean * middle / x, dotted=True)]


@published(
    "lyle2025_mlp",
    caption=(
        "Test accuracy of an MLP, without norm layers (above) and with RMSNorm (below), norms free "
        "or pinned, by what becomes of the rate. Dotted: the training fraction, and the "
        "re-warming; the low rate alone is its control."
    ),
)
def mlp(runs: Experiment) -> Grid:
    """A panel for each network and treatment of norms."""
    seed, rates = runs.repetitions[0], ("constant", "low", "rewarmed")
    panels = []
    for layers, network in (("none", "no norm layers"), ("rms", "RMSNorm")):
        for pinned in (False, True):
            lines, levels = [], [floor(runs)]
            for arm in seed.arms:
                if (seed.setting(arm, "model.norm"), projected(seed, arm)) != (layers, pinned):
                    continue
                rate = rate_of(seed, arm)
                label = f"{rate.replace('rewarmed', 're-warmed')} rate"
                style = look(rates.index(rate))
                lines.append(curve(runs, arm, "accuracy", "test", style=style, label=label))
                if rate == "rewarmed":
                    share = float(seed.setting(arm, "schedule.offset.fraction"))
                    levels.append(Level(x=share * length(seed, arm), dotted=True))
            title = f"{network}, norms {'pinned' if pinned else 'free'}"
            steps = replace(STEPS, scale="linear", low=0)
            panels.append(Panel(steps, TEST_ACCURACY, lines, levels=levels, title=title))
    return Grid(panels, 2, 1.6)
