"""Claims of Kumar et al. 2024 on images and students, on made-up runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
END = 100_000


def rising(at: float) -> list[tuple[float, float]]:
    """An accuracy that jumps from 0 to 1 at a step, in a run of `END`."""
    return [(0, 0.0), (max(at - 1, 0.5), 0.0), (at, 1.0), (END, 1.0)]


def arm(
    alpha: float, train: float, test: float, norm: float = 1.0
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    metrics = {
        ("accuracy", "train"): rising(train),
        ("accuracy", "test"): rising(test),
        ("parameter_norm", "all"): [(0, 100.0), (50, 100.0 * norm), (END, 1.0)],
    }
    return {"model": {"alpha": alpha}}, metrics


def scales(large: float, small: float = 1.1, norm: float = 1.0) -> dict[str, Any]:
    """Two scales with the ratios of times that are given."""
    return {"0.5": arm(0.5, 100, 100 * large), "0.001": arm(0.001, 100, 100 * small, norm)}


def student(
    largest: float, smallest: float, factor: float = 2.0, apart: float = 0.05
) -> dict[str, Any]:
    """A run with the ratios of times at two thresholds, and with its losses."""
    metrics: dict[tuple[str, str], Any] = {
        ("loss", "train"): [(0, 1.0), (10, 0.5), (END, 1e-4)],
        ("loss", "test"): [(0, 1.0), (10, 0.5 + apart), (END, factor * 1e-4)],
    }
    for threshold in ("0.0001", "0.0005", "0.001", "0.005", "0.01", "0.1"):
        ratio = {"0.0001": largest, "0.1": 1.0}.get(threshold, smallest)
        at_once = threshold == "0.1"
        for split, at in (("train", 100.0), ("test", 100 * ratio)):
            points = [(0, 1.0), (END, 1.0)] if at_once else rising(at)
            metrics["accuracy_within", f"{split}<{threshold}"] = points
    return {"student": ({"model": {"alpha": 1.0}}, metrics)}


CASES: dict[str, tuple[list[Mapping[str, Any]], ...]] = {
    "kumar2024.K9a": (
        [scales(r) for r in (8, 9, 10)],
        [scales(r) for r in (1.0, 1.1, 1.2)],
        [scales(r) for r in (1, 3, 20)],
    ),
    "kumar2024.K9b": (
        [scales(9, r) for r in (1.1, 1.2, 1.3)],
        [scales(9, r) for r in (8, 9, 10)],
        [scales(9, r) for r in (1, 3, 20)],
    ),
    "kumar2024.K9c": (
        [scales(9, 1, n) for n in (0.99, 1.0, 1.01)],
        [scales(9, 1, n) for n in (0.3, 0.31, 0.32)],
        [scales(9, 1, n) for n in (0.5, 0.8, 1.1)],
    ),
    "kumar2024.K11": (
        [scales(r) for r in (8, 9, 10)],
        [scales(r) for r in (1.0, 1.1, 1.2)],
        [scales(r) for r in (1, 3, 20)],
    ),
    "kumar2024.14a": (
        [student(r, 1) for r in (8, 9, 10)],
        [student(r, 1) for r in (1.0, 1.1, 1.2)],
        [student(r, 1) for r in (1, 3, 20)],
    ),
    "kumar2024.14b": (
        [student(20, r) for r in (1.0, 1.1, 1.2)],
        [student(20, r) for r in (8, 9, 10)],
        [student(20, r) for r in (1, 1.5, 3)],
    ),
    "kumar2024.14c": (
        [student(9, 1, f) for f in (2, 2.5, 3)],
        [student(9, 1, f) for f in (70, 80, 90)],
        [student(9, 1, f) for f in (2, 10, 90)],
    ),
    "kumar2024.14d": (
        [student(9, 1, 2, a) for a in (0.01, 0.02, 0.03)],
        [student(9, 1, 2, a) for a in (0.3, 0.31, 0.32)],
        [student(9, 1, 2, a) for a in (0.01, 0.1, 0.3)],
    ),
}
"""By claim: seeds for which it holds, fails, and stays open."""


@pytest.mark.parametrize("claim", CASES)
def test_verdicts(claim: str, verdict_of: Judge) -> None:
    holds, fails, between = CASES[claim]
    assert verdict_of(claim, *holds).verdict == "holds"
    assert verdict_of(claim, *fails).verdict == "fails"
    assert verdict_of(claim, *between).verdict == "inconclusive"
    bare = {"bare": ({"model": {"alpha": 1.0}}, {("other", ""): [(0, 1.0)]})}
    assert verdict_of(claim, bare).verdict == "not run"


def test_thresholds_that_hold_from_the_start_or_never_say_nothing(verdict_of: Judge) -> None:
    run = student(8, 2)
    config, metrics = run["student"]
    metrics["accuracy_within", "train<0.0001"] = [(0, 0.0), (END, 0.5)]
    assert verdict_of("kumar2024.14a", run).effect == pytest.approx(1.0, abs=0.05)
    assert verdict_of("kumar2024.14b", run).effect == pytest.approx(1.0, abs=0.05)
    for threshold in ("0.0005", "0.001", "0.005"):
        metrics["accuracy_within", f"train<{threshold}"] = [(0, 1.0), (END, 1.0)]
    assert verdict_of("kumar2024.14a", {"student": (config, metrics)}).verdict == "not run"
