"""The figures drawn from made-up rows: what they show, and on which axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from suite.report.drawing.style import paper_style
from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED

STEPS = [0, *np.unique(np.geomspace(1, 1e4, 40).round())]
LAYERS = {
    "accuracy": ("train", "test"),
    "loss": ("train", "test"),
    "parameter_norm": ("all",),
    "max_margin_cosine": ("",),
    "true_coordinates": ("",),
    "nuclear_misfit": ("",),
    "unseen_entry": ("",),
    "log_time": ("",),
}


def runs(name: str, *configs: dict[str, Any], seeds: int = 5) -> Experiment:
    repetitions = []
    for seed in range(seeds):
        rows = {}
        for number, _ in enumerate(configs):
            late = 1 / (1 + (300 * (number + 1) / np.maximum(STEPS, 1)) ** (3 + 0.1 * seed))
            flat = [
                (metric, layer, step, 1e-3 + value if metric != "log_time" else step)
                for metric, layers in LAYERS.items()
                for layer in layers
                for step, value in zip(STEPS, late, strict=True)
            ]
            rows[f"arm{number}"] = pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])
        ids = {("task", arm): arm for arm in rows}
        named = {f"arm{number}": config for number, config in enumerate(configs)}
        repetitions.append(Repetition(seed, ids, named, rows))
    return Experiment(name, "small", repetitions)


def config(alpha: float = 1.0, rate: float = 0.1, decay: float = 1e-3, noise: float = 1.0) -> Any:
    return {
        "model": {"scale": alpha},
        "optimizer": {"lr": rate},
        "interventions": [{"kind": "weight_decay", "coefficient": decay}],
        "task": {"noise": noise},
    }


CASES = {
    "lyu2024_fig1a": ([config()], 2),
    "lyu2024_fig1b": ([config()], 2),
    "lyu2024_fig2a": ([config()], 1),
    "lyu2024_fig2b": ([config(alpha=a) for a in (100, 10, 1)], 3),
    "lyu2024_fig2c": ([config(decay=d) for d in (1e-3, 1e-4)], 3),
    "lyu2024_fig3": ([config()], 2),
    "lyu2024_fig3_scale": ([config(alpha=a) for a in (4, 16)], 2),
    "lyu2024_fig4": ([config()], 2),
    "lyu2024_rate": ([config(rate=r) for r in (0.1, 0.2)], 2),
    "lyu2024_label_noise": ([config(noise=n, rate=r) for n, r in ((0, 1), (1, 1), (1, 2))], 2),
}


def test_every_figure_of_the_paper_is_here() -> None:
    assert set(CASES) == {name for name in PUBLISHED.entries() if name.startswith("lyu2024")}


@pytest.mark.parametrize("name", CASES)
def test_it_is_drawn(name: str) -> None:
    configs, panels = CASES[name]
    figure = PUBLISHED[name]
    assert figure.experiment == name
    with paper_style():
        drawn = figure.function(runs(name, *configs))
        drawn.draw_without_rendering()
        single = figure.function(runs(name, *configs, seeds=1))
        single.draw_without_rendering()
        few = figure.function(runs(name, *configs, seeds=4))
        few.draw_without_rendering()
    for axes, of_one in zip(few.axes, single.axes, strict=True):  # a line for each seed, and means
        assert not axes.collections
        assert len(axes.lines) > 3 * len(
            [line for line in of_one.lines if np.size(line.get_xdata())]
        )
    assert len(drawn.axes) == panels
    for axes in drawn.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert any(np.size(line.get_xdata()) > 10 for line in axes.lines)
        assert axes.collections, "seeds are shown as a band"
        if axes.get_yscale() == "log":
            for band in axes.collections:  # of logarithms, so positive
                low, high = band.get_paths()[0].get_extents().intervaly
                assert 0 < low <= high
    assert drawn.axes[0].get_xscale() == ("linear" if name.endswith("fig4") else "log")
    entries = [t.get_text() for a in drawn.axes if (k := a.get_legend()) for t in k.get_texts()]
    entries += [t.get_text() for legend in drawn.legends for t in legend.get_texts()]
    assert len(entries) >= max(2, len(configs))
    assert len(set(entries)) == len(entries)


def test_scales_and_decays_are_in_order() -> None:
    drawn = PUBLISHED["lyu2024_fig2b"].function(runs("x", *CASES["lyu2024_fig2b"][0]))
    (legend,) = drawn.legends
    assert [t.get_text() for t in legend.get_texts()] == ["scale 1", "scale 10", "scale 100"]


def test_runs_without_what_it_needs_are_said_to_be_so() -> None:
    empty = runs("lyu2024_fig2a", config(), config())
    with pytest.raises(NotMeasured):
        PUBLISHED["lyu2024_fig2a"].function(empty)
