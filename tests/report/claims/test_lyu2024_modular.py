"""Claims on modular addition: each holds, fails, is inconclusive and is not run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from suite.report.claims.base import CLAIMS

RATE, DECAY = 0.5, 1e-3
UNIT = 1 / (RATE * DECAY)
END = 20 * UNIT
STEPS = [0.0, *np.geomspace(1, END, 400)]


def sigmoid(half: float, sharp: float) -> list[tuple[float, float]]:
    """An accuracy that rises through 50% at `half`; a larger `sharp` makes it rise faster."""
    return [(s, 1 / (1 + (half / s) ** sharp) if s else 0.0) for s in STEPS]


def step_up(at: float) -> list[tuple[float, float]]:
    return [(s, float(s >= at)) for s in STEPS]


def arm(
    fit: float = 50.0,
    half: float = 4 * UNIT,
    sharp: float = 12.0,
    *,
    scale: float = 1.0,
    decay: float = DECAY,
    bent: float = 0.0,
    turned: float = 0.0,
    lost: float = 0.0,
) -> Any:
    """An arm whose norm falls as decay says, `bent` off; whose direction is `turned` at once."""
    train = [(s, a if s < 10 * UNIT else a - lost) for s, a in step_up(fit)]
    norm = [(s, 7 * math.exp(-s * RATE * decay) * (1 + bent * (s > 10))) for s in STEPS]
    config = {
        "model": {"scale": scale},
        "optimizer": {"lr": RATE},
        "interventions": [{"kind": "weight_decay", "coefficient": decay}],
    }
    return config, {
        ("accuracy", "train"): train,
        ("accuracy", "test"): sigmoid(half, sharp),
        ("parameter_norm", "all"): norm,
        ("start_cosine", "all"): [(s, 1 - turned * (s > 10)) for s in STEPS],
        ("log_time", ""): [(s, s / UNIT * 500) for s in STEPS],
    }


def scales(*halves: float, sharp: tuple[float, ...] = (8, 12, 16), **keys: float) -> Any:
    found = zip((1.0, 3.0, 9.0), halves, sharp, strict=True)
    return {f"s{a}": arm(half=h * UNIT, sharp=s, scale=a, **keys) for a, h, s in found}


def decays(*halves: float, lost: float = 0.0) -> Any:
    ladder = (1e-4, 3e-4, 1e-3, 3e-3)
    return {
        f"d{d}": arm(half=h, decay=d, lost=lost if d == 3e-3 else 0.0)
        for d, h in zip(ladder, [*halves, 50.0], strict=True)
    }


CASES: dict[str, tuple[Callable[[float], Mapping[str, Any]], float, float]] = {
    "lyu2024.1a": (lambda x: {"a": arm(fit=x)}, 100.0, END / 4),
    "lyu2024.1b": (lambda x: {"a": arm(half=x)}, 4 * UNIT, 30.0),
    "lyu2024.1c": (lambda x: {"a": arm(half=x)}, 4 * UNIT, END),
    "lyu2024.2a": (lambda x: scales(4, 4 * x, 4 * x**2), 1.5, 0.8),
    "lyu2024.2b": (lambda x: scales(4, 6, 6 + 2 * x), 1.1, 2.0),
    "lyu2024.3": (lambda x: decays(1e4, 1e4 / 3, 1e3 * x), 1.1, 2.0),
    "lyu2024.4": (lambda x: decays(1e4, 1e4 / 3, 1e3, lost=x), 0.5, 0.01),
    "lyu2024.5a": (lambda x: scales(4, 6, 8, bent=x), 0.01, 0.2),
    "lyu2024.5b": (lambda x: scales(4, 6, 8, turned=x), 0.02, 0.4),
    "lyu2024.6a": (lambda x: {"a": arm(sharp=x)}, 14.0, 4.0),
    "lyu2024.6b": (lambda x: scales(4, 6, 8, sharp=(8, 10, x)), 12.0, 6.0),
    "lyu2024.6c": (lambda x: {"a": arm(sharp=x, half=0.5 * UNIT)}, 1.5, 12.0),
    "lyu2024.6d": (lambda x: {"a": arm(half=x)}, 4 * UNIT, END),
}


def test_every_claim_of_the_file_is_here() -> None:
    own = "suite.report.claims.lyu2024_modular"
    assert set(CASES) == {k for k, c in CLAIMS.entries().items() if c.function.__module__ == own}


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name: str, verdict_of: Callable[..., Any]) -> None:
    make, good, bad = CASES[name]
    nearby = [good * (1 + e) for e in (-0.002, 0.0, 0.002)]
    assert verdict_of(name, *map(make, nearby)).verdict == "holds"
    assert verdict_of(name, *(make(bad * (1 + e)) for e in (-0.002, 0.0, 0.002))).verdict == "fails"
    assert verdict_of(name, make(good), make(bad), make(good)).verdict == "inconclusive"
    assert verdict_of(name, make(good)).verdict == "inconclusive", "no interval"
    assert verdict_of(name).verdict == "not run"
    assert verdict_of(name, {"other": ({}, {})}).verdict == "not run"


@pytest.mark.parametrize("claim", ["2a", "2b", "3", "6a", "6b"])
def test_times_that_are_never_reached_decide_nothing(
    claim: str, verdict_of: Callable[..., Any]
) -> None:
    never = {"3": decays(1e9, 1.2e4, 4e3), "6a": {"a": arm(half=1e9)}}
    arms = never.get(claim, scales(4, 1e9, 1e9))
    found = verdict_of(f"lyu2024.{claim}", *[arms] * 3)
    assert (found.verdict, found.n) == ("inconclusive", 0)


def test_a_bound_beyond_the_threshold_decides(verdict_of: Callable[..., Any]) -> None:
    assert verdict_of("lyu2024.2a", *[scales(4, 6, 1e9)] * 3).verdict == "holds"
    assert verdict_of("lyu2024.2a", *[scales(4, 1e9, 6)] * 3).verdict == "fails"


def test_a_training_set_that_is_never_fitted(verdict_of: Callable[..., Any]) -> None:
    unfitted = {"a": arm(fit=math.inf)}
    assert verdict_of("lyu2024.1a", *[unfitted] * 3).effect == 1.0
    assert verdict_of("lyu2024.1b", *[unfitted] * 3).verdict == "not run"
