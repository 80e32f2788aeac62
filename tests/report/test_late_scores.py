"""Scores at the end of a run, at fixed and at random times, against slow references in float64."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.report.build import build_report
from suite.report.experiment import Array, NotMeasured, Track
from suite.report.statistics.late_scores import (
    FIXED,
    RANDOM,
    fixed_times,
    late_scores,
    random_times,
)


def read_at(frames: list[float], values: list[float], time: float) -> float:
    """Return the value of the last evaluation at or before a time, by looking at each."""
    found = math.nan
    for frame, value in zip(frames, values, strict=True):
        if frame <= time + 1e-6:
            found = value
    return found


def test_scores_equal_a_loop_over_all_evaluations() -> None:
    generator = np.random.default_rng(0)
    frames = [100.0 * i for i in range(1, 101)]
    values = [float(v) for v in generator.normal(size=100)]
    found = late_scores(Track(np.array(frames), np.array(values)), seed=7)
    assert found.final == values[-1]
    fixed = [read_at(frames, values, 10_000 * (0.6 + 0.02 * i)) for i in range(1, 21)]
    assert found.fixed == pytest.approx(math.fsum(fixed) / 20, abs=1e-15)
    drawn = np.random.default_rng([1406, 7]).random(5)
    times = [round(10_000 * (1 - 0.4 * float(u))) for u in drawn]
    assert all(6000 < time <= 10_000 for time in times)
    random = [read_at(frames, values, time) for time in times]
    assert found.random == pytest.approx(math.fsum(random) / 5, abs=1e-15)


def test_evaluations_at_just_the_fixed_times_are_each_read_once() -> None:
    frames: Array = (
        np.arange(1.0, 51) * 210
    )  # every fiftieth of a run whose shares are no round numbers
    assert late_scores(Track(frames, np.arange(50.0)), 0).fixed == pytest.approx(
        np.mean(range(30, 50))
    )


def test_times_lie_in_the_last_part_and_depend_on_the_seed_alone() -> None:
    assert len(fixed_times()) == FIXED
    assert fixed_times() == pytest.approx([0.6 + 0.02 * i for i in range(1, 21)])
    every = np.concatenate([random_times(seed) for seed in range(400)])
    assert len(every) == 400 * RANDOM
    assert every.min() > 0.6
    assert every.max() <= 1.0
    assert every.mean() == pytest.approx(0.8, abs=0.01)
    assert every.std() == pytest.approx(0.4 / math.sqrt(12), abs=0.005)
    assert (random_times(3) == random_times(3)).all()
    assert not (random_times(3) == random_times(4)).any()


def test_a_score_at_random_times_sees_what_the_end_does_not() -> None:
    frames: Array = np.arange(1.0, 101) * 10
    wave = np.where(frames % 40 == 0, 1.0, 0.0)  # good only where cycles end, and the run with one
    found = late_scores(Track(frames, wave), 0)
    assert found.final == 1.0
    assert found.fixed == 0.5  # the fixed times are every second evaluation
    chances = [late_scores(Track(frames, wave), seed).random for seed in range(300)]
    assert np.mean(chances) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    "frames", [[100.0], [80.0, 90.0, 100.0], list(np.linspace(61, 100, 40)), [10.0, 100.0]]
)
def test_too_few_evaluations_are_not_scored(frames: list[float]) -> None:
    with pytest.raises(NotMeasured, match="20 evaluations in the last 40%"):
        late_scores(Track(np.array(frames), np.zeros(len(frames))), 0)


def test_the_report_has_a_line_for_each_run_that_is_evaluated_often(writer: Any) -> None:
    metric: dict[str, Any] = {"primary_metric": ["evaluation_return", ""]}
    writer.task("often", ["a", "b"], **metric).task("once", ["a"], **metric)
    for arm, sign in (("a", 1.0), ("b", -1.0)):
        for seed in (0, 1):
            points = [(i, sign * i) for i in range(2, 101, 2)]
            writer.run("often", arm, seed, points)
    writer.run("once", "a", 0, [(100, 5.0)])
    writer.run("often", "a", 2, [(i, 1.0) for i in range(2, 101, 2)], state="failed")
    folder = build_report(writer.finish()).folder
    lines = list(csv.DictReader((folder / "late_scores.csv").read_text().splitlines()))
    assert [(line["task"], line["arm"], line["seed"]) for line in lines] == [
        ("often", arm, seed) for arm in "ab" for seed in "01"
    ]
    for line, other in zip(lines[:2], lines[2:], strict=True):
        assert float(line["final"]) == 100
        assert float(line["fixed"]) == pytest.approx(np.mean(range(62, 101, 2)))
        assert 60 < float(line["random"]) <= 100
        assert float(other["random"]) == -float(line["random"])
    assert lines[0]["random"] != lines[1]["random"]


def test_the_file_goes_when_no_run_is_evaluated_often(writer: Any) -> None:
    writer.task("once", ["a"], primary_metric=["evaluation_return", ""])
    writer.run("once", "a", 0, [(100, 5.0)])
    root: Path = writer.finish()
    (root / "report").mkdir()
    (root / "report" / "late_scores.csv").write_text("old")
    build_report(root)
    assert not (root / "report" / "late_scores.csv").exists()
