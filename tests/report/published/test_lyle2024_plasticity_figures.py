"""Figures of Lyle et al. 2024 on plasticity, from made-up rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import experiment

from suite.report.experiment import Experiment
from suite.report.published.base import PUBLISHED
from suite.report.published.data import Grid

STEPS = np.arange(0, 121, 20)
STARTS = (0, 40, 80)
NAP = {"kind": "nap"}
LAST = {"dead_units": "3", "linearised_units": "3", "feature_rank": "3"}
"""Last layer of the metrics that have several."""


def _config(*interventions: Mapping[str, Any], **model: Any) -> dict[str, Any]:
    return {
        "model": {"norm": "none", "norm_place": "before", "activation": "relu"} | model,
        "interventions": [*interventions],
        "optimizer": {"kind": "adam"},
    }


def _rows(seed: int, place: int) -> pd.DataFrame:
    """Return an arm's rows, each metric different from every other."""
    rise = 1 + (STEPS / 100) ** (1 + 0.1 * place) + 0.01 * seed
    curves = {
        ("loss", "train"): rise,
        ("jacobian_norm", ""): 2 + rise**2,
        ("parameter_norm", "all"): 3 + rise**3,
        ("gradient_norm", ""): 4 + rise**4,
        ("dead_units", "1"): 0.1 + rise / 50,
        ("dead_units", "3"): 0.2 + rise**2 / 50,
        ("linearised_units", "1"): 0.3 + rise / 60,
        ("linearised_units", "3"): 0.4 + rise**3 / 60,
        ("feature_rank", "1"): 5 + rise,
        ("feature_rank", "3"): 6 + rise**2,
    }
    flat: list[tuple[str, str, Any, Any]] = [
        (m, k, s, v) for (m, k), of in curves.items() for s, v in zip(STEPS, of, strict=True)
    ]
    for task, start in enumerate(STARTS):
        flat.append(("phase", "", start, float(task)))
        flat.append(("task_online_accuracy", str(task), start + 40, online(seed, place, task)))
    return pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])


made = partial(experiment, rows=_rows)


def online(seed: int, place: int, task: int) -> float:
    """Return the accuracy on a task that the rows of a run have."""
    return 0.5 + 0.1 * place - 0.03 * task + 0.001 * seed


def by_optimizer() -> Experiment:
    """Return three optimizers with norm layers in both places, arms in another order than lines."""
    optimizers: dict[str, dict[str, Any]] = {
        "sgd": {"kind": "sgd", "momentum": 0.0},
        "momentum": {"kind": "sgd", "momentum": 0.9},
        "adam": {"kind": "adam"},
    }
    norms: dict[str, dict[str, Any]] = {
        "layer_post": {"norm": "layer", "norm_place": "after"},
        "layer": {"norm": "layer"},
        "none": {"norm": "none"},
        "rms_post": {"norm": "rms", "norm_place": "after"},
        "rms": {"norm": "rms"},
    }
    return made(
        {
            f"{name},{norm}": _config(**model) | {"optimizer": of}
            for name, of in optimizers.items()
            for norm, model in norms.items()
        }
    )


def by_norm() -> Experiment:
    """Return the arms of Fig. 2, in another order than its lines."""
    return made(
        {
            "nap": _config(NAP, norm="layer"),
            "no_norm": _config(norm="none"),
            "layer_norm": _config(norm="layer"),
        }
    )


def by_method() -> Experiment:
    """Return five methods and one that the paper lacks; some without NaP only."""
    methods: dict[str, tuple[tuple[dict[str, Any], ...], dict[str, Any]]] = {
        "leaky": ((), {"activation": "leaky_relu"}),
        "own": (({"kind": "weight_clip"},), {}),
        "noise": (({"kind": "update_noise"},), {}),
        "redo": (({"kind": "redo"},), {}),
        "l2": (({"kind": "l2"},), {}),
    }
    arms = {f"{name},free": _config(*of, **model) for name, (of, model) in methods.items()}
    arms["none,free"] = _config()
    arms |= {
        f"{name},nap": _config(*methods[name][0], NAP, norm="layer", **methods[name][1])
        for name in ("l2", "leaky")
    }
    return made(arms)


def figure(name: str, runs: Experiment) -> Grid:
    """Return what a figure shows."""
    found = PUBLISHED[name].function(runs)
    assert isinstance(found, Grid)
    return found


def at_ends(runs: Experiment, arm: str, metric: str, layer: str) -> dict[int, list[float]]:
    """Return a metric where each task ends, by seed, read off the rows."""
    found = {}
    for seed in runs.repetitions:
        rows = seed.rows[arm]
        rows = rows[(rows.metric == metric) & (rows.layer == layer)].set_index("step")
        found[seed.seed] = [rows.value[end] for end in (*STARTS[1:], STEPS[-1])]
    return found


def shown(grid: Grid, panel: int, line: int) -> dict[int, list[float]]:
    """Return the values of a line, by seed, and check that its tasks are counted from 1."""
    tracks = grid.shown[panel].lines[line].tracks
    assert all(list(track.steps) == [1, 2, 3] for track in tracks.values())
    return {seed: list(track.values) for seed, track in tracks.items()}


def test_figure_1_has_a_panel_for_each_optimizer(
    sources: Callable[[Grid, Experiment], list[list[Any]]],
) -> None:
    runs = by_optimizer()
    grid = figure("lyle2024_n1", runs)
    assert [panel.title for panel in grid.shown] == ["SGD", "SGD, momentum 0.9", "Adam"]
    found = [[of[:3] for of in panel] for panel in sources(grid, runs)]
    assert found == [
        [
            (f"{name},{norm}", "dead_units", "3")
            for norm in ("none", "rms", "layer", "rms_post", "layer_post")
        ]
        for name in ("sgd", "momentum", "adam")
    ]
    labels = [
        *("no norm layers", "RMSNorm before", "LayerNorm before"),
        *("RMSNorm behind", "LayerNorm behind"),
    ]
    assert all([line.label for line in panel.lines] == labels for panel in grid.shown)
    assert grid.columns == 3


def test_figure_2_has_the_ends_of_tasks() -> None:
    runs = by_norm()
    grid = figure("lyle2024_n3", runs)
    metrics = (("loss", "train"), ("jacobian_norm", ""), ("parameter_norm", "all"))
    for place, (metric, layer) in enumerate(metrics):
        for line, arm in enumerate(("no_norm", "layer_norm", "nap")):
            assert shown(grid, place, line) == at_ends(runs, arm, metric, layer)
    labels = ["no norm layers", "LayerNorm", "LayerNorm and projection"]
    assert all([line.label for line in panel.lines] == labels for panel in grid.shown)
    assert all(panel.x.label == "task" for panel in grid.shown)


def test_figure_5_has_methods_without_and_with_projection() -> None:
    runs = by_method()
    grid = figure("lyle2024_n9", runs)
    free, nap = grid.shown
    assert (free.title, nap.title) == ("without NaP", "with NaP")
    assert [line.label for line in free.lines] == [
        *("no method", "L2", "ReDo", "leaky ReLU", "noise on updates", "weight_clip")
    ]
    assert [line.label for line in nap.lines] == ["L2", "leaky ReLU"]
    styles = {line.label: line.style for line in free.lines}
    assert all(line.style == styles[line.label] for line in nap.lines)
    place = runs.arms.index("leaky,nap")
    expected = {s: [online(s, place, task) for task in range(3)] for s in range(3)}
    assert shown(grid, 1, 1) == expected


def test_figure_8_has_a_row_for_each_quantity() -> None:
    runs = by_method()
    grid = figure("lyle2024_n9_features", runs)
    metrics = ("linearised_units", "feature_rank", "parameter_norm", "gradient_norm")
    layers = LAST | {"parameter_norm": "all", "gradient_norm": ""}
    assert grid.columns == 2
    for row, metric in enumerate(metrics):
        assert shown(grid, 2 * row, 1) == at_ends(runs, "l2,free", metric, layers[metric])
        assert shown(grid, 2 * row + 1, 0) == at_ends(runs, "l2,nap", metric, layers[metric])
    assert [panel.title for panel in grid.shown[:3]] == ["without NaP", "with NaP", ""]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("lyle2024_n1", by_optimizer),
        ("lyle2024_n3", by_norm),
        ("lyle2024_n9", by_method),
        ("lyle2024_n9_features", by_method),
    ],
)
def test_it_is_drawn(
    name: str, runs: Callable[[], Experiment], drawn: Callable[[Grid], bytes]
) -> None:
    assert b"<svg" in drawn(figure(name, runs()))
