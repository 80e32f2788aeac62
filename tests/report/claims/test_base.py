"""The verdict: regions, intervals, and what a repetition hands to a claim's function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.report.claims.base import Claim, Region, above, below, between, judge
from suite.report.experiment import NotMeasured, Results

POINTS = [(0, 1.0), (10, 0.5), (100, 0.25), (200, float("inf"))]


@pytest.fixture
def results(writer: Any) -> Results:
    """Two scales of an experiment of two arms; the second arm of seed 2 failed."""
    for label, seeds in (("paper_fig1", (0,)), ("paper_fig1_small", (0, 1, 2))):
        writer.task(label, ["a", "b"], seeds=list(seeds))
        for seed in seeds:
            for index, arm in enumerate("ab"):
                state = "failed" if (label, arm, seed) == ("paper_fig1_small", "b", 2) else None
                writer.run(
                    label,
                    arm,
                    seed,
                    [(s, v + seed) for s, v in POINTS],
                    state=state or "complete",
                    config={"model": {"alpha": 2.0 - index}, "interventions": [{"every": 3}]},
                    extra=[(10, "norm", "all", 7.0)],
                )
    writer.finish()
    return Results(writer.path)


def make(function: Any, holds: Region | None = None) -> Claim:
    where = holds or above(0.0)
    return Claim("paper.1", "paper_fig1", "it is so", "a number", where, "section 1", function)


def test_experiments_are_found_by_label_and_scale(results: Results) -> None:
    small, published = (results.experiment("paper_fig1", s) for s in ("small", "published"))
    assert small is not None
    assert published is not None
    assert [seed.seed for seed in small.repetitions] == [0, 1, 2]
    assert [seed.seed for seed in published.repetitions] == [0]
    assert results.experiment("paper_fig", "small") is None
    assert small.arms == ["a", "b"]
    assert small.setting("a", "interventions.0.every") == 3
    assert len(small.tracks("b", "accuracy", "test")) == 2, "one of them failed"


def test_a_repetition_hands_out_curves_and_settings(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    assert experiment is not None
    seed = experiment.repetitions[1]
    track = seed.track("a", "accuracy", "test")
    assert track.steps.tolist() == [0, 10, 100]
    assert (track.first, track.last, track.at(9), track.at(10)) == (2.0, 1.25, 2.0, 1.5)
    assert track.between(5, 50).values.tolist() == [1.5]
    assert seed.arms_by("model.alpha") == [(1.0, "b"), (2.0, "a")]
    for ask in (
        lambda: seed.track("a", "accuracy", "train"),
        lambda: seed.track("c", "accuracy", "test"),
        lambda: seed.setting("a", "model.beta"),
        lambda: seed.setting("a", "interventions.4.every"),
        lambda: track.between(20, 30),
    ):
        with pytest.raises(NotMeasured):
            ask()


def test_the_effect_is_the_mean_over_seeds_with_its_interval(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    claim = make(lambda seed: seed.track("a", "accuracy", "test").last, above(-2.0))
    verdict = judge(claim, experiment, "small")
    assert verdict.effect == pytest.approx(1.25)
    assert verdict.lo == pytest.approx(1.25 - 4.302653 / math.sqrt(3))
    assert (verdict.n, verdict.left_out, verdict.verdict) == (3, (), "holds")


def test_seeds_that_lack_something_are_left_out_and_named(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    claim = make(lambda seed: seed.track("b", "accuracy", "test").last)
    verdict = judge(claim, experiment, "small")
    assert (verdict.n, verdict.left_out, verdict.verdict) == (2, (2,), "inconclusive")
    nothing = make(lambda seed: seed.track("c", "accuracy", "test").last)
    assert judge(nothing, experiment, "small").verdict == "not run"
    assert judge(claim, None, "small").verdict == "not run"


def test_shares_have_an_exact_interval(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    verdict = judge(make(lambda seed: seed.seed != 1, above(0.05)), experiment, "small")
    assert verdict.effect == pytest.approx(2 / 3)
    assert verdict.lo == pytest.approx(0.0942993)  # Clopper and Pearson for 2 of 3
    assert verdict.hi == pytest.approx(0.9915962)
    assert verdict.verdict == "holds"


def test_a_statistic_that_is_not_finite_is_a_fault_of_the_claim(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    with pytest.raises(ValueError, match=r"paper\.1.*finite"):
        judge(make(lambda seed: math.inf), experiment, "small")


@given(
    st.floats(-10, 10), st.floats(0, 5), st.floats(-10, 10), st.sampled_from([above, below, None])
)
def test_verdicts_compare_the_whole_interval(
    lo: float, width: float, threshold: float, side: Any
) -> None:
    hi = lo + width
    region = between(threshold, threshold + 2) if side is None else side(threshold)
    inside = [region.lo < x < region.hi for x in np.linspace(lo, hi, 101)]
    verdict = region.judge(lo, hi)
    if verdict == "holds":
        assert all(inside)
    if verdict == "fails":
        assert not any(inside)
    if verdict == "inconclusive":
        assert not (inside[0] and inside[-1])


def test_regions_read_as_text() -> None:
    assert [str(r) for r in (above(1.25), below(0.1), between(0.09, 0.11))] == [
        "> 1.25",
        "< 0.1",
        "0.09 to 0.11",
    ]
