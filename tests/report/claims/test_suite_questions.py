"""Our own claims, on the MLP and on norm against effective rate, on made-up curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
TOTAL = 1000
NAP = {"kind": "nap", "every": 1}
RATES = {
    "constant": {"kind": "constant", "value": 1.0},
    "low": {"kind": "constant", "value": 0.03},
    "rewarmed": {"kind": "delayed", "offset": {"fraction": 0.4}},
}


def rising(step: float | None, last: float = 1.0) -> Any:
    if step is None:
        return {("accuracy", "test"): [(1, 0.1), (TOTAL, 0.3)]}
    return {("accuracy", "test"): [(1, 0.1), (step * 0.99, 0.3), (step, last), (TOTAL, last)]}


def mlp(free: float | None = None, pinned: float | None = 100, **last: float) -> dict[str, Any]:
    """Return the arms of the MLP: when the constant ones grok, and where the re-warmed ones end.

    `last` is by ``none_free``, ``none_pinned``, ``rms_free``, ``rms_pinned``.
    """
    arms = {}
    for layers in ("none", "rms"):
        for norm, when in (("free", free), ("pinned", pinned)):
            for rate, schedule in RATES.items():
                config = {
                    "model": {"norm": layers},
                    "interventions": [NAP] if norm == "pinned" else [],
                    "schedule": schedule,
                    "budget": TOTAL,
                }
                step = when if rate == "constant" else 1 if rate == "low" else 500
                end = 0.3 if rate == "low" else last.get(f"{layers}_{norm}", 0.3)
                rows = rising(when) if rate == "constant" else rising(step, end)
                arms[f"{layers},{norm},{rate}"] = (config, rows)
    return arms


@pytest.mark.parametrize("claim", ["1a", "1b"])
@pytest.mark.parametrize(
    ("free", "verdict"),
    [([None, 800, 900], "holds"), ([50, 45, 55], "fails"), ([None, 20, 100], "inconclusive")],
)
def test_1_projection_helps(
    verdict_of: Judge, claim: str, free: list[float | None], verdict: str
) -> None:
    seeds = [mlp(free=when) for when in free]
    assert verdict_of(f"suite.mlp_transfer.{claim}", *seeds).verdict == verdict


@pytest.mark.parametrize(("claim", "key"), [("2a", "rms_pinned"), ("2b", "none_pinned")])
@pytest.mark.parametrize(
    ("last", "verdict"),
    [([0.9, 0.95, 1.0], "holds"), ([0.3, 0.31, 0.3], "fails"), ([0.3, 0.9, 0.5], "inconclusive")],
)
def test_2_re_warming_helps(
    verdict_of: Judge, claim: str, key: str, last: list[float], verdict: str
) -> None:
    seeds = [mlp(**{key: value}) for value in last]
    found = verdict_of(f"suite.mlp_transfer.{claim}", *seeds)
    assert found.verdict == verdict
    assert found.effect == pytest.approx(sum(last) / 3 - 0.3)


@pytest.mark.parametrize(
    ("free", "verdict"),
    [([0.3, 0.35, 0.3], "holds"), ([0.95, 0.96, 1.0], "fails"), ([0.3, 1.0, 0.95], "inconclusive")],
)
def test_3_re_warming_needs_projection(verdict_of: Judge, free: list[float], verdict: str) -> None:
    seeds = [mlp(rms_free=f, none_free=f, rms_pinned=0.9, none_pinned=0.9) for f in free]
    assert verdict_of("suite.mlp_transfer.3", *seeds).verdict == verdict


def grid(norm: float, rate: float) -> dict[str, Any]:
    """Return nine arms that grok at 200 steps times powers of norm and effective rate."""
    arms = {}
    for factor in (0.5, 1.0, 2.0):
        for value in (0.5, 1.0, 2.0):
            config = {
                "model": {"factor": factor},
                "schedule": {"kind": "constant", "value": value},
                "budget": TOTAL,
            }
            arms[f"{factor},{value}"] = (config, rising(200 * factor**norm * value**rate))
    return arms


@pytest.mark.parametrize(
    ("claim", "powers", "verdict"),
    [
        ("1", [(0, -1), (0, -0.9), (1, -1.1)], "holds"),
        ("1", [(0, 0), (0, 0.1), (0, 0.05)], "fails"),
        ("1", [(0, -1), (0, -0.1), (0, -0.4)], "inconclusive"),
        ("2", [(0, -1), (0.1, -1), (-0.1, -1)], "holds"),
        ("2", [(1, -1), (1.1, -1), (0.9, -1)], "fails"),
        ("2", [(0, -1), (1, -1), (0.4, -1)], "inconclusive"),
        ("4", [(0, -1), (0, -0.9), (1, -1.1)], "holds"),
        ("4", [(0, 0), (0, 0.1), (0, 0.05)], "fails"),
        ("4", [(0, -1), (0, -0.1), (0, -0.4)], "inconclusive"),
        ("5", [(0, -1), (0.1, -1), (-0.1, -1)], "holds"),
        ("5", [(1, -1), (1.1, -1), (0.9, -1)], "fails"),
        ("5", [(0, -1), (1, -1), (0.4, -1)], "inconclusive"),
        ("3", [(0, -1), (0.2, -1), (-0.1, -1)], "holds"),
        ("3", [(1, 0), (1.1, 0.1), (-1, 0)], "fails"),
        ("3", [(1, 0), (0, 1), (0.5, 0.5)], "inconclusive"),
    ],
)
def test_norm_or_elr(
    verdict_of: Judge, claim: str, powers: list[tuple[float, float]], verdict: str
) -> None:
    seeds = [grid(norm, rate) for norm, rate in powers]
    found = verdict_of(f"suite.norm_or_elr.{claim}", *seeds)
    assert found.verdict == verdict
    if claim == "1":
        assert found.effect == pytest.approx(sum(rate for _, rate in powers) / 3, abs=0.02)


@pytest.mark.parametrize(
    "claim",
    [*(f"mlp_transfer.{c}" for c in ("1a", "1b", "2a", "2b", "3")),
     *(f"norm_or_elr.{c}" for c in ("1", "2", "3", "4", "5"))],
)  # fmt: skip
def test_what_lacks_arms_is_not_run(verdict_of: Judge, claim: str) -> None:
    some = {"0.5,0.5": grid(0, -1)["0.5,0.5"]} if "elr" in claim else {"a": ({}, {})}
    assert verdict_of(f"suite.{claim}", some).verdict == "not run"
    assert verdict_of(f"suite.{claim}").verdict == "not run"
