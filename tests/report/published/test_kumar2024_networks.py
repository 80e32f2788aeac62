"""The other networks' figures of Kumar et al. 2024, drawn from made-up rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from suite.report.drawing.style import paper_style
from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED
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
            decay = [{"coefficient": setting.get("decay", 0.0)}]
            task = {"modulus": setting.get("modulus", 23)}
            configs[str(index)] = {"model": model, "task": task, "interventions": decay}
            flat = [
                (metric, layer, s, (1 + seed + i) / (12 + index))
                for metric, layer in layers
                for i, s in enumerate(STEPS)
            ]
            rows[str(index)] = pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])
        runs = {("task", f"arm {i}"): str(i) for i in range(len(configs))}
        repetitions.append(Repetition(seed, runs, configs, rows))
    return Experiment(name, "published", repetitions)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_panel_shows_training_and_test(name: str, seeds: int) -> None:
    with paper_style():
        figure = PUBLISHED[name].function(made_up(name, seeds, LAYERS))
        figure.draw_without_rendering()
    arms = len(SETTINGS[name])
    expected = {"kumar2024_fig2": 4, "kumar2024_fig17": 7}.get(name, arms)
    assert len(figure.axes) == expected
    for axes in figure.axes:
        assert len(axes.lines) >= (1 if name == "kumar2024_fig2" else 2)
        assert axes.get_xscale() == "log"


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_not_measured_is_not_drawn(name: str) -> None:
    with pytest.raises(NotMeasured):
        PUBLISHED[name].function(made_up(name, 1, [("other", "")]))


def test_the_axis_ends_with_the_experiment_s_own_runs() -> None:
    whole = made_up("kumar2024_fig6b", 1, LAYERS)
    longer = pd.DataFrame(
        [("loss", "train", 10**7, 1.0)], columns=whole.repetitions[0].rows["0"].columns
    )
    seed = replace(whole.repetitions[0], rows={**whole.repetitions[0].rows, "other": longer})
    with paper_style():
        figure = PUBLISHED["kumar2024_fig6b"].function(replace(whole, repetitions=[seed]))
    assert all(axes.get_xlim()[1] < 2 * STEPS[-1] for axes in figure.axes)
