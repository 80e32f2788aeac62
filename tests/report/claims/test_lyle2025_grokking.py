"""Claims on norm, rate and scale decay, on made-up curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
TOTAL = 1000
NAP = {"kind": "nap", "every": 10}


def curve(step: float | None, best: float = 1.0) -> Any:
    """Return an arm's rows: test accuracy jumps to `best` at `step`, or stays at 0.3."""
    points: list[tuple[float, float]]
    if step is None:
        points = [(1, 0.3), (TOTAL, 0.3)]
    else:
        points = [(1, 0.3), (step * 0.99, 0.3), (step, best), (TOTAL, best)]
    return {("accuracy", "test"): points}


def left(step: Any) -> dict[str, Any]:
    """Return the arms of Fig. 2 left; `step(pinned, rate, decay)` is when each groks."""
    arms = {}
    for pinned in (False, True):
        for rate in (0.01, 0.001, 0.0001):
            for decay in (0.01, 1.0):
                members = [{"kind": "weight_decay", "coefficient": decay}]
                members += [NAP] if pinned else []
                config = {
                    "optimizer": {"lr": rate},
                    "interventions": members,
                    "budget": TOTAL,
                    "task": {"fraction": 0.2},
                }
                arms[f"{pinned},{rate},{decay}"] = (config, curve(step(pinned, rate, decay)))
    return arms


def right(none: float, *decayed: float, memorised: float = 1.0) -> dict[str, Any]:
    """Return the arms of Fig. 2 right by their best test accuracies, and what training reaches."""
    arms = {}
    for index, best in enumerate((none, *decayed)):
        more = [{"kind": "scale_decay", "coefficient": 10.0**index / 10}] if index else []
        config = {"interventions": [NAP, *more], "task": {"fraction": 0.2}}
        train = {("accuracy", "train"): [(1, 0.1), (100, memorised)]}
        arms[str(index)] = (config, {**curve(100, best), **train})
    return arms


@pytest.mark.parametrize(
    ("pinned", "verdict"), [(1.0, "holds"), (0.0, "fails"), (0.9, "inconclusive")]
)
def test_1a_pinned_networks_grok(verdict_of: Judge, pinned: float, verdict: str) -> None:
    """`pinned` is the rate up to which projected arms grok; 0.9 stands for seeds at odds."""

    def seed(number: int) -> Any:
        ok = pinned == 1.0 or (pinned == 0.9 and number < 33)
        return left(lambda p, rate, decay: 50 if p and ok and rate >= 0.001 else None)

    found = verdict_of("lyle2025.1a", *[seed(i) for i in range(36)])
    assert found.verdict == verdict
    assert verdict_of("lyle2025.1a", *[seed(0)] * 4).verdict != "holds", "four are too few"
    if verdict == "holds":
        assert found.effect == 1.0, "the lowest rate does not count"


@pytest.mark.parametrize(
    ("free", "verdict"), [([0, 0, 0], "holds"), ([1, 1, 1], "fails"), ([0, 1, 1], "inconclusive")]
)
def test_1b_free_networks_grok_less(verdict_of: Judge, free: list[int], verdict: str) -> None:
    seeds = [
        left(lambda p, rate, decay, ok=ok: 50 if p or ok or decay == 1 else None) for ok in free
    ]
    assert verdict_of("lyle2025.1b", *seeds).verdict == verdict


@pytest.mark.parametrize(
    ("power", "verdict"),
    [([0.2] * 3, "holds"), ([1.5] * 3, "fails"), ([0.2, 1.5, 0.5], "inconclusive")],
)
def test_2_rate_matters_more_than_decay(
    verdict_of: Judge, power: list[float], verdict: str
) -> None:
    """Times fall with the rate to the power 1/2 and with the decay to the power given / 2."""

    def seed(p: float) -> Any:
        return left(
            lambda _, rate, decay: 2 / (rate**0.5 * decay ** (p / 2)) if p < 1 else 8 / decay
        )

    found = verdict_of("lyle2025.2", *map(seed, power))
    assert found.verdict == verdict
    if verdict == "holds":
        assert found.effect == pytest.approx(0.5 - 0.1, abs=0.01)


def test_2_two_times_that_were_not_reached_tell_nothing(verdict_of: Judge) -> None:
    seeds = [left(lambda p, rate, decay: 10 if rate == 0.01 else None)] * 3
    found = verdict_of("lyle2025.2", *seeds)
    assert (found.verdict, found.n) == ("inconclusive", 0)


@pytest.mark.parametrize(
    ("best", "verdict"),
    [
        ([0.21, 0.25, 0.22], "holds"),
        ([0.9, 0.95, 0.92], "fails"),
        ([0.2, 0.3, 0.4], "inconclusive"),
    ],
)
def test_3a_norm_layers_prevent_it(verdict_of: Judge, best: list[float], verdict: str) -> None:
    assert verdict_of("lyle2025.3a", *[right(b, 1.0, 1.0) for b in best]).verdict == verdict


def test_3a_a_network_that_has_not_memorised_tells_nothing(verdict_of: Judge) -> None:
    """Low on the test set it is as well, though for another reason."""
    seeds = [right(0.21, 1.0, 1.0, memorised=m) for m in (1.0, 0.99, 0.995, 0.9)]
    found = verdict_of("lyle2025.3a", *seeds)
    assert (found.verdict, found.n, found.left_out) == ("inconclusive", 3, (3,))
    assert "99%" in found.why


@pytest.mark.parametrize(
    ("best", "verdict"),
    [([0.99, 1.0, 0.98], "holds"), ([0.3, 0.4, 0.3], "fails"), ([0.99, 0.5, 1.0], "inconclusive")],
)
def test_3b_scale_decay_brings_it_back(verdict_of: Judge, best: list[float], verdict: str) -> None:
    seeds = [right(0.3, 1.0, b) for b in best]
    assert verdict_of("lyle2025.3b", *seeds).verdict == verdict


@pytest.mark.parametrize("claim", ["1a", "1b", "2", "3a", "3b"])
def test_what_lacks_arms_is_not_run(verdict_of: Judge, claim: str) -> None:
    config = {"optimizer": {"lr": 0.1}, "interventions": [{"kind": "scale_decay"}]}
    assert verdict_of(f"lyle2025.{claim}", {"a": (config, {})}).verdict == "not run"
    assert verdict_of(f"lyle2025.{claim}").verdict == "not run"
