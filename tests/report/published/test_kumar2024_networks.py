"""The other networks' figures of Kumar et al. 2024, from made-up rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED
from suite.report.published.data import Grid
from suite.rows import THRESHOLDS, layer_of

STEPS = (0, 1, 10, 100, 1000, 10_000)
LAYERS = [
    *(("accuracy", split) for split in ("train", "test")),
    *(("loss", split) for split in ("train", "test")),
    *(("parameter_norm", f"inner.{name}.weight") for name in ("hidden", "readout")),
    *(
        ("accuracy_within", layer_of(split, threshold))
        for split in ("train", "test")
        for threshold in THRESHOLDS
    ),
]
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "kumar2024_fig2": [{"alpha": a} for a in (1.0, 0.25, 2.25, 4.0)],
    "kumar2024_fig6a": [{"alpha": a} for a in (0.5, 0.05, 0.01, 0.001, 0.0001)],
    "kumar2024_fig6b": [{"alpha": a / 20} for a in range(10, 0, -1)],
    "kumar2024_fig8": [{"alpha": a} for a in (1.0, 0.1, 0.25, 0.5, 0.75, 3.0)],
    "kumar2024_fig12": [{"alpha": a, "decay": d} for a, d in ((0.5, 1.0), (0.5, 5.0), (1.4, 5.0))],
    "kumar2024_fig16": [{"alpha": 1.0, "modulus": p} for p in (13, 17, 19, 29, 31)],
    "kumar2024_fig17": [{"alpha": 1.0}],
    "kumar2024_fig18": [{"alpha": a} for a in (1.0, 0.1, 0.25, 0.5, 0.75, 3.0)],
}


def made_up(name: str, seeds: int, layers: list[tuple[str, str]]) -> Experiment:
    repetitions = []
    for seed in range(seeds):
        configs, rows = {}, {}
        for index, setting in enumerate(SETTINGS[name]):
            model = {"alpha": setting["alpha"]}
            decay = [{"kind": "weight_decay", "coefficient": setting.get("decay", 0.0)}]
            task = {"modulus": setting.get("modulus", 23)}
            configs[str(index)] = {"model": model, "task": task, "interventions": decay}
            flat = [
                (metric, layer, s, (1 + seed + i + 0.1 * k + 0.01 * index) / (12 + index))
                for k, (metric, layer) in enumerate(layers)
                for i, s in enumerate(STEPS)
            ]
            rows[str(index)] = pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])
        runs = {("task", f"arm {i}"): str(i) for i in range(len(configs))}
        repetitions.append(Repetition(seed, runs, configs, rows))
    return Experiment(name, "published", repetitions)


TITLES = {
    "kumar2024_fig6a": ["scale 0.5", "scale 0.05", "scale 0.01", "scale 0.001", "scale 0.0001"],
    "kumar2024_fig6b": [f"scale {a / 20:g}" for a in range(10, 0, -1)],
    "kumar2024_fig8": [f"scale {a:g}" for a in (0.1, 0.25, 0.5, 0.75, 1, 3)],
    "kumar2024_fig12": ["scale 0.5, decay 1", "scale 0.5, decay 5", "scale 1.4, decay 5"],
    "kumar2024_fig16": [f"$p$ = {p}" for p in (13, 17, 19, 29, 31)],
    "kumar2024_fig18": [f"scale {a:g}" for a in (0.1, 0.25, 0.5, 0.75, 1, 3)],
}
"""Panels of figures with one for each arm."""
COLUMNS = {"6a": 4, "6b": 4, "8": 3, "12": 3, "16": 3, "18": 3}


def shown(name: str, seeds: int) -> tuple[Grid, Experiment]:
    runs = made_up(name, seeds, LAYERS)
    grid = PUBLISHED[name].of(runs)
    assert isinstance(grid, Grid)
    return grid, runs


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("name", TITLES)
def test_every_arm_has_a_panel_of_training_and_test(
    name: str, seeds: int, sources: Callable[..., Any]
) -> None:
    grid, runs = shown(name, seeds)
    assert [panel.title for panel in grid.shown] == TITLES[name]
    assert len(grid.shown) == len(SETTINGS[name])
    assert grid.columns == COLUMNS[name.removeprefix("kumar2024_fig")]
    metric = "loss" if name == "kumar2024_fig18" else "accuracy"
    found = sources(grid, runs)
    for panel, (train, test) in zip(grid.shown, found, strict=True):
        arm = train[0]
        assert train == pytest.approx((arm, metric, "train", 1, 1))
        assert test == pytest.approx((arm, metric, "test", 1, 1))
        assert [line.split for line in panel.lines] == ["training", "test"]
        assert panel.x.scale == "log"
        assert panel.x.low == 10
        assert panel.y.scale == ("log" if metric == "loss" else "linear")
    arms = [train[0] for train, _ in found]
    assert sorted(arms) == sorted(runs.arms)
    if name in ("kumar2024_fig6a", "kumar2024_fig8"):
        assert [f"scale {runs.setting(arm, 'model.alpha'):g}" for arm in arms] == TITLES[name]


@pytest.mark.parametrize("seeds", [1, 3])
def test_figure_2(seeds: int, sources: Callable[..., Any]) -> None:
    grid, runs = shown("kumar2024_fig2", seeds)
    norm = grid.shown[2]
    (line,) = norm.lines
    for seed in runs.repetitions:
        first, second = (
            seed.track("arm 0", "parameter_norm", f"inner.{name}.weight").values
            for name in ("hidden", "readout")
        )
        expected = (first + second) / (first[0] + second[0])
        np.testing.assert_allclose(line.tracks[seed.seed].values, expected)
    others = replace(grid, panels=[panel for panel in grid.shown if panel is not norm])
    accuracy, error, sweep = sources(others, runs)
    assert [of[:3] for of in accuracy] == [("arm 0", "accuracy", s) for s in ("train", "test")]
    assert [of[:3] for of in error] == [("arm 0", "loss", s) for s in ("train", "test")]
    in_order = ["arm 1", "arm 0", "arm 2", "arm 3"]
    assert [of[0] for of in sweep[::2]] == [of[0] for of in sweep[1::2]] == in_order
    names = [f"scale {a:g}" for a in (0.25, 1, 2.25, 4)]
    assert [line.label for line in grid.shown[3].lines[::2]] == names
    assert all(panel.x.scale == "log" and panel.x.low == 100 for panel in grid.shown)


@pytest.mark.parametrize("seeds", [1, 3])
def test_figure_17(seeds: int, sources: Callable[..., Any]) -> None:
    grid, runs = shown("kumar2024_fig17", seeds)
    shares = [threshold for threshold in THRESHOLDS if threshold != 1e-3]
    assert len(grid.shown) == 7 == 2 + len(shares)
    found = [[of[1:3] for of in lines] for lines in sources(grid, runs)]
    assert found[:2] == [[("loss", "train"), ("loss", "test")]] * 2
    assert found[2:] == [
        [("accuracy_within", layer_of(split, threshold)) for split in ("train", "test")]
        for threshold in shares
    ]
    assert [panel.y.scale for panel in grid.shown[:2]] == ["linear", "log"]
    assert all(panel.x.scale == "log" and panel.x.low == 1 for panel in grid.shown)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_not_measured_is_not_drawn(name: str) -> None:
    with pytest.raises(NotMeasured):
        PUBLISHED[name].of(made_up(name, 1, [("other", "")]))


def test_the_axis_ends_with_the_experiment_s_own_runs() -> None:
    whole = made_up("kumar2024_fig6b", 1, LAYERS)
    longer = pd.DataFrame(
        [("loss", "train", 10**7, 1.0)], columns=whole.repetitions[0].rows["0"].columns
    )
    seed = replace(whole.repetitions[0], rows={**whole.repetitions[0].rows, "other": longer})
    grid = PUBLISHED["kumar2024_fig6b"].of(replace(whole, repetitions=[seed]))
    assert isinstance(grid, Grid)
    for panel in grid.shown:
        assert panel.x.high is None
        assert {t.steps[-1] for of in panel.lines for t in of.tracks.values()} == {STEPS[-1]}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_drawn(name: str, seeds: int, drawn: Callable[[Grid], bytes]) -> None:
    assert b"nothing measured" not in drawn(shown(name, seeds)[0])
