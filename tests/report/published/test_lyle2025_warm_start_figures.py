"""Figures of Lyle et al. 2025, section 5, from made-up rows."""

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

STEPS = np.arange(0, 101, 10)
START = 40
NAP, EVEN = {"kind": "nap"}, {"kind": "even_ratio_abs"}


def _config(fraction: float, *interventions: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    base = {
        "task": {
            "phases": [{"fraction": fraction}, {"fraction": 1.0}],
            "augment": keys.pop("augment", "none"),
        },
        "interventions": [*interventions],
        "optimizer": {"lr": 0.01, "rate_by_role": keys.pop("rates", {})},
        "schedule": {"kind": "task_aligned"},
    }
    return base | keys


def _rows(seed: int, place: int) -> pd.DataFrame:
    """Return an arm's rows, each metric different from every other."""
    rise = 0.1 + 0.8 * (STEPS / 100) ** (1 + 0.1 * place) + 0.001 * seed
    curves = {
        ("accuracy", "test"): rise,
        ("update_norm", "all"): 1 + rise**2,
        ("feature_covariance_change", "1"): 0.3 + rise,
        ("feature_covariance_change", "4"): 0.1 + rise**3,
        ("activation_pattern_change", "mean"): 0.2 + rise**4,
        ("dead_units", "1"): 0.1 + 0 * rise,
        ("dead_units", "4"): 0.05 + rise / 9,
        ("feature_rank", "1"): 3 + rise,
        ("feature_rank", "4"): 10 + 5 * rise**2,
    }
    flat: list[tuple[str, str, Any, Any]] = [
        (m, k, s, v) for (m, k), of in curves.items() for s, v in zip(STEPS, of, strict=True)
    ]
    flat += [("phase", "", 0, 0.0), ("phase", "", START, 1.0)]
    return pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])


made = partial(experiment, rows=_rows)


def aligned() -> Experiment:
    """Return both norms after three first phases, and an augmented arm."""
    arms = {
        f"{name},{fraction}": _config(fraction, *extra)
        for name, extra in (("free", ()), ("nap", (NAP,)))
        for fraction in (0.1, 0.5, 1.0)
    }
    return made({**arms, "more": _config(0.1, augment="crop_flip")})


def by_layer() -> Experiment:
    """Return all assignments of rates after two first phases."""
    kinds: dict[str, dict[str, Any]] = {
        "constant": {},
        "fast": {"rates": {"output": 0.1}},
        "slow": {"rates": {"weight": 0.1}},
    }
    arms = {
        f"{name},{fraction}": _config(fraction, NAP, **keys)
        for name, keys in kinds.items()
        for fraction in (0.1, 1.0)
    }
    return made({**arms, "even": _config(0.1, NAP, EVEN)})


def peaks() -> Experiment:
    """Return slow features and constant rates with two second peaks."""
    return made(
        {
            f"{name},{peak},{fraction}": _config(
                fraction,
                NAP,
                rates=rates,
                schedule={"kind": "growing_cycles", "peaks": [1.0, peak]},
            )
            for name, rates in (("constant", {}), ("slow", {"weight": 0.1}))
            for peak in (10.0, 1.0)
            for fraction in (0.1, 1.0)
        }
    )


def detected() -> Experiment:
    """Return the four arms of Fig. 5 right after two first phases."""
    return made(
        {
            f"{kind},{len(extra)},{fraction}": _config(fraction, *extra, schedule={"kind": kind})
            for kind in ("triggered", "warmup_cosine")
            for extra in ((), (NAP,))
            for fraction in (0.1, 1.0)
        }
    )


def figure(name: str, runs: Experiment) -> Grid:
    """Return what a figure shows."""
    found = PUBLISHED[name].function(runs)
    assert isinstance(found, Grid)
    return found


def test_figure_4_has_a_column_for_each_first_phase(
    sources: Callable[[Grid, Experiment], list[list[Any]]],
) -> None:
    runs = aligned()
    grid = figure("lyle2025_fig4", runs)
    shown = [[of[:3] for of in panel] for panel in sources(grid, runs)]
    wanted = [
        ("accuracy", "test"),
        ("update_norm", "all"),
        ("feature_covariance_change", "4"),
        ("activation_pattern_change", "mean"),
    ]
    assert shown == [
        [(f"nap,{share}", *metric), (f"free,{share}", *metric)]
        for metric in wanted
        for share in (0.1, 0.5, 1.0)
    ]
    assert all(panel.levels[0].x == START for panel in grid.shown)
    assert [panel.title for panel in grid.shown[:3]] == ["10% first", "50% first", "100% first"]


def test_figure_9_shows_accuracy_alone(
    sources: Callable[[Grid, Experiment], list[list[Any]]],
) -> None:
    runs = aligned()
    shown = [[of[:3] for of in panel] for panel in sources(figure("lyle2025_fig9", runs), runs)]
    assert shown == [
        [(f"{name},{share}", "accuracy", "test") for name in ("nap", "free")]
        for share in (0.1, 0.5, 1.0)
    ]


def test_figures_5_have_last_values_over_the_first_phase() -> None:
    runs = by_layer()
    accuracy, dead = figure("lyle2025_fig5l", runs).shown
    assert [p.label for p in accuracy.points] == [
        *("constant", "fast features", "slow features", "even ratio")
    ]
    assert [x for x, _ in accuracy.points[0].values] == [10, 100]
    first = accuracy.points[0].values[0][1]
    expected = {r.seed: r.track("constant,0.1", "accuracy", "test").last for r in runs.repetitions}
    assert {seed: value.lo for seed, value in first.items()} == expected
    layer = dead.points[1].values[1][1]
    expected = {r.seed: r.track("fast,1.0", "dead_units", "4").last for r in runs.repetitions}
    assert {seed: value.lo for seed, value in layer.items()} == expected

    (panel,) = figure("lyle2025_fig5r", detected()).shown
    assert [p.label for p in panel.points] == [
        *("NaP, CUSUM", "NaP, one cycle", "free norms, CUSUM", "free norms, one cycle")
    ]
    assert all([x for x, _ in p.values] == [10, 100] for p in panel.points)


def test_figure_13_has_both_peaks_after_the_smallest_first_phase(
    sources: Callable[[Grid, Experiment], list[list[Any]]],
) -> None:
    runs = peaks()
    grid = figure("lyle2025_fig13", runs)
    shown = [[of[:3] for of in panel] for panel in sources(grid, runs)]
    assert shown == [
        [(f"{name},{peak},0.1", metric, layer) for peak in (1.0, 10.0)]
        for metric, layer in (("accuracy", "test"), ("feature_rank", "4"))
        for name in ("constant", "slow")
    ]
    assert [line.label for line in grid.shown[0].lines] == ["second peak 1x", "second peak 10x"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("lyle2025_fig4", aligned),
        ("lyle2025_fig9", aligned),
        ("lyle2025_fig5l", by_layer),
        ("lyle2025_fig5r", detected),
        ("lyle2025_fig13", peaks),
    ],
)
def test_it_is_drawn(
    name: str, runs: Callable[[], Experiment], drawn: Callable[[Grid], bytes]
) -> None:
    assert b"<svg" in drawn(figure(name, runs()))
