"""Figures of Lyle et al. 2025, section 4, and of our own questions, from made-up rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from suite.report.drawing.style import paper_style
from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED

TOTAL = 1000
NAP = {"kind": "nap", "every": 10}
STEPS = np.unique(np.geomspace(1, TOTAL, 25).round())


def _config(**keys: Any) -> dict[str, Any]:
    base = {
        "task": {"fraction": 0.2},
        "budget": TOTAL,
        "interventions": [],
        "optimizer": {"lr": 0.01},
    }
    return base | keys


def _rows(seed: int, step: float) -> pd.DataFrame:
    """Return an arm's rows: test accuracy rises around `step`."""
    rise = 0.2 + 0.8 / (1 + np.exp(-8 * np.log(STEPS / step))) - 0.01 * seed
    curves = {
        ("accuracy", "test"): rise,
        ("accuracy", "train"): np.ones_like(STEPS),
        ("attention_entropy", "mean"): 0.5 + rise,
        ("attention_rank", "attention_output"): np.round(32 - 10 * rise),
        ("attention_rank_10", "attention_output"): np.round(20 - 10 * rise),
        ("attention_effective_rank", "attention_output"): 18 - 10 * rise,
        ("activation_pattern_change", "mean"): 0.02 + 0.01 * rise,
    }
    flat = [
        (m, k, s, v)
        for (m, k), values in curves.items()
        for s, v in zip(STEPS, values, strict=True)
    ]
    return pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])


def _experiment(arms: Mapping[str, Mapping[str, Any]], seeds: int) -> Experiment:
    repetitions = [
        Repetition(
            seed,
            {("task", arm): arm for arm in arms},
            arms,
            {arm: _rows(seed, 30 + 40 * place) for place, arm in enumerate(arms)},
        )
        for seed in range(seeds)
    ]
    return Experiment("made_up", "small", repetitions)


def _arms(name: str) -> dict[str, dict[str, Any]]:
    """Return the configs of a figure's arms, as far as it reads them."""

    def decay(value: float) -> dict[str, Any]:
        return {"kind": "weight_decay", "coefficient": value}

    if name == "lyle2025_fig2l":
        return {
            f"{pinned},{rate},{d}": _config(
                optimizer={"lr": rate}, interventions=[decay(d), *([NAP] if pinned else [])]
            )
            for pinned in (False, True)
            for rate in (0.01, 0.001, 0.0001)
            for d in (0.01, 1.0)
        }
    if name == "lyle2025_fig2r":
        return {
            str(c): _config(
                interventions=[NAP, *([{"kind": "scale_decay", "coefficient": c}] if c else [])]
            )
            for c in (0.0, 1.0, 10.0)
        }
    if name == "lyle2025_fig3":
        return {
            f"{peak},{offset}": _config(
                optimizer={"lr": peak}, schedule={"kind": "delayed", "offset": offset}
            )
            for peak in (0.01, 0.001)
            for offset in (0, 100, 500)
        }
    if name == "lyle2025_fig8":
        return {
            f"{d},{every}": _config(interventions=[decay(d), {"kind": "nap", "every": every}])
            for d in (0.1, 3.0)
            for every in (1, 30, 300)
        }
    if name.startswith("norm_or_elr"):
        return {
            f"{factor},{value}": _config(model={"factor": factor}, schedule={"value": value})
            for factor in (0.5, 1.0, 2.0)
            for value in (0.5, 1.0, 2.0)
        }
    schedules = (
        {"kind": "constant", "value": 1.0},
        {"kind": "constant", "value": 0.03},
        {"kind": "delayed", "offset": {"fraction": 0.4}},
    )
    return {
        f"{layers},{pinned},{place}": _config(
            model={"norm": layers}, interventions=[NAP] if pinned else [], schedule=schedule
        )
        for layers in ("none", "rms")
        for pinned in (False, True)
        for place, schedule in enumerate(schedules)
    }


LINES = {
    "lyle2025_fig2l": [7, 7],
    "lyle2025_fig2r": [4, 3, 3],
    "lyle2025_fig3": [6, 6, 5, 5],
    "lyle2025_fig8": [5] * 6,
    "norm_or_elr": [17, 16, 22, 22],
    "norm_or_elr_mlp": [17, 16, 22, 22],
    "norm_or_elr_map": [17, 16, 22, 22],
    "lyle2025_mlp": [5] * 4,
}
"""Lines of each panel, reference lines and single marks among them."""


def _draw(name: str, seeds: int, arms: Mapping[str, Mapping[str, Any]] | None = None) -> Figure:
    with paper_style():
        figure = PUBLISHED[name].function(_experiment(arms or _arms(name), seeds))
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("seeds", [1, 5])
def test_every_arm_is_drawn(name: str, seeds: int) -> None:
    figure = _draw(name, seeds)
    assert [len(axes.lines) for axes in figure.axes] == LINES[name]
    for axes in figure.axes:
        place = axes.get_subplotspec()
        assert place is not None
        assert axes.get_xlabel() or not place.is_last_row()
        looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
        assert len(looks) > 1
    bands = sum(len(axes.collections) for axes in figure.axes)
    if not name.startswith("norm_or_elr"):  # which have bars
        assert bands == 0 if seeds == 1 else bands >= len(_arms(name))
        for axes in figure.axes:
            if axes.get_yscale() == "log":
                lows = [b.get_paths()[0].get_extents().y0 for b in axes.collections]
                assert all(low > 0 for low in lows)
    assert figure.legends or any(axes.get_legend() for axes in figure.axes)


def test_the_grid_shows_the_step_of_95_percent() -> None:
    figure = _draw("norm_or_elr", 5)
    steps, accuracies = figure.axes[:2], figure.axes[2:]
    for axes in steps:
        assert axes.get_yscale() == axes.get_xscale() == "log"
        for line in axes.lines:
            values = np.asarray(line.get_ydata(), dtype=float)
            assert ((values >= 1) & (values <= 1.01 * TOTAL)).all()
        assert len(axes.collections) == 9  # bars, none past the end of the run
        for bar in axes.collections:
            assert bar.get_paths()[0].get_extents().y1 <= TOTAL
        assert not axes.texts
    for axes in accuracies:
        hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
        assert len(hollow) == 9


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_times_that_are_not_reached_are_open(seeds: int) -> None:
    runs = _experiment(_arms("norm_or_elr"), seeds)
    never, once = runs.arms[:2]
    for seed in runs.repetitions:
        for arm in (never, once) if seed.seed == 0 else (never,):
            rows = seed.rows[arm]
            test = (rows["metric"] == "accuracy") & (rows["layer"] == "test")
            rows.loc[test, "value"] *= 0.9
    with paper_style():
        figure = PUBLISHED["norm_or_elr"].function(runs)
    for axes in figure.axes[:2]:
        arrows = [text.xy for text in axes.texts if isinstance(text, Annotation)]
        assert len(arrows) == len(axes.texts)
        assert len(arrows) == 2
        (_, at_end), (_, later) = sorted(arrows, key=lambda xy: -xy[1])
        assert at_end == pytest.approx(TOTAL)
        assert later == pytest.approx(TOTAL) if seeds == 1 else later < TOTAL
        opened = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
        large = [line for line in opened if line.get_markersize() > 4]
        assert sorted(float(np.asarray(line.get_ydata())[0]) for line in large) == pytest.approx(
            sorted(y for _, y in arrows)
        )
        small = [line for line in opened if line.get_markersize() < 4]
        assert len(small) == (seeds + 1 if seeds > 1 else 0)
        assert all(float(np.asarray(line.get_ydata())[0]) == TOTAL for line in small)
        bars = [bar.get_paths()[0].get_extents() for bar in axes.collections]
        assert len(bars) == (7 if seeds >= 5 else 0)  # a mean that is at least so much has none
        assert all(bar.y1 <= TOTAL for bar in bars)


def test_an_arm_that_is_missing_leaves_its_place_empty() -> None:
    some = {k: v for k, v in _arms("lyle2025_fig8").items() if k != "3.0,300"}
    figure = _draw("lyle2025_fig8", 5, some)
    assert [len(axes.lines) for axes in figure.axes] == [5, 5, 5, 5, 5, 1]


def test_nothing_to_show_is_said() -> None:
    runs = _experiment(_arms("lyle2025_fig8"), 1)
    empty = {arm: rows[:0] for arm, rows in runs.repetitions[0].rows.items()}
    seed = runs.repetitions[0]
    bare = Experiment("x", "small", [Repetition(0, seed.runs, seed.configs, empty)])
    with pytest.raises(NotMeasured):
        PUBLISHED["lyle2025_fig8"].function(bare)
