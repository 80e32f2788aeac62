"""Figures of the committee machine and of twins: made-up rows, configs of the small sweeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from suite.launch.catalogue import config_folders
from suite.report.claims.kumar2024 import delay
from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED
from suite.report.published.data import Grid
from suite.sweeps.sweep import load_sweep

LAYERS = {
    "accuracy": ("train", "test"),
    "loss": ("train", "test"),
    "loss_terms": ("variance", "misalignment", "linear", "total"),
    "parameter_norm": ("all",),
    "relative_movement": ("all",),
    "ntk_alignment": ("one_sided", "plain"),
    "kernel_drift": ("test",),
    "kernel_regression": ("test", "limit"),
}
STEPS = np.unique(np.geomspace(1, 5_000, 25).round())
BOTH = {("loss", "train"): 1, ("loss", "test"): 1}
TWINS = {key: 2 for key in BOTH}
TERMS = {("loss_terms", layer): 1 for layer in ("variance", "misalignment", "linear")}
NORM = {("parameter_norm", "all"): 1}
PANELS: dict[str, list[dict[tuple[str, str], int]]] = {
    "1": [TWINS, NORM, {("ntk_alignment", "one_sided"): 1}],
    "3a": [{("loss", "test"): 8}, {("loss", "train"): 8}],
    "3b": [{("loss", "test"): 5}, {("loss", "train"): 5}],
    "3e": [{}],
    "4": [BOTH, {("loss_terms", "total"): 1, **TERMS}],
    "5": [BOTH] * 3,
    "7": [{("loss", "test"): 4}] * 3 + [{}] * 2,
    "9": [BOTH] * 4 + [TERMS] * 4,
    "10": [{("loss", "test"): 5}, {("loss", "train"): 5}],
    "11": [BOTH, {("loss_terms", "total"): 1, **TERMS}],
    "13a": [TWINS, NORM],
    "13b": [TWINS, NORM],
    "13c": [TWINS, NORM],
    "14": [BOTH] * 3,
    "15": [BOTH] * 3,
    "19": [BOTH] * 12,
}
"""How many lines of which metric and layer each panel has."""
RELATIVE = {"3a", "3b", "5", "7", "10", "14", "15", "19"}
LOG_Y = {"7": [False] * 3 + [True] * 2, "13b": [True, False], "13c": [True, False]}


@cache
def trials(name: str) -> list[Any]:
    return list(load_sweep([f"{name}_small"], config_folders()).trials)


@cache
def made_up(name: str, seeds: int) -> Experiment:
    """Return runs of all arms of the small sweep: losses that fall, the rest rises."""
    chosen = sorted({trial.config.seed for trial in trials(name)})[:seeds]
    rng = np.random.default_rng(0)
    repetitions = []
    for seed in chosen:
        runs, configs, rows = {}, {}, {}
        for trial in (t for t in trials(name) if t.config.seed == seed):
            key = trial.run_id
            runs[trial.task, trial.arm] = key
            configs[key] = trial.config.model_dump(mode="json")
            found = []
            for metric in trial.config.metric_names:
                for layer in LAYERS[metric]:
                    half = 400 if layer == "test" else 40
                    values = 1 / (1 + STEPS / half * rng.uniform(0.8, 1.2))
                    if "loss" not in metric:
                        values = 2 - values
                    points = [(0, 1.25), *zip(STEPS, values, strict=True)]
                    found += [(metric, layer, step, value) for step, value in points]
            rows[key] = pd.DataFrame(found, columns=["metric", "layer", "step", "value"])
        repetitions.append(Repetition(seed, runs, configs, rows))
    return Experiment(name, "small", repetitions)


def shown(number: str, seeds: int) -> tuple[Grid, Experiment]:
    published = PUBLISHED[f"kumar2024_fig{number}"]
    runs = made_up(published.experiment, seeds)
    grid = published.of(runs)
    assert isinstance(grid, Grid)
    return grid, runs


@pytest.mark.parametrize("number", PANELS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_it_shows_its_rows(number: str, seeds: int, sources: Callable[..., Any]) -> None:
    grid, runs = shown(number, seeds)
    assert PUBLISHED[f"kumar2024_fig{number}"].caption.startswith("Kumar et al. 2024, Fig.")
    found = sources(grid, runs)
    assert [Counter(of[1:3] for of in lines) for lines in found] == PANELS[number]
    factor = 0.8 if number in RELATIVE else 1.0  # over the first value
    assert all(of[3:] == pytest.approx((factor, 1.0)) for lines in found for of in lines)
    for panel in grid.shown:
        assert not panel.empty
        assert panel.x.label
        assert panel.y.label
        assert panel.x.scale == "linear" if panel.cells else "log"
    logs = LOG_Y.get(number, [False] * len(grid.shown))
    assert [panel.y.scale == "log" for panel in grid.shown] == logs


def test_figure_1_has_the_kernel_of_the_start() -> None:
    grid, runs = shown("1", 3)
    (level,) = grid.shown[0].levels
    assert level.y == 1.25
    assert level.label == "kernel regression"
    assert {(of.label, of.split) for of in grid.shown[0].lines} == {
        (name, split) for name in ("network", "linearised") for split in ("training", "test")
    }
    assert runs.tracks("network", "kernel_regression", "test")[0].first == 1.25


def test_ladders_are_in_order_from_dark_to_light() -> None:
    grid, runs = shown("3a", 1)
    for panel, split in zip(grid.shown, ("test", "training"), strict=True):
        assert panel.title == split
        values = [float(line.label.split(" = ")[1]) for line in panel.lines]
        assert values == sorted({float(runs.setting(arm, "model.alpha")) for arm in runs.arms})
        lightness = [int(line.style.colour[3:5], 16) for line in panel.lines]
        assert lightness == sorted(lightness)


def test_the_map_shows_times_to_grok() -> None:
    grid, runs = shown("3e", 3)
    (panel,) = grid.shown
    assert panel.cells is not None
    cells = panel.cells.values
    assert len(cells) == len(runs.arms)
    for arm in runs.arms:
        at = [float(runs.setting(arm, f"model.{k}")) for k in ("alpha", "inner.epsilon")]
        assert cells[at[0], at[1]] == {seed.seed: delay(seed, arm) for seed in runs.repetitions}


def test_figure_7_shows_last_values_over_the_product_of_scales() -> None:
    grid, runs = shown("7", 3)
    groups = [panel.title.removesuffix(" varied") for panel in grid.shown[:3]]
    assert groups == [r"$\alpha$", r"$\sigma$", r"$\sigma$, $\alpha = \sigma^{-2}$"]
    movement, end = grid.shown[3:]
    for panel in (movement, end):
        assert [points.label for points in panel.points] == [f"{g} varied" for g in groups]
        places = [[x for x, _ in points.values] for points in panel.points]
        assert places == [[0.0625, 0.25, 1, 4], [0.0625, 0.25, 1, 4], [1, 1, 1, 1]]
    (unit,) = (
        arm
        for arm in runs.arms
        if runs.setting(arm, "model.alpha") == runs.setting(arm, "model.inner.init_scale") == 1
    )
    for seed in runs.repetitions:
        loss = seed.track(unit, "loss", "test")
        moved = seed.track(unit, "relative_movement", "all")
        for group in (0, 1):
            values = {x: by[seed.seed] for x, by in end.points[group].values}
            assert values[1.0].lo == values[1.0].hi == loss.last / loss.first
            values = {x: by[seed.seed] for x, by in movement.points[group].values}
            assert values[1.0].lo == moved.last


def test_figure_19_has_rows_of_points_and_columns_of_indices() -> None:
    grid, runs = shown("19", 1)
    titles = [panel.title for panel in grid.shown]
    assert grid.columns == 4
    assert titles[:5] == [*(f"$P$ = 50, $j$ = {j}" for j in (1, 35, 70, 140)), "$P$ = 100, $j$ = 1"]
    seed = runs.repetitions[0]
    some = {key: i for key, i in seed.runs.items() if seed.configs[i]["task"]["index"] != 70}
    less = Experiment("x", "small", [Repetition(seed.seed, some, seed.configs, seed.rows)])
    assert len(PUBLISHED["kumar2024_fig19"].of(less).panels) == 9  # type: ignore[union-attr]
    one = dict(list(seed.runs.items())[1:])
    gap = Experiment("x", "small", [Repetition(seed.seed, one, seed.configs, seed.rows)])
    panels = PUBLISHED["kumar2024_fig19"].of(gap).panels  # type: ignore[union-attr]
    assert [panel is None for panel in panels].count(True) == 1


@pytest.mark.parametrize("number", PANELS)
def test_without_rows_there_is_no_figure(number: str) -> None:
    published = PUBLISHED[f"kumar2024_fig{number}"]
    whole = made_up(published.experiment, 1)
    bare = [
        Repetition(r.seed, r.runs, r.configs, {k: rows.iloc[:0] for k, rows in r.rows.items()})
        for r in whole.repetitions
    ]
    with pytest.raises(NotMeasured):
        published.of(Experiment(whole.name, whole.scale, bare))


@pytest.mark.slow
@pytest.mark.parametrize("number", PANELS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_it_is_drawn(number: str, seeds: int, drawn: Callable[[Grid], bytes]) -> None:
    assert b"nothing measured" not in drawn(shown(number, seeds)[0])
