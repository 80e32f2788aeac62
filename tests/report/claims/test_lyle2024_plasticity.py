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


def n9(noise: float, spread: float, gain: float) -> dict[str, Any]:
    """Return four methods; with NaP their spread is 0.1 and the least gain is as given."""
    arms = {}
    names = ("relu", "l2", "redo", "leaky_relu")
    for place, name in enumerate(names):
        free = 0.4 + spread * place / 3 + noise / 10
        # ReDo loses with NaP, which the claim allows.
        nap = free - 0.02 if name == "redo" else 0.4 + spread + gain - 0.1 + 0.1 * place / 3
        for is_nap, value in ((False, free), (True, nap)):
            entries = [{"kind": name}] if name in ("l2", "redo") else []
            model = {"norm": "layer", "activation": name if name == "leaky_relu" else "relu"}
            config = {"interventions": entries + [{"kind": "nap"}] * is_nap, "model": model}
            arms[f"{name},{is_nap}"] = arm(config, average_online_accuracy=value)
    return arms


def test_spread_and_gain_of_methods(verdict_of: Judge) -> None:
    good = [n9(noise, 0.3, 0.05) for noise in NOISE]
    assert verdict_of("lyle2024.5a", *good).effect == pytest.approx(
        0.3 / (0.45 + 0.3 - 0.2 - (0.4 + 0.2 - 0.02) + 0.2), rel=0.5
    )
    assert verdict_of("lyle2024.5b", *good).verdict == "holds"
    assert verdict_of("lyle2024.5b", *good).effect == pytest.approx(0.05, abs=0.001)
    bad = [n9(noise, 0.3, -0.05) for noise in NOISE]
    assert verdict_of("lyle2024.5b", *bad).verdict == "fails"
    narrow = [n9(noise, 0.01, 0.05) for noise in NOISE]
    assert verdict_of("lyle2024.5a", *narrow).verdict == "fails"


def test_dead_units_by_norm_layer(verdict_of: Judge) -> None:
    def n1(noise: float, none: float) -> dict[str, Any]:
        found = {}
        for optimizer in ("sgd", "adam"):
            for norm, dead in (("none", none + noise), ("rms", 0.1), ("layer", 0.2)):
                config = {"model": {"norm": norm}, "optimizer": {"kind": optimizer}}
                found[f"{optimizer},{norm}"] = arm(config, dead_units=dead)
        return found

    good = verdict_of("lyle2024.6", *[n1(noise, 0.5) for noise in NOISE])
    assert good.verdict == "holds"
    assert good.effect == pytest.approx(0.3)
    assert verdict_of("lyle2024.6", *[n1(noise, 0.1) for noise in NOISE]).verdict == "fails"


@pytest.mark.parametrize("claim", ["3a", "3b", "3c", "4b", "5a", "5b", "6"])
def test_a_seed_without_the_arms_is_not_counted(verdict_of: Judge, claim: str) -> None:
    alone = {"odd": arm({"model": {"norm": "batch", "activation": "relu"}}, loss=0.1)}
    assert verdict_of(f"lyle2024.{claim}", alone).verdict == "not run"
