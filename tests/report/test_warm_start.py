"""Warm starts against fresh networks, and alarms against changes: cases by hand."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.records.reader import read_config, read_results, read_sweep, status_of
from suite.report.build import build_report
from suite.report.experiment import Track
from suite.report.page.streams import STREAMS, StreamTable, stream_tables
from suite.report.statistics.censored import Censored
from suite.report.statistics.detection import detection
from suite.report.statistics.summary import TaskResult, summarise
from suite.report.statistics.warm_start import match, matches


def track(*points: tuple[float, float]) -> Track:
    return Track(*np.array(points, dtype=np.float64).T)


def test_steps_to_match_by_hand() -> None:
    warm = track((0, 0.1), (50, 0.6), (100, 0.5), (140, 0.5), (180, 0.7), (200, 0.65))
    found = match(warm, [100], 0.6)  # 0.6 at step 50 is of the first phase
    assert found.gap == pytest.approx(-0.05)
    assert found.steps.exact
    assert found.steps.lo == pytest.approx(60)  # halfway from 140 to 180
    assert found.nearly.lo == pytest.approx(40 + 40 * 0.094 / 0.2)  # 0.594
    assert found.before == 100
    assert found.cost.lo == pytest.approx(160)


def test_what_is_not_reached_is_known_from_below() -> None:
    warm = track((0, 0.1), (100, 0.5), (200, 0.795))
    found = match(warm, [100], 0.8)
    assert found.steps == Censored(100, math.inf)
    assert found.cost == Censored(200, math.inf)
    assert found.nearly.exact  # 0.792
    assert found.gap == pytest.approx(0.005)


def test_a_network_that_is_as_good_at_once_needs_no_steps() -> None:
    found = match(track((0, 0.1), (100, 0.9), (200, 0.2)), [100], 0.8)
    assert (found.steps, found.cost) == (Censored.exactly(0), Censored.exactly(100))


def test_updates_that_an_early_end_left_out_are_not_counted() -> None:
    """The first phase ended after 40 of its 100 updates, and was measured there."""
    found = match(track((0, 0.1), (40, 0.5), (150, 0.7), (200, 0.9)), [100], 0.8)
    assert found.steps.lo == pytest.approx(75)  # halfway from 50 to 100
    assert found.cost.lo == pytest.approx(115)


def test_early_ends_of_all_phases_are_left_out() -> None:
    """Two phases of 100 ended after 40 and 30 updates."""
    warm = track((0, 0.1), (40, 0.5), (130, 0.6), (220, 0.7), (250, 0.9), (300, 0.9))
    found = match(warm, [100, 200], 0.8)
    assert found.before == 70
    assert found.steps.lo == pytest.approx(35)  # halfway from 20 to 50


@pytest.mark.parametrize("start", [-1, 200, 300])
def test_without_measurements_on_both_sides_there_is_an_error(start: float) -> None:
    with pytest.raises(ValueError, match="before and after"):
        match(track((0, 0.1), (200, 0.9)), [start], 0.5)


@pytest.mark.parametrize(
    ("alarms", "starts", "delays", "missed", "false"),
    [
        ([1804], [0, 1800], (4,), 0, 0),
        ([1800], [0, 1800], (0,), 0, 0),
        ([1799], [0, 1800], (), 1, 1),
        ([10, 150, 160, 350], [0, 100, 200, 300], (50, 50), 1, 2),
        ([], [0, 100], (), 1, 0),
        ([5, 9], [0], (), 0, 2),
        ([130, 101], [100], (1,), 0, 1),
    ],
)
def test_detection_by_hand(
    alarms: list[float], starts: list[float], delays: tuple[float, ...], missed: int, false: int
) -> None:
    found = detection(alarms, starts)
    assert (found.delays, found.missed, found.false_alarms) == (delays, missed, false)


TRIGGERED = {"kind": "triggered", "trigger": {"kind": "mine"}, "then": {"kind": "constant"}}
WATCHED: dict[str, Any] = {"budget": 200, "schedule": TRIGGERED}
WITHIN: dict[str, Any] = {"budget": 200, "schedule": {"kind": "mine", "then": TRIGGERED}}


def rows_of(*, alarms: tuple[int, ...] = ()) -> list[Any]:
    rows: list[Any] = [(0, "phase", "", 0.0), (100, "phase", "", 1.0)]
    return rows + [(step, "alarm", "", 1.0) for step in alarms]


@pytest.fixture
def folder(writer: Any) -> Path:
    """Fresh networks end at 0.8 and 0.6; "warm" reaches both, "slow" the second only."""
    writer.task("stream", ["fresh", "warm", "slow"], seeds=[0, 1], gap_to="fresh")
    fresh: dict[int, Any] = {0: [(0, 0.1), (100, 0.8)], 1: [(0, 0.1), (100, 0.6)]}
    for seed in (0, 1):
        writer.run("stream", "fresh", seed, fresh[seed], extra=[(0, "phase", "", 0.0)])
        points = [(0, 0.1), (100, 0.5), (200, 0.9)]
        alarms = rows_of(alarms=(40, 104, 110))
        writer.run("stream", "warm", seed, points, extra=alarms, config=WITHIN)
        points = [(0, 0.1), (100, 0.5), (200, 0.7)]
        writer.run("stream", "slow", seed, points, extra=rows_of(), config=WATCHED)
    finished: Path = writer.finish()
    return finished


def configs_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {t.run_id: read_config(folder, t.run_id) for t in read_sweep(folder).trials}


def summed(folder: Path) -> tuple[TaskResult, Any]:
    sweep = read_sweep(folder)
    rows = read_results(folder, ["accuracy", *STREAMS])
    (task,) = summarise(sweep, {t: status_of(folder, t) for t in sweep.trials}, rows)
    return task, rows


def test_arms_with_phases_are_compared_with_the_fresh_network_of_their_seed(folder: Path) -> None:
    found = matches(*summed(folder))
    assert list(found) == ["warm", "slow"]
    assert found["warm"][0].steps.lo == pytest.approx(75)
    assert found["warm"][1].steps.lo == pytest.approx(25)
    assert found["slow"][0].steps == Censored(100, math.inf)
    assert found["slow"][1].steps.lo == pytest.approx(50)


def test_the_tables_of_a_page(folder: Path) -> None:
    warm, alarms = stream_tables(*summed(folder), configs_of(folder))
    assert isinstance(warm, StreamTable)
    assert warm.title.startswith("Warm starts against fresh")
    assert [list(line) for line in warm.lines] == [
        # gaps -0.1 and -0.3; 75 and 25; 0.792: 73 and 0.594: 23.5; with 100 before
        ["warm", "-0.200", "50", "48", "150", "2/2"],
        # gaps 0.1 and -0.1; over 100 and 50; over 100 and 47; with 100 before
        ["slow", "0.000", ">= 75", ">= 74", ">= 175", "1/2"],
    ]
    assert [list(line) for line in alarms.lines] == [
        ["warm, seed 0", "1/1", "4.0", "2", "40, 104, 110"],
        ["warm, seed 1", "1/1", "4.0", "2", "40, 104, 110"],
        ["slow, seed 0", "0/1", "-", "0", "-"],
        ["slow, seed 1", "0/1", "-", "0", "-"],
    ]
    page = build_report(folder).html.read_text()
    assert "Warm starts against fresh" in page
    assert "changes found" in page


def test_runs_without_a_trigger_are_not_listed(folder: Path) -> None:
    (warm,) = stream_tables(*summed(folder), {})
    assert warm.title.startswith("Warm starts")


def test_the_files_beside_the_page_have_a_line_for_each_seed(folder: Path) -> None:
    report = build_report(folder).folder
    warm = list(csv.DictReader((report / "warm_start.csv").read_text().splitlines()))
    assert [(line["arm"], line["seed"], line["fresh"]) for line in warm] == [
        *(("warm", "0", "fresh"), ("warm", "1", "fresh")),
        *(("slow", "0", "fresh"), ("slow", "1", "fresh")),
    ]
    names = ("gap", "steps", "nearly_steps", "cost")
    expected = [(-0.1, 75, 73, 175), (-0.3, 25, 23.5, 125), (0.1, 100, 100, 200)]
    expected += [(-0.1, 50, 47, 150)]
    for line, numbers in zip(warm, expected, strict=True):
        assert [float(line[name]) for name in names] == pytest.approx(list(numbers))
        reached = "False" if numbers[0] > 0 else "True"
        assert (line["reached"], line["nearly_reached"]) == (reached, reached)
    assert (report / "alarms.csv").read_text().splitlines() == [
        "task,arm,seed,alarms,changes,delays,false_alarms,missed",
        *(f"stream,warm,{seed},40 104 110,1,4,2,0" for seed in (0, 1)),
        *(f"stream,slow,{seed},,1,,0,1" for seed in (0, 1)),
    ]


def test_the_files_go_when_there_are_no_lines_any_more(writer: Any) -> None:
    writer.task("stream", ["one", "two"])
    for arm in ("one", "two"):
        points = [(0, 0.1), (100, 0.5), (200, 0.7)]
        writer.run("stream", arm, 0, points, extra=rows_of(alarms=(40,)))  # no config of a trigger
    root = writer.finish()
    for name in ("warm_start.csv", "alarms.csv"):
        (root / "report").mkdir(exist_ok=True)
        (root / "report" / name).write_text("old")
    build_report(root)
    assert [path.name for path in (root / "report").glob("*.csv")] == ["per_seed.csv"]


def test_scores_that_are_no_accuracies_and_unfinished_runs_are_left_out(writer: Any) -> None:
    writer.task("loss", ["fresh", "warm"], gap_to="fresh", primary_metric=["loss", "test"])
    writer.task("stream", ["fresh", "warm"], gap_to="fresh")
    for task, state in (("loss", "complete"), ("stream", "running")):
        writer.run(task, "fresh", 0, [(0, 0.1), (100, 0.8)])
        points = [(0, 0.1), (100, 0.5), (200, 0.9)]
        writer.run(task, "warm", 0, points, extra=rows_of(), state=state)
    sweep = read_sweep(folder := writer.finish())
    rows = read_results(folder, ["accuracy", "loss", *STREAMS])
    for result in summarise(sweep, {t: status_of(folder, t) for t in sweep.trials}, rows):
        assert matches(result, rows) == {}
        assert stream_tables(result, rows, configs_of(folder)) == []
