"""The figures of Lyu et al. 2024 from made-up rows: what they show, and on which axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED
from suite.report.published.data import Grid

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
            start = 300 * (number + 1) / np.maximum(STEPS, 1)
            pairs = [(metric, layer) for metric, layers in LAYERS.items() for layer in layers]
            flat = [
                (metric, layer, step, 1e-3 + value if metric != "log_time" else step)
                for place, (metric, layer) in enumerate(pairs)
                for step, value in zip(
                    STEPS, 1 / (1 + start ** (2 + 0.2 * place + 0.1 * seed)), strict=True
                )
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


BOTH = ("accuracy", "train"), ("accuracy", "test")
CONTENTS: dict[str, Any] = {
    "lyu2024_fig1a": [BOTH, (("max_margin_cosine", ""), ("true_coordinates", ""))],
    "lyu2024_fig1b": [BOTH, (("max_margin_cosine", ""),)],
    "lyu2024_fig2a": [BOTH],
    "lyu2024_fig2b": [[of] * 3 for of in (*BOTH, ("parameter_norm", "all"))],
    "lyu2024_fig2c": [[of] * 2 for of in (*BOTH, ("parameter_norm", "all"))],
    "lyu2024_fig3": [
        (("loss", "train"), ("loss", "test")),
        (("nuclear_misfit", ""), ("unseen_entry", "")),
    ],
    "lyu2024_fig3_scale": [[("loss", "test")] * 2] * 2,
    "lyu2024_fig4": [BOTH, BOTH],
    "lyu2024_rate": [[("loss", "test")] * 2] * 2,
    "lyu2024_label_noise": [[("loss", "test")] * 3, [("loss", "test")] * 2],
}
"""Metrics and layers of each panel."""
STRETCHED = {
    "lyu2024_fig3_scale": [0.1 * 1e-3 / np.log(scale) for scale in (4, 16)],
    "lyu2024_rate": [0.1, 0.2],
    "lyu2024_label_noise": [16, 64],
}
"""Factors on the steps of the right panel."""
LOG_Y = {
    **{name: [False, False, True] for name in ("lyu2024_fig2b", "lyu2024_fig2c")},
    **{name: [True, True] for name in ("lyu2024_fig3", *STRETCHED)},
}


def shown(name: str, seeds: int = 5) -> tuple[Grid, Experiment]:
    found = runs(name, *CASES[name][0], seeds=seeds)
    grid = PUBLISHED[name].of(found)
    assert isinstance(grid, Grid)
    return grid, found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seeds", [1, 5])
def test_it_shows_its_rows(name: str, seeds: int, sources: Callable[..., Any]) -> None:
    grid, of = shown(name, seeds)
    configs, panels = CASES[name]
    assert PUBLISHED[name].experiment == name
    assert len(grid.shown) == panels
    found = sources(grid, of)
    for index, (panel, lines) in enumerate(zip(grid.shown, found, strict=True)):
        assert panel.x.label
        assert panel.y.label
        assert [line[1:3] for line in lines] == list(CONTENTS[name][index])
        stretch = STRETCHED[name] if index and name in STRETCHED else [1.0] * len(lines)
        assert [line[3] for line in lines] == pytest.approx([1.0] * len(lines))
        assert [line[4] for line in lines] == pytest.approx(stretch)
        assert all(len(line.tracks) == seeds for line in panel.lines)
        assert (panel.y.scale == "log") == LOG_Y.get(name, [False] * panels)[index]
    first = grid.shown[0]
    assert first.x.scale == ("linear" if name.endswith("fig4") else "log")
    looks = {line.label or line.split: line.style for panel in grid.shown for line in panel.lines}
    assert len(looks) >= max(2, len(configs))
    assert "" not in looks
    for panel in grid.shown:  # a name has one look, here and there
        for line in panel.lines:
            assert looks[line.label or line.split] == line.style


def test_scales_and_decays_are_in_order() -> None:
    labels = [line.label for line in shown("lyu2024_fig2b")[0].shown[0].lines]
    assert labels == ["scale 1", "scale 10", "scale 100"]
    labels = [line.label for line in shown("lyu2024_fig2c")[0].shown[0].lines]
    assert labels == ["decay 0.0001", "decay 0.001"]


def test_references_and_limits() -> None:
    assert [level.y for level in shown("lyu2024_fig1a")[0].shown[0].levels] == [0.5]
    right = shown("lyu2024_fig3_scale")[0].shown[1]
    assert [level.x for level in right.levels] == [1]
    assert (right.x.low, right.x.high) == (0, 3)
    assert shown("lyu2024_fig3")[0].shown[1].y.low == 1e-4
    start, whole = shown("lyu2024_fig4")[0].shown
    assert (start.x.low, start.x.high, whole.x.low, whole.x.scale) == (0, 20, 1, "log")


def test_runs_without_what_it_needs_are_said_to_be_so() -> None:
    empty = runs("lyu2024_fig2a", config(), config())
    with pytest.raises(NotMeasured):
        PUBLISHED["lyu2024_fig2a"].of(empty)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seeds", [1, 4, 5])
def test_it_is_drawn(name: str, seeds: int, drawn: Callable[[Grid], bytes]) -> None:
    assert b"nothing measured" not in drawn(shown(name, seeds)[0])
