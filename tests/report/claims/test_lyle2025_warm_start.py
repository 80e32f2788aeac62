"""Claims on warm starts, on made-up curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
TOTAL, START = 100, 40


def arm(
    fraction: float,
    accuracy: float,
    *,
    nap: bool,
    rates: dict[str, float] | None = None,
    schedule: dict[str, Any] | None = None,
    augment: str = "none",
    after: Mapping[str, float] | None = None,
) -> Any:
    """Return an arm that ends at an accuracy; `after` are other metrics in the second phase."""
    config = {
        "task": {
            "phases": [{"fraction": fraction}, {"fraction": 1.0}],
            "augment": augment,
        },
        "interventions": [{"kind": "nap"}] if nap else [],
        "optimizer": {"lr": 0.01, "rate_by_role": rates or {}},
        "schedule": schedule or {"kind": "task_aligned"},
    }
    metrics: dict[tuple[str, str], Any] = {
        ("accuracy", "test"): [(0, 0.1), (START, 0.5), (TOTAL, accuracy)],
        ("phase", ""): [(0, 0.0), (START, 1.0)],
    }
    for name, value in (after or {}).items():
        layers = ["all"] if name == "update_norm" else ["1", "4", "mean"]
        for layer in layers:
            points = [(s, 1.0 if s <= START else value) for s in range(10, TOTAL + 1, 2)]
            metrics[name, layer] = points
    return config, metrics


def fig4(free: float, nap: float, change: float = 0.5, update: float = 1.0) -> dict[str, Any]:
    """Return the arms of Fig. 4 with these gaps and ratios of the second phase."""
    arms = {}
    for name, is_nap, lost in (("free", False, free), ("nap", True, nap)):
        scale = 1.0 if is_nap else change
        more = {
            "feature_covariance_change": 0.2 * scale,
            "activation_pattern_change": 0.1 * scale,
            "update_norm": 3.0 * (1.0 if is_nap else update),
        }
        arms[f"{name},ten"] = arm(0.1, 0.8 - lost, nap=is_nap, after=more)
        arms[f"{name},half"] = arm(0.5, 0.8, nap=is_nap, after=more)
        arms[f"{name},all"] = arm(1.0, 0.8, nap=is_nap, after=more)
        arms[f"{name},augmented"] = arm(0.1, 0.2, nap=is_nap, augment="crop_flip", after=more)
    return arms


NOISE = (-0.002, 0.0, 0.002)


@pytest.mark.parametrize(
    ("claim", "holds", "fails"),
    [
        ("6a", {"free": 0.1, "nap": 0.0}, {"free": 0.1, "nap": 0.05}),
        ("6b", {"free": 0.1, "nap": 0.0}, {"free": 0.0, "nap": 0.05}),
    ],
)
def test_gaps(
    verdict_of: Judge, claim: str, holds: dict[str, float], fails: dict[str, float]
) -> None:
    for verdict, values in (("holds", holds), ("fails", fails)):
        seeds = [fig4(values["free"], values["nap"] + noise) for noise in NOISE]
        found = verdict_of(f"lyle2025.{claim}", *seeds)
        assert found.verdict == verdict
        wanted = values["nap"] if claim == "6a" else values["free"] - values["nap"]
        assert found.effect == pytest.approx(wanted, abs=1e-9)


def test_changes_of_features_and_updates_are_ratios_in_the_second_phase(verdict_of: Judge) -> None:
    def seeds(change: float, update: float) -> list[dict[str, Any]]:
        return [fig4(0.1, 0.0, change + noise, update + noise) for noise in NOISE]

    assert verdict_of("lyle2025.7a", *seeds(0.5, 1.0)).effect == pytest.approx(0.5)
    assert verdict_of("lyle2025.7a", *seeds(0.5, 1.0)).verdict == "holds"
    assert verdict_of("lyle2025.7a", *seeds(1.5, 1.0)).verdict == "fails"
    assert verdict_of("lyle2025.7b", *seeds(0.5, 0.9)).effect == pytest.approx(0.9)
    assert verdict_of("lyle2025.7b", *seeds(0.5, 0.9)).verdict == "holds"
    assert verdict_of("lyle2025.7b", *seeds(0.5, 0.5)).verdict == "fails"


def fig5r(best: float, worst: float) -> dict[str, Any]:
    """Return the arms of Fig. 5 right; the two in between end at 0.75."""
    arms = {}
    for nap in (True, False):
        for kind in ("triggered", "warmup_cosine"):
            both, neither = nap and kind == "triggered", not nap and kind != "triggered"
            end = best if both else worst if neither else 0.75
            for fraction, value in ((0.1, end), (1.0, 0.9)):
                label = f"{nap},{kind},{fraction}"
                arms[label] = arm(fraction, value, nap=nap, schedule={"kind": kind})
    return arms


def test_both_parts_are_needed(verdict_of: Judge) -> None:
    good = [fig5r(0.8 + noise, 0.7 + noise) for noise in NOISE]
    bad = [fig5r(0.7 + noise, 0.8 + noise) for noise in NOISE]
    for claim in ("8a", "8b"):
        assert verdict_of(f"lyle2025.{claim}", *good).verdict == "holds"
        assert verdict_of(f"lyle2025.{claim}", *bad).verdict == "fails"
    assert verdict_of("lyle2025.8a", *good).effect == pytest.approx(0.05)
    assert verdict_of("lyle2025.8b", *good).effect == pytest.approx(0.05)


def test_misaligned_cycles(verdict_of: Judge) -> None:
    for lost, verdict in ((0.0, "holds"), (0.05, "fails")):
        seeds = [fig4(0.1, lost + noise) for noise in NOISE]
        assert verdict_of("lyle2025.9", *seeds).verdict == verdict


def fig5l(fast: float, slow: float) -> dict[str, Any]:
    """Return the arms of Fig. 5 left that lose so much after the smallest first phase."""
    arms = {}
    rates = {"constant": {}, "fast": {"output": 0.1}, "slow": {"weight": 0.1}}
    lost = {"constant": 0.02, "fast": 0.02 + fast, "slow": 0.02 + slow}
    for name, by_role in rates.items():
        arms[f"{name},ten"] = arm(0.1, 0.8 - lost[name], nap=True, rates=by_role)
        arms[f"{name},all"] = arm(1.0, 0.8, nap=True, rates=by_role)
    config, metrics = arm(0.1, 0.1, nap=True)
    arms["even,ten"] = ({**config, "interventions": [{"kind": "even_ratio_abs"}]}, metrics)
    return arms


def test_rates_by_layer(verdict_of: Judge) -> None:
    good = [fig5l(noise, 0.1 + noise) for noise in NOISE]
    bad = [fig5l(0.05 + noise, -0.01 + noise / 10) for noise in NOISE]
    for claim in ("10a", "10b"):
        assert verdict_of(f"lyle2025.{claim}", *good).verdict == "holds"
        assert verdict_of(f"lyle2025.{claim}", *bad).verdict == "fails"
    assert verdict_of("lyle2025.10b", *good).effect == pytest.approx(0.1)


def fig13(lost: float, jump: float) -> dict[str, Any]:
    """Return slow features with two second peaks; the high one loses so much and jumps so far."""
    arms = {}
    for peak, gap, rank in ((1.0, 0.1, 1.1), (10.0, lost, 1.1 * jump)):
        schedule = {"kind": "growing_cycles", "peaks": [1.0, peak]}
        for fraction, end in ((0.1, 0.8 - gap), (1.0, 0.8)):
            arms[f"{peak},{fraction}"] = arm(
                fraction,
                end,
                nap=True,
                rates={"weight": 0.1},
                schedule=schedule,
                after={"feature_rank": rank},
            )
    return arms


def test_a_second_peak_that_is_higher(verdict_of: Judge) -> None:
    good = [fig13(noise, 3.0 + noise) for noise in NOISE]
    bad = [fig13(0.05 + noise, 0.8 + noise) for noise in NOISE]
    for claim in ("10c", "10d"):
        assert verdict_of(f"lyle2025.{claim}", *good).verdict == "holds"
        assert verdict_of(f"lyle2025.{claim}", *bad).verdict == "fails"
    assert verdict_of("lyle2025.10d", *good).effect == pytest.approx(3.0)


@pytest.mark.parametrize("claim", ["6a", "8a", "9", "10b", "10c"])
def test_a_seed_without_the_arms_is_not_counted(verdict_of: Judge, claim: str) -> None:
    assert (
        verdict_of(f"lyle2025.{claim}", {"nap,ten": arm(0.1, 0.8, nap=True)}).verdict == "not run"
    )
