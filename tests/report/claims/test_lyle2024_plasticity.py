"""Claims on norms and plasticity in streams, on made-up curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
NOISE = (-0.002, 0.0, 0.002)
STARTS = (0, 100, 200)
END = 300


def arm(config: dict[str, Any], **metrics: tuple[float, ...] | float) -> Any:
    """Return an arm with metrics at the ends of its three tasks, or one number throughout."""
    base = {"interventions": [], "model": {"norm": "layer", "activation": "relu"}}
    base["optimizer"] = {"kind": "adam"}
    layers = {"loss": "train", "parameter_norm": "all", "dead_units": "4"}
    points: dict[tuple[str, str], Any] = {("phase", ""): [(s, i) for i, s in enumerate(STARTS)]}
    for name, values in metrics.items():
        ends = values if isinstance(values, tuple) else (values,) * 3
        steps = (*STARTS[1:], END)
        points[name, layers.get(name, "")] = list(zip(steps, ends, strict=True))
    return {**base, **config}, points


NAP = {"interventions": [{"kind": "nap"}]}
NONE = {"model": {"norm": "none", "activation": "relu"}}


def n3(noise: float, *, nap: float, layer: float, none: float, up: float = 2.0) -> dict[str, Any]:
    """Return the arms of Fig. 2 with these losses at the last task; 0.1 at the first."""
    return {
        "no_norm": arm(
            NONE,
            loss=(0.1, 0.2, none + noise),
            parameter_norm=(1.0, 1.5, up + noise),
            jacobian_norm=(1.0, 1.2, up + noise),
        ),
        "layer_norm": arm(
            {},
            loss=(0.1, 0.1, layer + noise),
            parameter_norm=(1.0, 1.5, up + noise),
            jacobian_norm=(1.0, 0.7, 1 / up + noise),
        ),
        "nap": arm(NAP, loss=(0.1, 0.3, nap + noise / 10)),
    }


@pytest.mark.parametrize(
    ("claim", "effect"),
    [("3a", 1.0), ("3b", 2.0), ("3c", 1.5), ("4a", 2.0), ("4b", 0.5), ("4c", 2.0)],
)
def test_losses_and_norms_over_tasks(verdict_of: Judge, claim: str, effect: float) -> None:
    good = [n3(noise, nap=0.1, layer=0.2, none=0.3) for noise in NOISE]
    bad = [n3(noise, nap=0.2, layer=0.05, none=0.01, up=0.5) for noise in NOISE]
    found = verdict_of(f"lyle2024.{claim}", *good)
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(effect, rel=0.02)
    assert verdict_of(f"lyle2024.{claim}", *bad).verdict == "fails"


METHODS = ("relu", "l2", "l2_init", "shrink_perturb", "redo", "leaky_relu", "update_noise")


def n9(noise: float, spread: float, gain: float, leave: str = "") -> dict[str, Any]:
    """Return seven methods, `spread` apart; with NaP they are 0.12 apart and gain at least this."""
    arms = {}
    for place, name in enumerate(METHODS):
        free = 0.4 + spread * place / 6 + noise / 10
        nap = 0.4 + spread + gain - 0.1 + 0.1 * place / 6  # leaky_relu and later gain the least
        if name == "redo":  # loses with NaP, which the claim allows
            nap = 0.4 + spread + gain - 0.12
        for is_nap, value in ((False, free), (True, nap)):
            entries = [{"kind": name}] if "relu" not in name else []
            model = {"norm": "layer", "activation": name if name == "leaky_relu" else "relu"}
            config = {"interventions": entries + [{"kind": "nap"}] * is_nap, "model": model}
            if name != leave:
                arms[f"{name},{is_nap}"] = arm(config, average_online_accuracy=value)
    return arms


def test_spread_and_gain_of_methods(verdict_of: Judge) -> None:
    good = [n9(noise, 0.3, 0.05) for noise in NOISE]
    assert verdict_of("lyle2024.5a", *good).effect == pytest.approx(0.3 / 0.12)
    assert verdict_of("lyle2024.5b", *good).verdict == "holds"
    assert verdict_of("lyle2024.5b", *good).effect == pytest.approx(0.05, abs=0.001)
    bad = [n9(noise, 0.3, -0.05) for noise in NOISE]
    assert verdict_of("lyle2024.5b", *bad).verdict == "fails"
    narrow = [n9(noise, 0.01, 0.05) for noise in NOISE]
    assert verdict_of("lyle2024.5a", *narrow).verdict == "fails"


@pytest.mark.parametrize("claim", ["5a", "5b"])
def test_all_seven_methods_are_asked_for_and_each_once(verdict_of: Judge, claim: str) -> None:
    without = verdict_of(f"lyle2024.{claim}", n9(0.0, 0.3, 0.05, leave="update_noise"))
    assert (without.verdict, without.n) == ("not run", 0)
    assert "without NaP: update_noise" in without.why
    twice = n9(0.0, 0.3, 0.05)
    twice["l2 again,False"] = twice["l2,False"]
    found = verdict_of(f"lyle2024.{claim}", twice)
    assert found.n == 0
    assert "several arms with l2" in found.why
    more = n9(0.0, 0.3, 0.05)
    config = {"interventions": [{"kind": "reset"}], "model": {"activation": "relu"}}
    more["reset,False"] = arm(config, average_online_accuracy=0.0)
    effect = verdict_of(f"lyle2024.{claim}", n9(0.0, 0.3, 0.05)).effect
    assert verdict_of(f"lyle2024.{claim}", more).effect == effect


def n1(noise: float, none: float, behind: float) -> dict[str, Any]:
    """Return the arms of Fig. 1 with these shares of dead units."""
    shares = {
        ("none", "before"): none + noise,
        ("rms", "before"): 0.1,
        ("layer", "before"): 0.2,
        ("rms", "after"): behind,
        ("layer", "after"): behind + 0.1,
    }
    found = {}
    for optimizer in ("sgd", "adam"):
        for (norm, place), dead in shares.items():
            model = {"norm": norm, "norm_place": place}
            config = {"model": model, "optimizer": {"kind": optimizer}}
            found[f"{optimizer},{norm},{place}"] = arm(config, dead_units=dead)
    return found


@pytest.mark.parametrize(
    ("claim", "none", "behind", "effect", "verdict"),
    [
        ("6a", 0.5, 0.5, 0.3, "holds"),
        ("6a", 0.1, 0.5, -0.1, "fails"),
        ("6b", 0.5, 0.6, 0.1, "holds"),
        ("6b", 0.5, 0.48, -0.02, "holds"),
        ("6b", 0.5, 0.3, -0.2, "fails"),
    ],
)
def test_dead_units_by_norm_layer_and_its_place(
    verdict_of: Judge, claim: str, none: float, behind: float, effect: float, verdict: str
) -> None:
    found = verdict_of(f"lyle2024.{claim}", *[n1(noise, none, behind) for noise in NOISE])
    assert found.verdict == verdict
    assert found.effect == pytest.approx(effect)


@pytest.mark.parametrize("claim", ["3a", "3b", "3c", "4b", "5a", "5b", "6a", "6b"])
def test_a_seed_without_the_arms_is_not_counted(verdict_of: Judge, claim: str) -> None:
    alone = {"odd": arm({"model": {"norm": "batch", "activation": "relu"}}, loss=0.1)}
    assert verdict_of(f"lyle2024.{claim}", alone).verdict == "not run"
