"""Figures of the committee machine and of twins: made-up rows, configs of the small sweeps."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import suite.report.published.kumar2024_knobs  # noqa: F401
import suite.report.published.kumar2024_rich  # noqa: F401
from suite.launch.catalogue import config_folders
from suite.report.drawing.style import paper_style
from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED
from suite.sweeps.sweep import load_sweep

NAMES = [name for name in PUBLISHED.entries() if name.startswith("kumar2024_fig")]
COMMITTEE = ["1", "3a", "3b", "3e", "4", "5", "7", "9", "10", "11", "13a", "13b", "13c", "14"]
COMMITTEE += ["15", "19"]
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


def made_up(name: str, seeds: int) -> Experiment:
    """Return runs of all arms of the small sweep: losses that fall, the rest rises."""
    trials = load_sweep([f"{name}_small"], config_folders()).trials
    chosen = sorted({trial.config.seed for trial in trials})[:seeds]
    rng = np.random.default_rng(0)
    repetitions = []
    for seed in chosen:
        runs, configs, rows = {}, {}, {}
        for trial in (t for t in trials if t.config.seed == seed):
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
                    points = [(0, 1.0), *zip(STEPS, values, strict=True)]
                    found += [(metric, layer, step, value) for step, value in points]
            rows[key] = pd.DataFrame(found, columns=["metric", "layer", "step", "value"])
        repetitions.append(Repetition(seed, runs, configs, rows))
    return Experiment(name, "small", repetitions)


def test_every_figure_is_there() -> None:
    assert {f"kumar2024_fig{number}" for number in COMMITTEE} <= set(NAMES)


@pytest.mark.parametrize("number", COMMITTEE)
@pytest.mark.parametrize("seeds", [1, 3])
def test_it_is_drawn_with_and_without_intervals(number: str, seeds: int) -> None:
    name = f"kumar2024_fig{number}"
    published = PUBLISHED[name]
    runs = made_up(published.experiment, seeds)
    with paper_style():
        figure = published.function(runs)
        figure.savefig(io.BytesIO(), format="svg")
    assert published.caption.startswith("Kumar et al. 2024, Fig.")
    shown = [axes for axes in figure.axes if axes.axison]
    for axes in shown:
        assert axes.lines or axes.collections or axes.images or axes.containers
        assert axes.get_xlabel() or axes.get_ylabel() or axes.get_title(loc="left")
    lines = sum(len(axes.lines) for axes in shown)
    assert lines >= 2 * (number != "3e")


@pytest.mark.parametrize("number", COMMITTEE)
def test_without_losses_there_is_no_figure(number: str) -> None:
    if number == "3e":
        pytest.skip("cells that are not known are empty")
    published = PUBLISHED[f"kumar2024_fig{number}"]
    whole = made_up(published.experiment, 1)
    bare = [
        Repetition(r.seed, r.runs, r.configs, {k: rows.iloc[:0] for k, rows in r.rows.items()})
        for r in whole.repetitions
    ]
    with pytest.raises(NotMeasured):
        published.function(Experiment(whole.name, whole.scale, bare))
