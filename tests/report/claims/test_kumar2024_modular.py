"""Claims of Kumar et al. 2024 on modular addition, on made-up runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
END = 100_000


def rising(at: float) -> list[tuple[float, float]]:
    """An accuracy that jumps from 0 to 1 at a step, in a run of `END`."""
    return [(0, 0.0), *((s, float(s >= at)) for s in sorted({at - 1, at, END}) if 0 < s <= END)]


def network(
    train: float, test: float, norms: tuple[float, float] = (50.0, 90.0), **model: Any
) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """An arm: when its accuracies jump, and the norm of each of its maps at start and end."""
    config: dict[str, Any] = {"model": model, "optimizer": {"lr": model.pop("lr", 100.0)}}
    if "decay" in model:
        config["interventions"] = [{"kind": "weight_decay", "coefficient": model.pop("decay")}]
    path = [(0, norms[0]), (END, norms[1])]
    metrics: dict[tuple[str, str], Any] = {
        ("accuracy", "train"): rising(train),
        ("accuracy", "test"): rising(test),
    }
    for name in ("inner.hidden.weight", "inner.readout.weight"):
        metrics["parameter_norm", name] = path
    return config, metrics


def fig2(
    gap: float, grow: float = 1.8, lazy: float = 9000, rich: float = 1000, lr: float = 100
) -> dict[str, Any]:
    return {
        "1": network(2000, 2000 + gap, (50, 50 * grow), alpha=1.0, lr=lr),
        "0.25": network(500, 500 + rich, alpha=0.25),
        "2.25": network(5000, 5000 + lazy, alpha=2.25),
    }


def fig12(weak: float, strong: float, lazy: float) -> dict[str, Any]:
    return {
        "a": network(1000, 1000 + weak, alpha=0.5, decay=1.0),
        "b": network(1000, 1000 + strong, alpha=0.5, decay=5.0),
        "c": network(1000, 1000 + lazy, alpha=1.4, decay=5.0),
    }


def fig6b(large: float, small: float, mid: float = 1200) -> dict[str, Any]:
    return {
        "0.5": network(1000, 1000 + large, alpha=0.5),
        "0.15": network(1000, mid, alpha=0.15),
        "0.05": network(1000, 1000 + small, alpha=0.05),
    }


CASES: dict[str, tuple[list[Mapping[str, Any]], ...]] = {
    "kumar2024.10a": (
        [fig2(g) for g in (3000, 3500, 4000)],
        [fig2(g) for g in (100, 200, 300)],
        [fig2(g) for g in (500, 1000, 2000)],
    ),
    "kumar2024.10b": (
        [fig2(1, g) for g in (1.7, 1.8, 1.9)],
        [fig2(1, g) for g in (0.7, 0.71, 0.72)],
        [fig2(1, g) for g in (0.8, 1.0, 1.3)],
    ),
    "kumar2024.10c": (
        [fig2(1, lazy=g) for g in (8000, 9000, 10_000)],
        [fig2(1, lazy=g) for g in (800, 900, 1000)],
        [fig2(1, lazy=g) for g in (500, 2000, 9000)],
    ),
    "kumar2024.13a": (
        [fig12(g, 1000, 1) for g in (9000, 10_000, 11_000)],
        [fig12(g, 1000, 1) for g in (900, 1000, 1100)],
        [fig12(g, 1000, 1) for g in (1000, 5000, 20_000)],
    ),
    "kumar2024.13b": (
        [fig12(9000, 1, g) for g in (9000, 10_000, 11_000)],
        [fig12(9000, 1, g) for g in (900, 1000, 1100)],
        [fig12(9000, 1, g) for g in (2000, 9000, 40_000)],
    ),
    "kumar2024.K10a": (
        [fig6b(g, 500) for g in (9000, 10_000, 11_000)],
        [fig6b(g, 500) for g in (450, 500, 550)],
        [fig6b(g, 500) for g in (200, 1000, 9000)],
    ),
    "kumar2024.K10b": (
        [fig6b(1, 1, g) for g in (1100, 1200, 1300)],
        [fig6b(1, 1, g) for g in (9000, 10_000, 11_000)],
        [fig6b(1, 1, g) for g in (1100, 2000, 9000)],
    ),
}
"""By claim: seeds for which it holds, fails, and stays open."""


@pytest.mark.parametrize("claim", CASES)
def test_verdicts(claim: str, verdict_of: Judge) -> None:
    holds, fails, between = CASES[claim]
    assert verdict_of(claim, *holds).verdict == "holds"
    assert verdict_of(claim, *fails).verdict == "fails"
    assert verdict_of(claim, *between).verdict == "inconclusive"
    other = {"other": network(1, 2, alpha=7.0, decay=7.0)}
    assert verdict_of(claim, other).verdict == "not run"


def test_steps_are_those_of_the_published_rate(verdict_of: Judge) -> None:
    verdict = verdict_of("kumar2024.10a", fig2(300, lr=1000))
    assert verdict.effect == pytest.approx(3000, rel=0.01)


def test_times_that_are_not_reached_count_as_the_run_s_length(verdict_of: Judge) -> None:
    never = verdict_of("kumar2024.10a", fig2(2 * END))
    assert never.effect == pytest.approx(END - 2000, rel=0.01)


UNFIT = [
    ("kumar2024.10a", {"1": network(2 * END, 2 * END, alpha=1.0)}),
    ("kumar2024.10c", {**fig2(1), "0.25": network(2 * END, 2 * END, alpha=0.25)}),
    ("kumar2024.13a", {**fig12(5000, 1, 1), "b": network(2 * END, 2 * END, alpha=0.5, decay=5.0)}),
    ("kumar2024.13b", {**fig12(5000, 1, 1), "c": network(2 * END, 2 * END, alpha=1.4, decay=5.0)}),
    ("kumar2024.K10a", {**fig6b(5000, 1), "0.05": network(2 * END, 2 * END, alpha=0.05)}),
    ("kumar2024.K10b", {**fig6b(5000, 1), "0.15": network(2 * END, 2 * END, alpha=0.15)}),
]


@pytest.mark.parametrize(("claim", "arms"), UNFIT)
def test_a_network_that_never_fits_is_none_without_a_delay(
    claim: str, arms: Mapping[str, Any], verdict_of: Judge
) -> None:
    found = verdict_of(claim, *[arms] * 3)
    assert (found.verdict, found.n) == ("inconclusive", 0)


def test_a_delay_that_outlasts_the_run_is_at_least_as_long(verdict_of: Judge) -> None:
    endless = {**fig12(1, 5000, 1), "a": network(1000, 2 * END, alpha=0.5, decay=1.0)}
    found = verdict_of("kumar2024.13a", *[endless] * 3)
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(math.log2((END - 1000) / 5000), rel=1e-3)
    both = {**endless, "b": network(1000, 2 * END, alpha=0.5, decay=5.0)}
    assert verdict_of("kumar2024.13a", *[both] * 3).n == 0
