"""Figures of Lyle et al. 2025, section 4, and of our own questions, from made-up rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from suite.report.experiment import Experiment, NotMeasured, Repetition
from suite.report.published.base import PUBLISHED
from suite.report.published.data import Grid, Points

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


TEST = ("accuracy", "test")
RANKS = [
    (metric, "attention_output")
    for metric in ("attention_rank", "attention_rank_10", "attention_effective_rank")
]
FLIPS = ("activation_pattern_change", "mean")
CONTENTS = {
    "lyle2025_fig2l": [[TEST] * 6] * 2,
    "lyle2025_fig2r": [[TEST] * 3, [("attention_entropy", "mean")] * 3, [RANKS[0]] * 3],
    "lyle2025_fig3": [[TEST] * 3] * 2 + [[FLIPS] * 3] * 2,
    "lyle2025_fig8": [[TEST, *RANKS]] * 6,
    "lyle2025_mlp": [[TEST] * 3] * 4,
}
"""Metrics and layers of each panel."""
LEVELS = {
    "lyle2025_fig2l": [1, 1],
    "lyle2025_fig2r": [1, 0, 0],
    "lyle2025_fig3": [3, 3, 2, 2],
    "lyle2025_fig8": [1] * 6,
    "lyle2025_mlp": [2] * 4,
}
"""References of each panel."""
GRIDS = ("norm_or_elr", "norm_or_elr_mlp", "norm_or_elr_map")


def shown(
    name: str, seeds: int, arms: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Grid, Experiment]:
    runs = _experiment(arms or _arms(name), seeds)
    grid = PUBLISHED[name].of(runs)
    assert isinstance(grid, Grid)
    return grid, runs


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("seeds", [1, 5])
def test_it_shows_its_rows(name: str, seeds: int, sources: Callable[..., Any]) -> None:
    grid, runs = shown(name, seeds)
    found = sources(grid, runs)
    assert [[of[1:3] for of in lines] for lines in found] == CONTENTS[name]
    assert [len(panel.levels) for panel in grid.shown] == LEVELS[name]
    arms = [arm for lines in found for arm, metric, *_ in lines if metric == "accuracy"]
    assert sorted(arms) == sorted(runs.arms)
    rows = pd.concat([rows for seed in runs.repetitions for rows in seed.rows.values()])
    largest = rows.groupby("metric")["value"].max()
    for panel, lines in zip(grid.shown, found, strict=True):
        assert panel.x.label == "gradient steps"
        assert len({line.style for line in panel.lines}) == len(panel.lines)
        for line, (_, metric, _, factor, stretch) in zip(panel.lines, lines, strict=True):
            percent = metric == "activation_pattern_change"
            assert stretch == 1
            if name == "lyle2025_fig8" and "rank" in metric:
                assert factor == pytest.approx(1 / largest[metric])
            else:
                assert factor == pytest.approx(100 if percent else 1)
            assert line.label or percent
            assert (panel.y.scale == "log") == percent
        if lines[0][1] == "accuracy":
            assert 0.2 in [level.y for level in panel.levels]


def test_a_line_for_each_rate_and_decay() -> None:
    grid, runs = shown("lyle2025_fig2l", 1)
    assert [panel.title for panel in grid.shown] == ["norms free", "norms pinned"]
    for panel, pinned in zip(grid.shown, (False, True), strict=True):
        for line in panel.lines:
            rate, decay = (part.split()[1] for part in line.label.split(", "))
            (track,) = runs.tracks(f"{pinned},{rate},{float(decay)}", "accuracy", "test")
            np.testing.assert_array_equal(line.tracks[0].values, track.values)


def test_the_highest_peak_is_left_and_re_warming_is_marked() -> None:
    grid, _ = shown("lyle2025_fig3", 1)
    assert [panel.title for panel in grid.shown] == ["peak rate 0.01", "peak rate 0.001", "", ""]
    for panel in grid.shown:
        marks = {level.x: level.colour for level in panel.levels if level.x is not None}
        assert list(marks) == [100, 500]
        assert list(marks.values()) == [line.style.colour for line in panel.lines[1:]]
    assert grid.shown[0].x.scale == "linear"
    for panel in shown("lyle2025_mlp", 1)[0].shown:
        assert [level.x for level in panel.levels] == [None, 0.4 * TOTAL]


def _by_line(points: Points) -> dict[float, dict[int, tuple[float, float]]]:
    return {x: {s: (v.lo, v.hi) for s, v in by.items()} for x, by in points.values}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("seeds", [1, 5])
def test_the_grid_shows_the_step_of_95_percent(name: str, seeds: int) -> None:
    grid, runs = shown(name, seeds)
    steps, accuracies = grid.shown[:2], grid.shown[2:]
    for panel in steps:
        assert panel.y.scale == panel.x.scale == "log"
        assert panel.y.high == pytest.approx(1.7 * TOTAL)
        assert panel.levels[0].y == TOTAL
        assert len({points.style for points in panel.points}) == 3
        for held, points in zip((0.5, 1.0, 2.0), panel.points, strict=True):
            assert points.label.endswith(f" {held:g}")
            assert points.joined
            assert (points.range.low, points.range.high) == (0, TOTAL)
            found = _by_line(points)
            assert list(found) == [0.5, 1.0, 2.0]
            for at, values in found.items():
                arm = f"{held},{at}" if panel is steps[0] else f"{at},{held}"
                for seed in runs.repetitions:
                    track = seed.track(arm, "accuracy", "test")
                    reached = float(track.steps[track.values >= 0.95][0])
                    lo, hi = values[seed.seed]
                    assert lo == hi
                    assert 1 <= lo <= reached
                    assert lo > track.steps[track.values < 0.95][-1]
    curve = steps[0].levels[1]
    middle = [v for v, _ in _by_line(steps[0].points[1])[1.0].values()]
    assert curve.y * curve.x == pytest.approx(np.exp(np.mean(np.log(middle))))  # type: ignore[operator]
    assert len(steps[1].levels) == 1
    for panel in accuracies:
        assert [points.hollow for points in panel.points] == [True, False] * 3
        assert [points.joined for points in panel.points] == [False, True] * 3
        assert all(len(points.values) == 3 for points in panel.points)  # 9 hollow ones
        assert [level.y for level in panel.levels] == [0.2]
        for points in panel.points:
            last = 1.0 if points.hollow else pytest.approx(1.0, abs=0.06)
            assert all(lo == last for by in _by_line(points).values() for lo, _ in by.values())


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_times_that_are_not_reached_are_bounds(seeds: int) -> None:
    runs = _experiment(_arms("norm_or_elr"), seeds)
    never, once = runs.arms[:2]
    for seed in runs.repetitions:
        for arm in (never, once) if seed.seed == 0 else (never,):
            rows = seed.rows[arm]
            test = (rows["metric"] == "accuracy") & (rows["layer"] == "test")
            rows.loc[test, "value"] *= 0.9
    grid = PUBLISHED["norm_or_elr"].of(runs)
    assert isinstance(grid, Grid)
    for panel in grid.shown[:2]:
        found = [by for points in panel.points for by in _by_line(points).values()]
        opened = [by for by in found if any(lo != hi for lo, hi in by.values())]
        assert len(opened) == 2
        least = sorted(np.mean([lo for lo, _ in by.values()]) for by in opened)
        assert least[1] == TOTAL
        assert least[0] == TOTAL if seeds == 1 else least[0] < TOTAL
        unknown = [lo for by in opened for lo, hi in by.values() if lo != hi]
        assert unknown == [TOTAL] * (seeds + 1)
    assert grid.csv().count(",>=\n") == 2 * (seeds + 1)


def test_an_arm_that_is_missing_leaves_its_place_empty() -> None:
    some = {k: v for k, v in _arms("lyle2025_fig8").items() if k != "3.0,300"}
    grid, _ = shown("lyle2025_fig8", 5, some)
    assert [len(panel.lines) for panel in grid.shown] == [4, 4, 4, 4, 4, 0]
    assert [len(panel.levels) for panel in grid.shown] == [1] * 6


def test_nothing_to_show_is_said() -> None:
    runs = _experiment(_arms("lyle2025_fig8"), 1)
    empty = {arm: rows[:0] for arm, rows in runs.repetitions[0].rows.items()}
    seed = runs.repetitions[0]
    bare = Experiment("x", "small", [Repetition(0, seed.runs, seed.configs, empty)])
    with pytest.raises(NotMeasured):
        PUBLISHED["lyle2025_fig8"].of(bare)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CONTENTS, *GRIDS])
@pytest.mark.parametrize("seeds", [1, 5])
def test_it_is_drawn(name: str, seeds: int, drawn: Callable[[Grid], bytes]) -> None:
    assert b"nothing measured" not in drawn(shown(name, seeds)[0])
