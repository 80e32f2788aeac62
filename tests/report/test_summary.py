from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from suite.records.reader import load_results, read_sweep, status_of
from suite.report.statistics.summary import (
    TaskResult,
    as_summary,
    per_seed_csv,
    summarise,
    summary_json,
)

CONTRACT = {"metric", "mean", "lo", "hi", "n", "diff", "diff_lo", "diff_hi"}


def summarise_folder(path: Path) -> list[TaskResult]:
    sweep = read_sweep(path)
    statuses = {trial: status_of(path, trial) for trial in sweep.trials}
    return summarise(sweep, statuses, load_results(path))


def test_numbers_by_hand(results: Path) -> None:
    summary = as_summary(summarise_folder(results))
    higher = summary["sums"]["higher"]
    assert higher["metric"] == "accuracy/test"
    assert higher["n"] == 3
    assert higher["mean"] == pytest.approx(0.9)
    margin = 4.302653 * 0.1 / math.sqrt(3)
    assert 0.9 + margin > 1  # which no share is
    assert (higher["lo"], higher["hi"]) == pytest.approx((0.9 - margin, 1.0), abs=1e-6)
    # every seed differs by 0.3, so the difference is known exactly though the means are not
    assert (higher["diff"], higher["diff_lo"], higher["diff_hi"]) == pytest.approx((0.3,) * 3)
    same = summary["sums"]["same"]
    assert same["diff"] == pytest.approx(0.0, abs=1e-12)
    assert same["diff_lo"] < 0 < same["diff_hi"]


def test_keys_are_the_contract(results: Path) -> None:
    summary = json.loads(summary_json(summarise_folder(results)))
    assert list(summary) == ["sums", "game"]
    assert list(summary["sums"]) == ["constant", "higher", "same"]
    for entry in summary["game"].values():
        assert set(entry) == CONTRACT | {"failed"}
    for entry in summary["sums"].values():
        assert set(entry) == CONTRACT | {"failed", "gap", "gap_lo", "gap_hi"}


def test_reference_has_no_difference_and_gap_arm_no_gap(results: Path) -> None:
    summary = as_summary(summarise_folder(results))["sums"]
    assert [summary["constant"][k] for k in ("diff", "diff_lo", "diff_hi")] == [None] * 3
    assert [summary["higher"][k] for k in ("gap", "gap_lo", "gap_hi")] == [None] * 3
    assert summary["constant"]["gap"] == pytest.approx(-0.3)


def test_no_interval_below_three_seeds(results: Path) -> None:
    entry = as_summary(summarise_folder(results))["game"]["cyclic"]
    assert (entry["mean"], entry["n"], entry["diff"]) == (135.0, 2, 25.0)
    assert entry["lo"] is entry["hi"] is entry["diff_lo"] is entry["diff_hi"] is None


def test_only_complete_runs_score_and_the_others_are_counted(writer: Any) -> None:
    writer.task("t", ["a", "b"])
    writer.run("t", "a", 0, [(0, 0.1), (10, 0.5)])
    writer.run("t", "a", 1, [(0, 0.1), (10, 0.9)], state="diverged", reason="loss is nan")
    writer.run("t", "a", 2, [(0, 0.1)], state="failed", reason="out of memory")
    writer.run("t", "b", 0, [(0, 0.1), (5, 0.4)], state="running")
    writer.run("t", "b", 1, [(10, 0.7)])
    writer.run("t", "b", 2, skip="no norm layers")
    summary = as_summary(summarise_folder(writer.finish()))["t"]
    assert (summary["a"]["mean"], summary["a"]["n"], summary["a"]["failed"]) == (0.5, 1, 2)
    assert (summary["b"]["mean"], summary["b"]["n"], summary["b"]["failed"]) == (0.7, 1, 0)
    assert summary["b"]["diff"] is None  # no seed in common


def test_the_last_step_counts_whatever_the_order_of_lines(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, [(20, 0.9), (10, 0.5), (0, 0.1)])
    assert as_summary(summarise_folder(writer.finish()))["t"]["a"]["mean"] == 0.9


def test_a_primary_metric_that_is_not_a_number_is_no_value(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, [(0, 0.3), (10, None)])
    writer.run("t", "a", 1, [(0, 0.3), (10, 0.7)])
    writer.run("t", "a", 2, [])
    [task] = summarise_folder(writer.finish())
    assert task.arms[0].score.n == 1
    assert [run.value for run in task.runs] == [None, 0.7, None]


def test_each_arm_may_have_its_own_reference(writer: Any) -> None:
    reference = {"a": "a", "b": "a", "c": None, "d": "c"}
    writer.task("t", ["a", "b", "c", "d"], reference=reference)
    for arm, value in {"a": 1.0, "b": 2.0, "c": 10.0, "d": 13.0}.items():
        writer.run("t", arm, 0, [(1, value)])
    [task] = summarise_folder(writer.finish())
    assert task.references == ("a", "c")
    found = as_summary([task])["t"]
    assert [found[arm]["diff"] for arm in "abcd"] == [None, 1.0, None, 3.0]


def test_the_gap_may_be_to_another_arm_for_each(writer: Any) -> None:
    writer.task("t", ["a", "b", "c", "d"], gap_to={"a": None, "b": "a", "c": "c", "d": "c"})
    for arm, value in {"a": 1.0, "b": 2.0, "c": 10.0, "d": 13.0}.items():
        writer.run("t", arm, 0, [(1, value)])
    [task] = summarise_folder(writer.finish())
    assert task.gap_arms == ("a", "c")
    assert [arm["gap"] for arm in as_summary([task])["t"].values()] == [None, 1.0, None, 3.0]


def test_a_sweep_that_has_not_begun_has_an_empty_summary(writer: Any) -> None:
    writer.task("t", ["a", "b"]).run("t", "a", 0, state="not started")
    summary = as_summary(summarise_folder(writer.finish()))["t"]
    assert [summary[arm]["n"] for arm in "ab"] == [0, 0]
    assert summary["b"]["mean"] is None


def test_per_seed_values(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, [(10, 0.1 + 0.2)])
    writer.run("t", "a", 1, [(10, 0.5)], state="failed", reason="no, not again")
    lines = list(csv.DictReader(io.StringIO(per_seed_csv(summarise_folder(writer.finish())))))
    assert [line["seed"] for line in lines] == ["0", "1"]
    assert float(lines[0]["value"]) == 0.1 + 0.2
    assert (lines[1]["value"], lines[1]["reason"]) == ("", "no, not again")
    assert lines[0]["metric"] == "accuracy/test"
