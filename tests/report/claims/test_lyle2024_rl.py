"""Claims on Rainbow with NaP, on made-up scores of two games and sequences of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.atari.scores import REFERENCES
from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
GAMES = ("boxing", "breakout")
NOISE = (-0.01, 0.0, 0.01)
MIXED = (-0.4, 0.1, 0.3)
NAP = {"kind": "nap", "gains": "free"}
CONSTANT = {"kind": "constant", "value": 1.0}


def raw(game: str, normalised: float) -> float:
    """Return the return of a game with this human-normalised score."""
    random, human = REFERENCES[game]
    return random + normalised * (human - random)


def run(game: str, norm: str, nap: bool, schedule: dict[str, Any], normalised: float) -> Any:
    config = {
        "task": {"kind": "atari", "game": game, "evaluation": None},
        "model": {"norm": norm},
        "interventions": [NAP] if nap else [],
        "schedule": schedule,
    }
    return config, {("mean_return_20", ""): [(5, 0.0), (10, raw(game, normalised))]}


def linear(share: float) -> dict[str, Any]:
    return {"kind": "linear", "length": {"fraction": share}, "start": 1.0, "end": 0.016}


def n7(noise: float, **scores: float) -> dict[tuple[str, str], Any]:
    """Return the arms of Figs. 4 and 6 right; `noise` is on NaP with linear decay and constant."""
    arms = {
        "rainbow": ("none", False, CONSTANT),
        "rainbow_ln": ("layer", False, CONSTANT),
        "nap_constant": ("layer", True, CONSTANT),
        "nap_linear": ("layer", True, linear(0.5)),
    }
    return {
        (game, label): run(
            game,
            *arm,
            scores.get(label, 1.0) + noise * {"nap_linear": 1, "nap_constant": 2}.get(label, 0),
        )
        for game in GAMES
        for label, arm in arms.items()
    }


@pytest.mark.parametrize(
    ("claim", "good", "bad", "effect"),
    [
        ("8a", {"nap_constant": 0.5}, {"nap_constant": 1.5}, -0.5),
        ("8b", {"nap_linear": 1.5}, {"nap_linear": 0.5}, 0.5),
        ("8c", {"nap_linear": 1.5}, {"nap_linear": 0.5}, 0.5),
        ("8d", {"nap_linear": 1.7, "rainbow": 1.2}, {"nap_linear": 1.1, "rainbow": 1.2}, 0.5),
        ("8d", {"nap_linear": 1.7, "rainbow_ln": 1.2}, {"nap_linear": 0.9}, 0.5),
    ],
)
def test_8_constant_rate_and_linear_decay(
    verdict_of: Judge, claim: str, good: dict[str, float], bad: dict[str, float], effect: float
) -> None:
    found = verdict_of(f"lyle2024.{claim}", *[n7(noise, **good) for noise in NOISE])
    assert found.verdict == "holds"
    assert found.effect == pytest.approx(effect)
    failed = verdict_of(f"lyle2024.{claim}", *[n7(noise, **bad) for noise in NOISE])
    assert failed.verdict == "fails"
    mixed = verdict_of(f"lyle2024.{claim}", *[n7(noise) for noise in MIXED])
    assert mixed.verdict == "inconclusive"


def n6(noise: float, **scores: float) -> dict[tuple[str, str], Any]:
    """Return four lengths of the decay."""
    lengths = {"quarter": 0.25, "half": 0.5, "three_quarters": 0.75, "all": 1.0}
    return {
        (game, label): run(
            game, "layer", True, linear(share), scores.get(label, 1.0) + noise * (label == "half")
        )
        for game in GAMES
        for label, share in lengths.items()
    }


@pytest.mark.parametrize(("claim", "other"), [("9a", "quarter"), ("9b", "all")])
def test_9_half_way_is_best(verdict_of: Judge, claim: str, other: str) -> None:
    for score, verdict in ((0.7, "holds"), (1.3, "fails")):
        found = verdict_of(f"lyle2024.{claim}", *[n6(noise, **{other: score}) for noise in NOISE])
        assert found.verdict == verdict
        assert found.effect == pytest.approx(1.0 - score)
    mixed = verdict_of(f"lyle2024.{claim}", *[n6(noise) for noise in MIXED])
    assert mixed.verdict == "inconclusive"


def sequence(
    second: dict[str, float], *, norm: str = "layer", gains: str = "", fresh: bool = False
) -> Any:
    """Return a run through two games twice: 0.1 in first visits, this mean in second ones."""
    config = {
        "task": {"games": list(GAMES), "visits": 2, "switch": {"fresh_network": fresh}},
        "model": {"norm": norm},
        "interventions": [{"kind": "nap", "gains": gains}] if gains else [],
    }
    points: dict[tuple[str, str], Any] = {("phase", ""): [(100 * i, i) for i in range(4)]}
    for place, game in enumerate(GAMES):
        start = 200 + 100 * place
        first = [(start - 200 + s, raw(game, 0.1)) for s in (20, 60, 100)]
        later = [
            (start + s, raw(game, second[game] + d)) for s, d in ((20, -0.1), (60, 0.0), (100, 0.1))
        ]
        points["mean_return_20", game] = first + later
    return config, points


def n8(nap: float, rainbow: tuple[float, float], free: float, fresh: float = 1.0) -> dict[str, Any]:
    """Return the arms of Fig. 6 left; a fresh network has `fresh` on both games."""

    def both(value: float) -> dict[str, float]:
        return dict.fromkeys(GAMES, value)

    return {
        "fresh": sequence(both(fresh), gains="decay_to_init", fresh=True),
        "rainbow": sequence(dict(zip(GAMES, rainbow, strict=True)), norm="none"),
        "rainbow_ln": sequence(both(0.7)),
        "nap": sequence(both(nap), gains="decay_to_init"),
        "nap_free_gains": sequence(both(free), gains="free"),
    }


@pytest.mark.parametrize(
    ("naps", "verdict"),
    [
        ((0.96, 1.0, 1.01), "holds"),
        ((0.6, 0.62, 0.61), "fails"),
        ((1.3, 1.31, 1.32), "fails"),
        ((0.8, 1.0, 1.2), "inconclusive"),
    ],
)
def test_10a_nap_against_fresh_networks(
    verdict_of: Judge, naps: tuple[float, ...], verdict: str
) -> None:
    found = verdict_of("lyle2024.10a", *[n8(nap, (0.3, 0.3), 0.5) for nap in naps])
    assert found.verdict == verdict
    assert found.effect == pytest.approx(sum(naps) / 3)


@pytest.mark.parametrize(
    ("rainbows", "verdict", "effect"),
    [
        (((0.4, 0.1), (0.0, 0.49), (-0.1, 0.2)), "holds", 1.0),
        (((0.6, 0.51), (0.8, 1.0), (0.6, 0.7)), "fails", 0.0),
        (((0.4, 0.1), (0.6, 0.7), (0.4, 0.6)), "inconclusive", 0.5),
    ],
)
def test_10b_rainbow_against_fresh_networks(
    verdict_of: Judge, rainbows: Any, verdict: str, effect: float
) -> None:
    found = verdict_of("lyle2024.10b", *[n8(1.0, rainbow, 0.5) for rainbow in rainbows])
    assert found.verdict == verdict
    assert found.effect == pytest.approx(effect)


@pytest.mark.parametrize("claim", ["10a", "10b"])
def test_10_fresh_networks_that_learn_nothing_are_no_measure(verdict_of: Judge, claim: str) -> None:
    found = verdict_of(f"lyle2024.{claim}", n8(1.0, (0.3, 0.3), 0.5, fresh=-0.2))
    assert (found.verdict, found.n) == ("inconclusive", 0)


@pytest.mark.parametrize(
    ("frees", "verdict"),
    [((0.5, 0.51, 0.49), "holds"), ((1.5, 1.51, 1.49), "fails"), ((0.5, 1.2, 1.3), "inconclusive")],
)
def test_11_gains_that_do_not_decay(
    verdict_of: Judge, frees: tuple[float, ...], verdict: str
) -> None:
    found = verdict_of("lyle2024.11", *[n8(1.0, (0.3, 0.3), free) for free in frees])
    assert found.verdict == verdict
    assert found.effect == pytest.approx(sum(frees) / 3 - 1.0)


def test_a_second_visit_that_did_not_begin_is_not_judged(verdict_of: Judge) -> None:
    seed = n8(1.0, (0.3, 0.3), 0.5)
    seed["nap"][1]["phase", ""] = [(0, 0), (100, 1), (200, 2)]
    found = verdict_of("lyle2024.10a", seed)
    assert (found.verdict, found.n) == ("not run", 0)
    assert "a second visit to breakout" in found.why
