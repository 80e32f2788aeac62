"""Visits: what they come to, and checkpoints of versions that kept the last evaluation alone."""

from __future__ import annotations

import math
from typing import Any

import pytest

from suite.rl.lanes import Game
from suite.rl.visits import Visits
from suite.tasks.sequential import SequentialConfig


def visits(**keys: Any) -> Visits:
    catch = {"kind": "classic_control", "env": "Catch-v0", "permuted": 2}
    task = {"environments": catch, "visit_length": {"agent_steps": 2000}, **keys}
    return Visits(SequentialConfig.from_mapping(task))


@pytest.mark.parametrize(("visit_score", "expected"), [("last", 1.0), ("mean", 0.25)])
def test_evaluations_count_before_games_of_training(visit_score: str, expected: float) -> None:
    seen = visits(visit_score=visit_score)
    seen.begin()
    seen.finished([Game(-1.0, 9), Game(0.0, 9)])
    for mean in (-1.0, 0.75, 1.0):
        seen.evaluated(mean)
    assert seen.close() == [("visit_return", "Catch-v0_0", expected)]
    seen.begin()  # nothing of the visit before counts
    seen.finished([Game(-1.0, 9), Game(0.0, 9)])
    assert seen.close() == [
        ("visit_return", "Catch-v0_1", -0.5),
        ("visit_return", "", (expected - 0.5) / 2),
    ]


@pytest.mark.parametrize("older", [None, 0.75])
def test_a_state_of_an_older_version_goes_on(older: float | None) -> None:
    first, second = visits(), visits()
    first.begin()
    state = first.state_dict() | {"evaluated": older}
    second.load_state_dict(state)
    ((_, _, value),) = second.close()
    assert math.isnan(value) if older is None else value == older


def test_a_state_goes_on_in_the_middle_of_a_visit() -> None:
    whole, second = visits(visit_score="mean"), visits(visit_score="mean")
    whole.begin()
    whole.evaluated(0.5)
    second.load_state_dict(whole.state_dict())
    for seen in (whole, second):
        seen.evaluated(1.0)
    assert whole.close() == second.close() == [("visit_return", "Catch-v0_0", 0.75)]
