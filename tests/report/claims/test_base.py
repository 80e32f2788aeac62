"""The verdict: regions, intervals, and what a repetition hands to a claim's function."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import ConfigError
from suite.report.claims.base import Claim, Region, above, below, between, judge
from suite.report.experiment import Experiment, NotMeasured, Results, Undetermined
from suite.report.statistics.censored import Censored

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


def whole(results: Results) -> Experiment:
    """Return the experiment as if all arms were complete."""
    found = results.experiment("paper_fig1", "small")
    assert found is not None
    seeds = [replace(seed, lacks=frozenset()) for seed in found.repetitions]
    return replace(found, repetitions=seeds)


def test_the_effect_is_the_mean_over_seeds_with_its_interval(results: Results) -> None:
    experiment = whole(results)
    claim = make(lambda seed: seed.track("a", "accuracy", "test").last, above(-2.0))
    verdict = judge(claim, experiment, "small")
    assert verdict.effect == pytest.approx(1.25)
    assert verdict.lo == pytest.approx(1.25 - 4.302653 / math.sqrt(3))
    assert (verdict.n, verdict.left_out, verdict.verdict) == (3, (), "holds")


def test_seeds_that_lack_an_arm_do_not_count_for_the_others(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    assert experiment is not None
    assert experiment.repetitions[2].lacks == {("paper_fig1_small", "b")}
    claim = make(lambda seed: seed.track("a", "accuracy", "test").last)
    verdict = judge(claim, experiment, "small")
    assert (verdict.n, verdict.left_out, verdict.verdict) == (2, (2,), "inconclusive")


def test_planned_seeds_without_a_run_are_named(results: Results) -> None:
    experiment = replace(whole(results), planned=(0, 1, 2, 7))
    verdict = judge(make(lambda seed: 1.0), experiment, "small")
    assert (verdict.n, verdict.left_out) == (3, (7,))
    assert verdict.why == "lacks all arms of seed 7"


@pytest.mark.parametrize(
    ("region", "bounds", "counts"),
    [
        (above(1.0), Censored(2.0, math.inf), 2.0),
        (above(1.0), Censored(-math.inf, 0.5), 0.5),
        (above(1.0), Censored(0.5, math.inf), None),
        (above(1.0), Censored(0.5, 3.0), None),
        (below(1.0), Censored(-math.inf, 0.5), 0.5),
        (below(1.0), Censored(2.0, math.inf), 2.0),
        (below(1.0), Censored(0.5, math.inf), None),
        (between(1.0, 2.0), Censored(3.0, math.inf), 3.0),
        (between(1.0, 2.0), Censored(-math.inf, 0.5), 0.5),
        (between(1.0, 2.0), Censored(1.5, math.inf), None),
        (between(1.0, 2.0), Censored.exactly(1.5), 1.5),
    ],
)
def test_bounds_count_where_all_of_them_is_on_one_side(
    region: Region, bounds: Censored, counts: float | None
) -> None:
    if counts is None:
        with pytest.raises(Undetermined):
            region.settle(bounds)
    else:
        assert region.settle(bounds) == counts


def test_one_seed_that_is_not_told_leaves_the_verdict_open(results: Results) -> None:
    known = make(lambda seed: Censored(2.0, math.inf))
    assert judge(known, whole(results), "small").verdict == "holds"
    open_one = make(lambda s: Censored(-1.0 if s.seed == 1 else 2.0, math.inf))
    verdict = judge(open_one, whole(results), "small")
    assert (verdict.n, verdict.left_out, verdict.verdict) == (2, (1,), "inconclusive")
    nothing = judge(make(lambda seed: Censored(-1.0, 1.0)), whole(results), "small")
    assert (nothing.n, nothing.effect, nothing.verdict) == (0, None, "inconclusive")


def test_seeds_that_lack_something_are_left_out_and_named(results: Results) -> None:
    experiment = whole(results)
    claim = make(lambda seed: seed.track("b", "accuracy", "test").last)
    verdict = judge(claim, experiment, "small")
    assert (verdict.n, verdict.left_out, verdict.verdict) == (2, (2,), "inconclusive")
    nothing = make(lambda seed: seed.track("c", "accuracy", "test").last)
    assert judge(nothing, experiment, "small").verdict == "not run"
    assert judge(claim, None, "small").verdict == "not run"


def test_shares_have_an_exact_interval(results: Results) -> None:
    experiment = whole(results)
    verdict = judge(make(lambda seed: seed.seed != 1, above(0.05)), experiment, "small")
    assert verdict.effect == pytest.approx(2 / 3)
    assert verdict.lo == pytest.approx(0.0942993)  # Clopper and Pearson for 2 of 3
    assert verdict.hi == pytest.approx(0.9915962)
    assert verdict.verdict == "holds"


def test_a_statistic_that_is_not_finite_is_a_fault_of_the_claim(results: Results) -> None:
    experiment = results.experiment("paper_fig1", "small")
    with pytest.raises(ConfigError, match=r"paper\.1.*finite"):
        judge(make(lambda seed: math.inf), experiment, "small")


def test_an_error_in_a_claim_is_told_with_its_name(results: Results) -> None:
    with pytest.raises(ConfigError, match=r"paper\.1.*seed 0 gave IndexError: list index"):
        judge(make(lambda seed: [][1]), whole(results), "small")


def test_what_was_not_run_says_what_is_missing(results: Results) -> None:
    claim = make(lambda seed: seed.track("c", "accuracy", "test").last)
    assert judge(claim, whole(results), "small").why == "lacks arm 'c' of seed 0"
    misspelt = make(lambda seed: seed.track("a", "acuracy", "test").last)
    assert judge(misspelt, whole(results), "small").why == "lacks acuracy test of arm 'a'"
    assert judge(claim, None, "small").why == f"no complete run of {claim.experiment}"
    assert judge(make(lambda seed: 1.0), whole(results), "small").why == ""


def test_runs_that_were_changed_are_told(results: Results) -> None:
    experiment = replace(whole(results), changed=("budget=600",))
    assert judge(make(lambda seed: 1.0), experiment, "small").changed == ("budget=600",)


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


def test_a_run_that_two_tasks_share_counts_once_in_each(writer: Any) -> None:
    points = [(0, 0.1), (10, 0.5), (20, 0.9)]
    for task in ("first", "second"):
        writer.task(task, ["a"], seeds=[0])
    writer.run("first", "a", 0, points)
    [trial] = writer.trials
    writer.trials.append({**trial, "task": "second"})
    writer.finish()
    for name in ("first", "second"):
        experiment = Results(writer.path).experiment(name, "published")
        assert experiment is not None
        [seed] = experiment.repetitions
        track = seed.track("a", "accuracy", "test")
        assert track.steps.tolist() == [0, 10, 20]
        assert track.at(10) == 0.5


def test_tasks_of_a_file_without_a_label_are_the_experiment_of_its_name(writer: Any) -> None:
    writer.name = "paper_fig6_small"
    for task in ("boxing", "pong"):
        writer.task(task, ["a"], seeds=[0])
        writer.run(task, "a", 0, [(0, 0.1), (10, len(task))])
    results = Results(writer.finish())
    assert results.experiment("paper_fig6", "published") is None
    assert results.experiment("paper_fig", "small") is None
    experiment = results.experiment("paper_fig6", "small")
    assert experiment is not None
    [seed] = experiment.repetitions
    assert seed.tasks == ["boxing", "pong"]
    parts = seed.by_task()
    lasts = [part.track("a", "accuracy", "test").last for part in parts.values()]
    assert (list(parts), lasts) == (["boxing", "pong"], [6, 4])
    assert parts["pong"].track("a", "accuracy", "test", over="frames").steps.tolist() == [0, 40]


def test_a_label_in_a_file_is_not_taken_for_the_file(writer: Any) -> None:
    writer.name = "paper_fig6"
    for task in ("paper_fig6-pong", "other"):
        writer.task(task, ["a"], seeds=[0])
        writer.run(task, "a", 0, [(0, 0.1)])
    experiment = Results(writer.finish()).experiment("paper_fig6", "published")
    assert experiment is not None
    assert experiment.repetitions[0].tasks == ["paper_fig6-pong"]
