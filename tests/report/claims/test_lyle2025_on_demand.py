"""Claims on grokking on demand and on the rank of attention, on made-up curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from suite.report.claims.base import Verdict
from suite.report.claims.lyle2025_on_demand import RANKS

Judge = Callable[..., Verdict]
TOTAL = 1000
OFFSETS = (0, 200, 500)


def arm(rate: float, offset: int, delay: float | None, flips: float, early: float) -> Any:
    """Return an arm that groks `delay` steps after its offset, or never."""
    accuracy: list[tuple[float, float]] = [(1, 0.1), (max(offset, 2), early)]
    if delay is not None:
        accuracy += [(offset + delay * 0.99 + 2, early), (offset + delay + 2, 1.0), (TOTAL, 1.0)]
    else:
        accuracy += [(TOTAL, early)]
    change = [
        (s, 0.01 * (flips if offset < s <= offset + 100 else 1.0)) for s in range(10, TOTAL + 1, 10)
    ]
    config = {
        "optimizer": {"lr": rate},
        "schedule": {"kind": "delayed", "offset": offset},
        "budget": TOTAL,
        "task": {"fraction": 0.2},
    }
    return config, {
        ("accuracy", "test"): accuracy,
        ("activation_pattern_change", "mean"): change,
    }


def three(
    delay: float | None = 50,
    flips: float = 10,
    early: float = 0.2,
    low_flips: float = 1.5,
    low: float = 0.2,
) -> dict[str, Any]:
    """Return the arms of Fig. 3 of one seed."""
    arms = {f"high,{o}": arm(0.01, o, delay, flips, early) for o in OFFSETS}
    return arms | {f"low,{o}": arm(0.001, o, None, low_flips, low) for o in OFFSETS}


CASES: dict[str, tuple[str, Sequence[Any], Sequence[Any], Sequence[Any]]] = {
    "4a": ("delay", [50, 60, 80], [None, None, None], [50, None, 50]),
    "4b": ("early", [0.2, 0.21, 0.22], [0.6, 0.7, 0.65], [0.2, 0.4, 0.2]),
    "4c": ("low", [0.2, 0.21, 0.22], [0.6, 0.7, 0.65], [0.2, 0.4, 0.2]),
    "5a": ("flips", [8, 10, 9], [1.0, 1.2, 1.1], [1, 10, 3]),
    "5b": ("low_flips", [1.0, 1.2, 1.1], [8, 10, 9], [1, 10, 3]),
}


@pytest.mark.parametrize("claim", CASES)
@pytest.mark.parametrize("verdict", ["holds", "fails", "inconclusive"])
def test_figure_3(verdict_of: Judge, claim: str, verdict: str) -> None:
    key, *values = CASES[claim]
    chosen = values[["holds", "fails", "inconclusive"].index(verdict)]
    seeds = [three(**{key: value}) for value in chosen]
    assert verdict_of(f"lyle2025.{claim}", *seeds).verdict == verdict


def test_4a_is_the_longest_delay_as_a_share_of_the_budget(verdict_of: Judge) -> None:
    found = verdict_of("lyle2025.4a", *[three(delay=100)] * 3)
    assert found.effect == pytest.approx(0.1, abs=0.005)
    slow = three() | {"high,500": arm(0.01, 500, 400, 10, 0.2)}
    assert verdict_of("lyle2025.4a", *[slow] * 3).effect == pytest.approx(0.4, abs=0.005)


def test_5_compares_after_with_before(verdict_of: Judge) -> None:
    assert verdict_of("lyle2025.5a", *[three(flips=7)] * 3).effect == pytest.approx(7)
    assert verdict_of("lyle2025.5b", *[three(low_flips=2)] * 3).effect == pytest.approx(2)


def eight(*arms: tuple[bool, float]) -> dict[str, Any]:
    """Return arms of Fig. 8 by (whether it groks, share of its rank at memorisation left)."""
    return {
        str(index): (
            {},
            {
                ("accuracy", "test"): [(1, 0.1), (100, 0.3), (900, 1.0 if groks else 0.3)],
                ("accuracy", "train"): [(1, 0.1), (100, 1.0), (900, 1.0)],
                **{
                    (metric, "attention_output"): [(1, 20), (100, 32), (900, 32 * share)]
                    for metric in RANKS
                },
            },
        )
        for index, (groks, share) in enumerate(arms)
    }


@pytest.mark.parametrize(
    ("left", "verdict"),
    [([0.5, 0.6, 0.55], "holds"), ([1.1, 1.2, 1.15], "fails"), ([0.5, 1.2, 0.9], "inconclusive")],
)
@pytest.mark.parametrize("claim", ["fig8a", "fig8c", "fig8e"])
def test_fig8a_rank_falls(verdict_of: Judge, claim: str, left: list[float], verdict: str) -> None:
    seeds = [eight((True, share), (False, 0.1)) for share in left]
    assert verdict_of(f"lyle2025.{claim}", *seeds).verdict == verdict


@pytest.mark.parametrize(
    ("left", "verdict"),
    [([0.5, 0.6, 0.55], "holds"), ([1.2, 1.25, 1.3], "fails"), ([0.5, 1.5, 1.0], "inconclusive")],
)
@pytest.mark.parametrize("claim", ["fig8b", "fig8d", "fig8f"])
def test_fig8b_falls_further(
    verdict_of: Judge, claim: str, left: list[float], verdict: str
) -> None:
    seeds = [eight((True, share), (False, 1.0)) for share in left]
    found = verdict_of(f"lyle2025.{claim}", *seeds)
    assert found.verdict == verdict


def test_seeds_without_both_kinds_of_arms_are_left_out(verdict_of: Judge) -> None:
    assert verdict_of("lyle2025.fig8b", eight((True, 0.5))).verdict == "not run"
    assert verdict_of("lyle2025.fig8a", eight((False, 0.5))).verdict == "not run"
    seeds = [eight((True, 0.5), (False, 1.0))] * 3 + [eight((True, 0.5))]
    assert verdict_of("lyle2025.fig8b", *seeds).left_out == (3,)


def test_each_definition_of_the_rank_has_claims_of_its_own(verdict_of: Judge) -> None:
    """The effective rank may fall where the rank by 1% stays at its ceiling."""
    seed = eight((True, 1.0), (False, 1.0))
    for _, points in seed.values():
        points["attention_effective_rank", "attention_output"] = [(100, 20), (900, 10)]
    found = {c: verdict_of(f"lyle2025.fig8{c}", *[seed] * 3) for c in "ace"}
    assert {c: v.effect for c, v in found.items()} == {"a": 1.0, "c": 1.0, "e": 0.5}


@pytest.mark.parametrize("claim", [*CASES, *(f"fig8{letter}" for letter in "abcdef")])
def test_what_lacks_arms_is_not_run(verdict_of: Judge, claim: str) -> None:
    only = {"high,0": three()["high,0"]}
    assert verdict_of(f"lyle2025.{claim}", only).verdict == "not run"
    assert verdict_of(f"lyle2025.{claim}").verdict == "not run"
