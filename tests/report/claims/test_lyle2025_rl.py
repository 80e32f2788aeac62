"""Claims on cycles and resets in deep Q-learning, on made-up scores of two games."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from suite.atari.scores import REFERENCES
from suite.report.claims.base import Verdict
from suite.report.claims.lyle2025_rl import recovery
from suite.report.experiment import Track

Judge = Callable[..., Verdict]
GAMES = ("boxing", "breakout")
NOISE = (-0.01, 0.0, 0.01)
END = 1000
RESET = {"kind": "reset", "every": {"fraction": 0.25}, "layers": "head"}
NAP = {"kind": "nap"}


def raw(game: str, normalised: float) -> float:
    """Return the return of a game with this human-normalised score."""
    random, human = REFERENCES[game]
    return random + normalised * (human - random)


def run(
    game: str,
    schedule: dict[str, Any],
    normalised: float,
    *,
    agent: str = "rainbow",
    reset: bool = False,
    curve: Sequence[tuple[float, float]] = (),
    evaluated: bool = True,
) -> Any:
    """Return a run that ends with this score; a training curve is in returns of the game."""
    config = {
        "task": {
            "kind": "atari",
            "game": game,
            "evaluation": {"episodes": 10} if evaluated else None,
        },
        "agent": {"kind": agent},
        "schedule": schedule,
        "interventions": [NAP, RESET] if reset else [NAP],
    }
    metric = "evaluation_return" if evaluated else "mean_return_20"
    points: dict[tuple[str, str], Any] = {
        ("mean_return_20", ""): list(curve) or [(END, -99.0)],
        ("learning_rate", ""): [(0, 1.0), (END, 1.0)],
    }
    points[metric, ""] = [(END / 2, -99.0), (END, raw(game, normalised))]
    if curve:
        points["mean_return_20", ""] = list(curve)
    if reset:
        points["reset", "head"] = [(250, 1.0), (500, 1.0), (750, 1.0)]
    return config, points


CONSTANT = {"kind": "constant", "value": 1.0}
LOW = {"kind": "constant", "value": 0.016}
CYCLES = {"kind": "cyclic", "cycles": 4}
STOPPED = {"kind": "cyclic_then_anneal", "cycles": 3}
ONE = {"kind": "single_cycle"}


def fig6l(
    noise: float, scores: dict[str, float], evaluated: bool = True
) -> dict[tuple[str, str], Any]:
    """Return the six arms on two games, one game half as good as the other."""
    arms: dict[str, tuple[dict[str, Any], bool]] = {
        "constant": (CONSTANT, False),
        "one_cycle": (ONE, False),
        "four_cycles": (CYCLES, False),
        "early_stop": (STOPPED, False),
        "reset": (CONSTANT, True),
        "reset_four_cycles": (CYCLES, True),
    }
    found = {}
    for game, factor in zip(GAMES, (1.0, 0.5), strict=True):
        for label, (schedule, reset) in arms.items():
            value = factor * (scores.get(label, 2.0) + noise * (label != "constant"))
            found[game, label] = run(game, schedule, value, reset=reset, evaluated=evaluated)
    return found


@pytest.mark.parametrize("evaluated", [True, False])
@pytest.mark.parametrize(
    ("claim", "arm", "holds", "fails", "between"),
    [
        ("11a", "one_cycle", 2.6, 2.2, 2.3),
        ("11b", "four_cycles", 2.4, 2.1, 2.18),
        ("11c", "reset", 2.0, 2.5, 2.22),
    ],
)
def test_11_ratios_to_the_constant_rate(
    verdict_of: Judge,
    claim: str,
    arm: str,
    holds: float,
    fails: float,
    between: float,
    evaluated: bool,
) -> None:
    for score, verdict in ((holds, "holds"), (fails, "fails"), (between, "inconclusive")):
        seeds = [fig6l(noise, {arm: score}, evaluated) for noise in NOISE]
        found = verdict_of(f"lyle2025.{claim}", *seeds)
        assert found.effect == pytest.approx(score / 2.0)
        assert found.verdict == verdict


def test_11c_resets_that_harm_fail_too(verdict_of: Judge) -> None:
    seeds = [fig6l(noise, {"reset": 1.5}) for noise in NOISE]
    assert verdict_of("lyle2025.11c", *seeds).verdict == "fails"


@pytest.mark.parametrize(("claim", "arm"), [("11d", "early_stop"), ("11e", "reset_four_cycles")])
def test_11_what_costs_against_four_cycles(verdict_of: Judge, claim: str, arm: str) -> None:
    for score, verdict in ((1.7, "holds"), (2.3, "fails")):
        found = verdict_of(f"lyle2025.{claim}", *[fig6l(n, {arm: score}) for n in NOISE])
        assert found.verdict == verdict
        assert found.effect == pytest.approx(score / 2.0, rel=1e-3)
    mixed = [fig6l(0.0, {arm: score}) for score in (1.5, 2.6, 2.0)]
    assert verdict_of(f"lyle2025.{claim}", *mixed).verdict == "inconclusive"


def test_11_a_ratio_to_no_more_than_random_play_is_not_taken(verdict_of: Judge) -> None:
    lost = fig6l(0.0, {"constant": -0.1})
    found = verdict_of("lyle2025.11a", lost)
    assert (found.verdict, found.n) == ("inconclusive", 0)
    assert "above zero" in found.why
    others = [fig6l(noise, {"constant": 1.7}) for noise in NOISE]
    assert verdict_of("lyle2025.11a", *others).verdict == "holds"
    assert verdict_of("lyle2025.11a", *others, lost).verdict == "inconclusive"


def fig7(noise: float, dqn: float, rainbow: float, **others: float) -> dict[tuple[str, str], Any]:
    """Return both agents' four arms; those without a score of their own have 1."""
    schedules = {"high": CONSTANT, "low": LOW, "cyclic": CYCLES, "stopped": STOPPED}
    found = {}
    for game in GAMES:
        for agent, best in (("dqn", dqn), ("rainbow", rainbow)):
            for label, schedule in schedules.items():
                value = best + noise if label == "stopped" else others.get(label, 1.0)
                found[game, f"{agent},{label}"] = run(game, schedule, value, agent=agent)
    return found


@pytest.mark.parametrize(
    ("claim", "agent", "other"),
    [
        *[("12a", "dqn", "high"), ("12b", "dqn", "low"), ("12c", "dqn", "cyclic")],
        *[("12d", "rainbow", "high"), ("12e", "rainbow", "low"), ("12f", "rainbow", "cyclic")],
    ],
)
def test_12_cycles_that_stop_against_each_other_arm(
    verdict_of: Judge, claim: str, agent: str, other: str
) -> None:
    def judged(best: float, scores: tuple[float, ...] = NOISE) -> Verdict:
        both = {"dqn": 0.0, "rainbow": 0.0} | {agent: best}
        seeds = [fig7(noise, **both, **{other: 0.5}) for noise in scores]
        return verdict_of(f"lyle2025.{claim}", *seeds)

    assert judged(0.8).verdict == "holds"
    assert judged(0.8).effect == pytest.approx(0.3)
    assert judged(0.3).verdict == "fails"
    assert judged(0.5, (-0.3, 0.1, 0.2)).verdict == "inconclusive"


def test_12_asks_for_one_low_rate(verdict_of: Judge) -> None:
    seed = {key: arm for key, arm in fig7(0.0, 1.0, 1.0).items() if "low" not in key[1]}
    found = verdict_of("lyle2025.12b", seed)
    assert (found.verdict, found.n) == ("not run", 0)
    assert "one constant low rate" in found.why


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 3, 1, 2, 6, 7], 40),  # the level is 5; back at the fourth measurement after the event
        ([5, 5, 1, 2, 6, 7], 40),  # a window of games hides the fall at first
        ([5, 6, 7, 5, 5, 9], 0),  # never lower
        ([5, 4, 3, 2, 1, 1], 50),  # never back
        ([5, 4, 5, 1, 4, 5], 50),  # back, but not for good: from the lowest on
    ],
)
def test_recovery(values: list[float], expected: float) -> None:
    steps = np.arange(100.0, 160, 10)
    returns = Track(np.append(steps, 170.0), np.append(np.array(values, dtype=float), 99.0))
    assert recovery(returns, 100, 150) == expected


def dips(lengths: Sequence[int]) -> list[tuple[float, float]]:
    """Return a curve at 10 that falls to 1 for so many steps after each quarter of the run."""
    steps = range(0, END + 1, 10)
    low = {
        step
        for event, length in zip((250, 500, 750), lengths, strict=True)
        for step in range(event + 10, event + length, 10)
    }
    return [(step, 1.0 if step in low else 10.0) for step in steps]


def fig12(resets: int, cycles: int) -> dict[tuple[str, str], Any]:
    """Return the two arms on two games with dips of these lengths."""
    found = {}
    for game in GAMES:
        found[game, "constant"] = run(game, CONSTANT, 1.0)
        found[game, "reset"] = run(game, CONSTANT, 1.0, reset=True, curve=dips([resets] * 3))
        found[game, "four"] = run(game, CYCLES, 1.0, curve=dips([cycles] * 3))
        found[game, "both"] = run(game, CYCLES, 1.0, reset=True, curve=dips([200] * 3))
    return found


def test_13_recovery_after_re_warms_and_resets(verdict_of: Judge) -> None:
    good = [fig12(length, 50) for length in (140, 150, 160)]
    found = verdict_of("lyle2025.13", *good)
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(0.1)
    assert verdict_of("lyle2025.13", *[fig12(50, x) for x in (140, 150, 160)]).verdict == "fails"
    mixed = [fig12(50, 150), fig12(150, 50), fig12(50, 50)]
    assert verdict_of("lyle2025.13", *mixed).verdict == "inconclusive"


def test_13_asks_for_resets_where_cycles_begin(verdict_of: Judge) -> None:
    seed = fig12(150, 50)
    seed["boxing", "reset"][1]["reset", "head"].pop()
    found = verdict_of("lyle2025.13", seed)
    assert found.n == 0
    assert "as many resets as re-warms" in found.why


@pytest.mark.parametrize("claim", ["11a", "11c", "12a", "13"])
def test_other_environments_and_missing_arms_are_not_judged(verdict_of: Judge, claim: str) -> None:
    for key, wanted in (
        (("surfing", "constant"), "a human score"),
        (("pong", "constant"), "an arm"),
    ):
        found = verdict_of(f"lyle2025.{claim}", {key: run("pong", CONSTANT, 1.0)})
        if key[0] == "surfing":
            config, points = run("pong", CONSTANT, 1.0)
            config["task"]["game"] = "surfing"
            found = verdict_of(f"lyle2025.{claim}", {key: (config, points)})
        assert (found.verdict, found.n) == ("not run", 0)
        assert wanted in found.why


def test_two_tasks_of_one_game_are_not_taken_for_two_games(verdict_of: Judge) -> None:
    seed = {(f"{n}-{g}", a): arm for n in "ab" for (g, a), arm in fig6l(0.0, {}).items()}
    found = verdict_of("lyle2025.11a", seed)
    assert found.n == 0
    assert "a game of its own" in found.why
