"""Our own claims on an automatic stop of the cycles, on made-up evaluations of two environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
ENVIRONMENTS = {"acrobot": ("Acrobot-v1", -500.0, 0.0), "catch": ("Catch-v0", -1.0, 1.0)}
NOISE = (-0.01, 0.0, 0.01)
MIXED = (-0.2, 0.0, 0.25)
END = 10_000


def arm(env: str, schedule: dict[str, Any], late: float, final: float | None = None) -> Any:
    """Return an arm with these shares of the possible: late in the run, and at its end."""
    name, lowest, highest = ENVIRONMENTS[env]
    shares = [(100 * i, 0.1 if i < 60 else late) for i in range(1, 100)]
    shares.append((END, late if final is None else final))
    points = [(step, lowest + share * (highest - lowest)) for step, share in shares]
    config = {"task": {"kind": "classic_control", "env": name}, "schedule": schedule}
    return config, {("evaluation_return", ""): points}


def seed_of(never: Any = 0.8, rule: Any = 0.8, **stops: float) -> dict[tuple[str, str], Any]:
    """Return all arms; a fixed stop without a score of its own has 0.8.

    A score of an arm is a share of the possible, or one late in the run and another at its end.
    """
    arms: dict[str, tuple[dict[str, Any], Any]] = {"never": ({"kind": "cyclic"}, never)}
    for final in (0.016, 0.1):
        for cycles in (2, 5, 10):
            kind = "cyclic_then_anneal"
            schedule = {"kind": kind, "cycles": cycles, "final": final}
            score = stops.get(f"after_{cycles}", 0.8) if final < 0.1 else 0.2
            arms[f"after_{cycles},{final}"] = (schedule, score)
        for k in (1.0, 3.0):
            schedule = {"kind": "adaptive_stop", "k": k, "final": final}
            arms[f"adaptive_{k},{final}"] = (schedule, rule if (k, final) == (3.0, 0.016) else 0.2)
    return {
        (env, label): arm(env, schedule, *(score if isinstance(score, tuple) else (score,)))
        for env in ENVIRONMENTS
        for label, (schedule, score) in arms.items()
    }


@pytest.mark.parametrize("claim", ["1a", "1b", "1c"])
def test_1_cycles_without_end(verdict_of: Judge, claim: str) -> None:
    found = verdict_of(f"suite.stop_rules.{claim}", *[seed_of(never=0.4 + n) for n in NOISE])
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(0.5)
    same = verdict_of(f"suite.stop_rules.{claim}", *[seed_of(never=0.8 + n) for n in NOISE])
    assert same.verdict == "fails"
    mixed = verdict_of(f"suite.stop_rules.{claim}", *[seed_of(never=0.76 + n) for n in MIXED])
    assert mixed.verdict == "inconclusive"


def test_1_a_run_that_ends_annealed_is_told_from_one_that_is_good_throughout(
    verdict_of: Judge,
) -> None:
    seeds = [seed_of(never=(0.4 + noise, 0.8 + noise)) for noise in NOISE]
    verdicts = [verdict_of(f"suite.stop_rules.1{letter}", *seeds).verdict for letter in "abc"]
    assert verdicts == ["holds", "holds", "fails"]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(("letter", "cycles"), [("a", 2), ("b", 5), ("c", 10)])
def test_2_3_the_rule_against_a_fixed_stop(
    verdict_of: Judge, number: int, letter: str, cycles: int
) -> None:
    claim = f"suite.stop_rules.{number}{letter}"
    close = verdict_of(claim, *[seed_of(rule=0.8 + noise) for noise in NOISE])
    assert close.verdict == "holds"
    assert close.effect == pytest.approx(1.0)
    better = [seed_of(rule=0.7 + noise, **{f"after_{cycles}": 0.9}) for noise in NOISE]
    assert verdict_of(claim, *better).verdict == "fails"
    others = [seed_of(rule=0.7 + noise, **{f"after_{cycles}": 0.7}) for noise in NOISE]
    assert verdict_of(claim, *others).verdict == "holds"
    mixed = verdict_of(claim, *[seed_of(rule=0.76 + noise) for noise in MIXED])
    assert mixed.verdict == "inconclusive"


@pytest.mark.parametrize("claim", ["1a", "2a", "3c"])
def test_what_is_not_evaluated_often_or_not_known_is_not_judged(
    verdict_of: Judge, claim: str
) -> None:
    seed = seed_of()
    for _, points in seed.values():
        points["evaluation_return", ""] = points["evaluation_return", ""][-1:]
    found = verdict_of(f"suite.stop_rules.{claim}", seed)
    assert (found.verdict, found.n) == ("not run", 0)
    assert "20 evaluations in the last 40%" in found.why
    other = seed_of()
    for config, _ in other.values():
        config["task"]["env"] = "LunarLander-v3"
    assert (
        "possible returns of LunarLander-v3" in verdict_of(f"suite.stop_rules.{claim}", other).why
    )
    nothing = verdict_of(f"suite.stop_rules.{claim}", seed_of(after_2=0, after_5=0, after_10=0))
    assert "above zero" in nothing.why
