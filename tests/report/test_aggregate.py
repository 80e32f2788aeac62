"""Aggregates against SciPy, their published definitions spelt out, and exact enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import trim_mean

from suite.report.statistics.aggregate import (
    AGGREGATES,
    aggregate,
    interquartile_mean,
    median,
    optimality_gap,
    stratified_interval,
)
from suite.report.statistics.statistics import Estimate

SHAPES = [(1, 1), (1, 4), (3, 2), (4, 5), (5, 7), (10, 26)]


def draw(runs: int, games: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 1.5, (runs, games)) - 0.3


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interquartile_mean_is_scipy_s_trimmed_mean(shape: tuple[int, int]) -> None:
    scores = draw(*shape)
    assert float(interquartile_mean(scores)) == pytest.approx(trim_mean(scores.ravel(), 0.25))
    ordered = sorted(scores.ravel())
    if len(ordered) % 4 == 0:  # then it is the mean of exactly the middle half
        middle = ordered[len(ordered) // 4 : 3 * len(ordered) // 4]
        assert float(interquartile_mean(scores)) == pytest.approx(sum(middle) / len(middle))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_others_are_as_agarwal_et_al_define_them(shape: tuple[int, int]) -> None:
    scores = draw(*shape)
    found = {name: estimate.mean for name, estimate in aggregate(scores).items()}
    by_game = sorted(sum(column) / len(column) for column in scores.T)
    half, odd = divmod(len(by_game), 2)
    middle = by_game[half] if odd else (by_game[half - 1] + by_game[half]) / 2
    assert found["median"] == pytest.approx(middle)
    assert found["mean"] == pytest.approx(sum(by_game) / len(by_game))
    short = [1 - min(x, 1.0) for x in scores.ravel()]
    assert found["optimality_gap"] == pytest.approx(sum(short) / len(short))


def test_one_outlier_moves_the_mean_alone() -> None:
    scores = draw(5, 8)
    wild = scores.copy()
    wild[0, scores.mean(axis=0).argmax()] = 1e6
    before, after = (
        {name: float(function(x)) for name, function in AGGREGATES.items()} for x in (scores, wild)
    )
    assert after["mean"] > 1000 * before["mean"]
    for name in ("iqm", "median"):
        assert after[name] == pytest.approx(before[name], rel=0.5)
    assert after["optimality_gap"] <= before["optimality_gap"]


@pytest.mark.parametrize("name", ["iqm", "median", "mean", "optimality_gap"])
def test_intervals_are_those_of_all_resampled_arrays(name: str) -> None:
    """Three runs of two games: 27 samples of each game, 729 arrays, all equally likely."""
    scores = np.array([[0.1, 0.9], [0.35, 1.6], [0.8, 2.7]])
    columns = [[g[list(i)] for i in itertools.product(range(3), repeat=3)] for g in scores.T]
    every = np.array([np.stack(pair, axis=1) for pair in itertools.product(*columns)])
    values = np.sort(AGGREGATES[name](every))
    lo, hi = stratified_interval(scores, resamples=100_000)[name]
    for end, level in ((lo, 0.025), (hi, 0.975)):  # distribution function at the end, 4 s.d. wide
        slack = 4 * math.sqrt(level * (1 - level) / 100_000)
        assert (values < end - 1e-9).mean() <= level + slack
        assert (values <= end + 1e-9).mean() >= level - slack


def test_the_interval_of_the_mean_is_the_normal_one_for_many_runs() -> None:
    scores = draw(60, 9)
    error = math.sqrt((scores.var(axis=0) / len(scores)).sum()) / scores.shape[1]
    lo, hi = stratified_interval(scores, resamples=20_000)["mean"]
    assert hi - lo == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_games_are_strata() -> None:
    """Runs that agree game by game leave nothing uncertain, however games differ."""
    found = aggregate(np.tile([0.1, 0.5, 3.0, 20.0], (4, 1)))
    for name, (value, lo, hi, runs) in found.items():
        assert (lo, hi) == pytest.approx((value, value)), name
        assert runs == 4
    shuffled = aggregate(np.random.default_rng(0).permuted(draw(6, 4), axis=0))
    plain = aggregate(draw(6, 4))
    assert shuffled["median"].mean == plain["median"].mean  # which run is which says nothing


def test_the_same_scores_give_the_same_interval_whatever_was_drawn_before() -> None:
    scores = draw(5, 26)
    first = aggregate(scores)
    np.random.default_rng(1).random(10)
    assert aggregate(scores) == first
    for value, lo, hi, _ in first.values():
        assert lo is not None
        assert hi is not None
        assert value is not None
        assert lo < value < hi


def test_few_runs_have_no_interval_and_none_no_number() -> None:
    assert aggregate(draw(2, 5))["iqm"][1:] == (None, None, 2)
    assert set(aggregate(np.empty((0, 5))).values()) == {Estimate(None, None, None, 0)}


@pytest.mark.parametrize("scores", [[1.0, 2.0], np.empty((3, 0)), [[math.nan, 1.0]]])
def test_what_is_no_array_of_scores_is_refused(scores: object) -> None:
    with pytest.raises(ValueError, match="scores"):
        aggregate(scores)  # type: ignore[arg-type]


def test_leading_axes_are_kept() -> None:
    scores = np.stack([draw(3, 4, seed) for seed in range(5)])
    for function in AGGREGATES.values():
        assert function(scores) == pytest.approx([float(function(x)) for x in scores])
    assert median(scores).shape == optimality_gap(scores).shape == (5,)
