"""Claims on diagonal networks, matrix completion and label noise: all verdicts of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from suite.report.claims.base import CLAIMS

RATE, DECAY = 0.1, 1e-3
UNIT = 1 / (RATE * DECAY)
END = 10 * UNIT
STEPS = [0.0, 1.0, *np.geomspace(2, END, 300)]
FITTED = 100


def flat(before: float, after: float, at: float) -> list[tuple[float, float]]:
    return [(s, before if s < at else after) for s in STEPS]


def diagonal(
    *,
    fit: float = 20.0,
    rise: float = 3 * UNIT,
    test: tuple[float, float] = (0.52, 1.0),
    cosine: float = 0.99,
    share: float = 0.97,
    train: float = 1.0,
) -> Any:
    late = [(s, a if s < UNIT else train) for s, a in flat(0.5, 1.0, fit)]
    return {
        "only": (
            {},
            {
                ("accuracy", "train"): late,
                ("accuracy", "test"): flat(*test, rise),
                ("max_margin_cosine", ""): flat(cosine, 0.1, rise),
                ("true_coordinates", ""): flat(0.01, share, rise),
            },
        )
    }


D, SHARE = 49, 0.1
KERNEL = float(np.mean(np.outer(np.arange(D), np.arange(D)) ** 2.0) / D**4) * (1 - SHARE)


def completed(
    *,
    half: float = 2.0,
    alpha: float = 10.0,
    rate: float = RATE,
    level: float = 1.0,
    last: float = 1e-3,
    train: float = 1e-5,
    unseen: float = 1e-3,
    bent: float = 0.0,
    turned: float = 0.0,
) -> Any:
    """An arm whose test loss falls at `half`, in times 1 / (rate decay)."""
    unit = 1 / (rate * DECAY)
    first = KERNEL / (1 - SHARE)
    at = half * unit
    test = [(0.0, first), *((s, level * KERNEL) for s in STEPS[1:] if s < at)]
    test += [(s, last) for s in STEPS if s >= at]
    norm = [(s, 140 * math.exp(-s / unit) * (1 + bent * (s > 10))) for s in STEPS]
    config = {
        "task": {"size": D, "fraction": SHARE},
        "model": {"scale": alpha},
        "optimizer": {"lr": rate},
        "interventions": [{"kind": "weight_decay", "coefficient": DECAY}],
    }
    return config, {
        ("loss", "test"): test,
        ("loss", "train"): flat(0.1, train, 50),
        ("unseen_entry", ""): flat(unseen, 0.5, at),
        ("parameter_norm", "all"): norm,
        ("start_cosine", "all"): [(s, 1 - turned * (s > 10)) for s in STEPS],
    }


def one(**keys: float) -> Any:
    return {"only": completed(**keys)}


def two_scales(early: float, late: float) -> Any:
    return {
        "small": completed(half=early, alpha=4.0),
        "large": completed(half=late, alpha=16.0),
    }


def noisy(exponent: float = -2.0, flow: float = 0.8, last: float = 0.02) -> Any:
    def make(rate: float, noise: float, at: float, end: float) -> Any:
        task = {"active": 2, "noise": noise}
        loss = [(s, 1.8) for s in STEPS if s < at] + [(s, 2 * end) for s in STEPS if s >= at]
        return {"task": task, "optimizer": {"lr": rate}}, {("loss", "test"): loss}

    arms = {f"r{r}": make(r, 1.0, 5e3 * (r / 0.01) ** exponent, last) for r in (0.01, 0.005)}
    return {"flow": make(0.005, 0.0, 50.0, flow), **arms}


CASES: dict[str, tuple[Callable[[float], Mapping[str, Any]], float, float]] = {
    "lyu2024.7a": (lambda x: diagonal(rise=x), 2 * UNIT, 60.0),
    "lyu2024.7b": (lambda x: diagonal(test=(0.52, x)), 0.996, 0.9),
    "lyu2024.8a": (lambda x: diagonal(cosine=x), 0.98, 0.8),
    "lyu2024.8b": (lambda x: diagonal(share=x), 0.98, 0.7),
    "lyu2024.9a": (lambda x: diagonal(test=(x, 0.5)), 0.996, 0.9),
    "lyu2024.9b": (lambda x: diagonal(test=(1.0, x)), 0.52, 0.7),
    "lyu2024.9c": (lambda x: diagonal(train=min(x, 1.0)), 1.01, 0.9),
    "lyu2024.10a": (lambda x: one(train=x), 1e-4, 1e-2),
    "lyu2024.10b": (lambda x: one(level=x), 1.0, 0.7),
    "lyu2024.10c": (lambda x: one(unseen=x), 1e-3, 0.1),
    "lyu2024.10d": (lambda x: one(last=x), 1e-4, 0.03),
    "lyu2024.5c": (lambda x: one(bent=x), 0.01, 0.2),
    "lyu2024.5d": (lambda x: one(turned=x), 0.02, 0.4),
    "lyu2024.11a": (lambda x: two_scales(1.0, x), 2.0, 3.0),
    "lyu2024.11b": (lambda x: two_scales(1.0, 1 + x * math.log(4)), 1.0, 0.3),
    "lyu2024.12": (lambda x: {"a": completed(), "b": completed(rate=0.05, half=x)}, 2.02, 3.0),
    "lyu2024.13a": (lambda x: noisy(flow=x), 0.5, 0.02),
    "lyu2024.13b": (lambda x: noisy(last=x), 0.01, 0.5),
    "lyu2024.13c": (lambda x: noisy(exponent=x), -2.0, -1.0),
}


def test_every_claim_of_the_files_is_here() -> None:
    own = {f"suite.report.claims.lyu2024_{part}" for part in ("diagonal", "completion")}
    own.add("suite.report.claims.lyu2024_label_noise")
    assert set(CASES) == {k for k, c in CLAIMS.entries().items() if c.function.__module__ in own}


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name: str, verdict_of: Callable[..., Any]) -> None:
    make, good, bad = CASES[name]
    nearby = [make(good * (1 + e)) for e in (-0.001, 0.0, 0.001)]
    assert verdict_of(name, *nearby).verdict == "holds"
    far = [make(bad * (1 + e)) for e in (-0.001, 0.0, 0.001)]
    assert verdict_of(name, *far).verdict == "fails"
    assert verdict_of(name, make(good), make(bad), make(good)).verdict == "inconclusive"
    assert verdict_of(name).verdict == "not run"
    assert verdict_of(name, {"other": ({}, {})}).verdict == "not run"
