"""Our own claims on heavy priming, on made-up evaluations of two environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
ENVIRONMENTS = {"acrobot": ("Acrobot-v1", -500.0, 0.0), "catch": ("Catch-v0", -1.0, 1.0)}
NOISE = (-0.01, 0.0, 0.01)
MIXED = (-0.3, 0.0, 0.3)
END = 20_500
ARMS: dict[str, dict[str, Any]] = {
    "unprimed": {"task": {"priming": {"updates": 0}}},
    "constant": {},
    "best": {"optimizer": {"lr": 3e-3}},
    "low": {"schedule": {"kind": "delayed", "then": {"kind": "constant", "value": 0.016}}},
    "cyclic": {"schedule": {"kind": "delayed", "then": {"kind": "cyclic"}}},
    "stopped": {"schedule": {"kind": "delayed", "then": {"kind": "cyclic_then_anneal"}}},
    "cusum": {"schedule": {"kind": "triggered", "trigger": {"kind": "cusum"}}},
    "once": {"interventions": [{"kind": "reset", "at_phases": True}]},
    "often": {"interventions": [{"kind": "reset", "at_phases": False}]},
}


def seed_of(noise: float = 0.0, **scores: float) -> dict[tuple[str, str], Any]:
    """Return all arms of a seed with their shares of the possible, half of it if not given.

    Args:
        noise: added to the score of arms that are given one.
        scores: by norms and arm, such as ``nap_constant``.
    """
    found = {}
    for env, (name, lowest, highest) in ENVIRONMENTS.items():
        for norms in ("nap", "free"):
            for arm, of in ARMS.items():
                key = f"{norms}_{arm}"
                late = scores[key] + noise if key in scores else 0.5
                shares = [(205 * i, 0.9 if i < 60 else late) for i in range(1, 101)]
                points = [(step, lowest + share * (highest - lowest)) for step, share in shares]
                others = of.get("interventions", [])
                config = {
                    "task": {
                        "kind": "classic_control",
                        "env": name,
                        "priming": {"updates": 20_000},
                    },
                    "schedule": {"kind": "constant", "value": 1.0},
                    "optimizer": {"lr": 1e-3},
                    **of,
                    "interventions": [*([{"kind": "nap"}] if norms == "nap" else []), *others],
                }
                config["task"] = {"env": name, "kind": "classic_control", **config["task"]}
                found[env, f"{norms},{arm}"] = (config, {("evaluation_return", ""): points})
    return found


def judged(
    verdict_of: Judge, claim: str, key: str, level: float, noise: tuple[float, ...] = NOISE
) -> Verdict:
    """Return the verdict on seeds on which one arm, such as ``nap_constant``, has a level."""
    return verdict_of(f"suite.priming.{claim}", *[seed_of(n, **{key: level}) for n in noise])


@pytest.mark.parametrize(("claim", "norms"), [("1a", "nap"), ("1b", "free")])
def test_1_priming_has_to_cost_a_fifth(verdict_of: Judge, claim: str, norms: str) -> None:
    arm = f"{norms}_constant"
    found = judged(verdict_of, claim, arm, 0.3)
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(0.4)
    assert judged(verdict_of, claim, arm, 0.45).verdict == "fails"
    assert judged(verdict_of, claim, arm, 0.4, MIXED).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("claim", "better", "worse"),
    [
        ("2a", "stopped", "constant"),
        ("2b", "stopped", "low"),
        ("2c", "cusum", "constant"),
        ("2d", "once", "constant"),
        ("2e", "stopped", "once"),
        ("2f", "stopped", "best"),
    ],
)
def test_2_arms_with_nap(verdict_of: Judge, claim: str, better: str, worse: str) -> None:
    arm = f"nap_{better}"
    found = judged(verdict_of, claim, arm, 0.7)
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(0.2)
    assert judged(verdict_of, claim, arm, 0.3).verdict == "fails"
    assert judged(verdict_of, claim, arm, 0.5, MIXED).verdict == "inconclusive"
    assert judged(verdict_of, claim, f"nap_{worse}", 0.2).effect == pytest.approx(0.3)


def test_3_the_gain_with_nap_against_that_with_free_norms(verdict_of: Judge) -> None:
    def both(free: float) -> Verdict:
        seeds = [seed_of(n, nap_stopped=0.7, free_stopped=free) for n in NOISE]
        return verdict_of("suite.priming.3", *seeds)

    found = both(0.6)
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(0.1)
    assert both(0.8).verdict == "fails"


def test_an_arm_that_is_not_there_is_missed(verdict_of: Judge) -> None:
    seed = {key: arm for key, arm in seed_of().items() if key[1] != "nap,cusum"}
    found = verdict_of("suite.priming.2c", seed)
    assert (found.verdict, found.n) == ("not run", 0)
    assert "cusum" in found.why
