"""Sequences of any environments: what may stand in one, its forms, scores, and wrong requests."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from suite.clock import Duration
from suite.config import merge
from suite.errors import ConfigError
from suite.run_config import RunConfig
from suite.tasks.base import TASKS
from suite.tasks.sequence import RETURN
from suite.tasks.sequential import SHARED, SequentialConfig
from suite.tasks.sequential_atari import SequentialAtariConfig

CATCH = {"kind": "classic_control", "env": "Catch-v0"}
RUN: dict[str, Any] = {
    "task": {
        "kind": "sequential",
        "environments": CATCH | {"permuted": 3},
        "visits": 2,
        "visit_length": {"agent_steps": 101},
        "learning_starts": 40,
    },
    "model": "mlp",
    "agent": {"kind": "dqn", "replay_capacity": 500},
}


def sequence(**overrides: Any) -> SequentialConfig:
    return SequentialConfig.from_mapping({**RUN["task"], **overrides})


@pytest.mark.parametrize("clear_replay", [True, False])
@pytest.mark.parametrize("utd", [0.3, 1.0, 4.0])
def test_its_time_is_that_of_a_sequence_of_as_many_games(utd: float, clear_replay: bool) -> None:
    keys: dict[str, Any] = {"utd": utd, "switch": {"clear_replay": clear_replay}}
    task = sequence(**keys, evaluation={"episodes": 1, "every": {"fraction": 0.3}})
    games = SequentialAtariConfig.from_mapping(
        {
            **{key: RUN["task"][key] for key in ("visits", "visit_length", "learning_starts")},
            "games": ["pong", "breakout", "alien"],
            "evaluation": {"episodes": 1, "every": {"fraction": 0.3}},
            **keys,
        }
    )
    ours, theirs = task.clock(None), games.clock(None)
    assert (ours.total, ours.starts) == (theirs.total, theirs.starts)
    assert ours.frames_per_agent_step == 1
    for taken in range(607):
        assert task.updates(taken) == games.updates(taken)
        assert task.waited(taken) == games.waited(taken)
        assert ours.moment(Duration(agent_steps=taken)) == task.updates(taken)
    assert task.evaluations(None) == games.evaluations(None)
    for visit in range(6):
        assert task.visit_end(visit) == games.visit_end(visit)
        assert task.learns_from(visit) == games.learns_from(visit)
        assert task.explores_from(visit) == games.explores_from(visit)


def test_the_short_form_is_that_list() -> None:
    wrap = {"shift": 1.0}
    short = sequence(environments=CATCH | {"permuted": 3, "wrap": wrap})
    seeds = [{"permute_observations": s, "permute_actions": s} for s in range(3)]
    long = sequence(environments=[CATCH | {"wrap": wrap | seed} for seed in seeds])
    assert short == long
    assert short.canonical() == long.canonical()
    assert SequentialConfig.from_mapping(json.loads(short.canonical())) == short
    assert short.layers == ("Catch-v0_0", "Catch-v0_1", "Catch-v0_2")
    assert hash(short) == hash(long)


def test_shared_keys_reach_every_environment_and_stay_out_of_its_record() -> None:
    task = sequence(utd=2.0, lanes=3, evaluation={"episodes": 7})
    for visit in range(6):
        played = task.played(visit)
        assert (played.utd, played.lanes) == (2.0, 3)
        assert played.evaluation == task.evaluation
        assert played.learning_starts == 40
        assert played.wrap.permute_actions == visit % 3  # type: ignore[attr-defined]
        assert played.exact_utd == task.exact_utd
    for one in json.loads(task.canonical())["environments"]:
        assert not SHARED & one.keys()


def test_environments_of_different_libraries_are_in_one_sequence() -> None:
    task = sequence(
        environments=[
            {"kind": "gym", "env": "CartPole-v1", "max_episode_steps": 90},
            {"kind": "envpool", "env": "CartPole-v1"},
            {"kind": "classic_control", "env": "CartPole-v1", "wrap": {"reward_factor": -1.0}},
        ]
    )
    RunConfig.from_mapping({**RUN, "task": json.loads(task.canonical())}).check()
    assert task.spec().inputs.shape == (4,)
    assert task.time_limit == 90
    assert task.layers == ("CartPole-v1_0", "CartPole-v1_1", "CartPole-v1_2")
    assert (task.returns.lower, task.returns.upper) == (None, None)
    backends = [played.backend for played in task.environments_played]
    assert backends == ["gymnasium", "envpool", "envpool"]


def test_every_task_of_one_environment_may_stand_in_a_sequence() -> None:
    kinds = [k for k, task in TASKS.entries().items() if "wrap" in task.model_fields]
    assert {"classic_control", "envpool", "gym"} <= set(kinds)
    for kind in kinds:
        one = {k: v for k, v in TASKS[kind].smoke["task"].items() if k not in SHARED}
        if kind == "classic_control":
            one["env"] = "CartPole-v1"
        assert sequence(environments=[one]).played(0).kind == kind


def test_different_environments_keep_their_names_and_returns_their_bounds() -> None:
    one = {"kind": "classic_control", "env": "CartPole-v1"}
    task = sequence(environments=[one, one | {"kind": "gym", "env": "CartPole-v0"}])
    assert task.layers == ("CartPole-v1", "CartPole-v0")
    bounded = sequence(environments=[one | {"wrap": {"reward_factor": f}} for f in (1.0, -2.0)])
    assert (bounded.returns.lower, bounded.returns.upper) == (-1000, 500)
    assert bounded.ranges[RETURN] == bounded.returns


def test_the_score_is_the_mean_of_the_last_visits() -> None:
    task = sequence(scored_visits=2)
    assert (task.score, task.score_unit) == ((RETURN, ""), "return")
    assert sequence(evaluation={"episodes": 1}).score == (RETURN, "")
    names = task.layers
    assert task.visit_values(0, {names[0]: 1.0}) == [(RETURN, names[0], 1.0)]
    latest = {names[0]: 1.0, names[1]: 3.0}
    assert task.visit_values(1, latest) == [(RETURN, names[1], 3.0), (RETURN, "", 2.0)]
    latest |= {names[2]: 8.0}
    assert task.visit_values(2, latest)[-1] == (RETURN, "", 5.5)
    assert task.visit_values(3, latest | {names[0]: 0.0})[-1] == (RETURN, "", 4.0)
    everything = sequence()
    assert everything.visit_values(1, latest)[-1][1] == names[1]
    assert everything.visit_values(2, latest)[-1] == (RETURN, "", 4.0)
    nothing = everything.visit_values(2, {names[0]: 1.0, names[2]: 8.0})
    assert math.isnan(nothing[-1][2])


def test_a_visit_counts_by_its_last_evaluation_or_by_their_mean() -> None:
    means = [0.0, 4.0, 5.0]
    assert sequence().visit_evaluated(means) == 5.0
    assert sequence(visit_score="mean").visit_evaluated(means) == 3.0


def test_arms_with_other_changes_start_from_the_same_weights() -> None:
    other = sequence(environments=[CATCH], utd=2.0, visits=7, switch={"fresh_network": True})
    assert sequence().seed_key == other.seed_key == "sequential/classic_control/Catch-v0"
    cartpole = {"kind": "classic_control", "env": "CartPole-v1"}
    assert sequence(environments=[cartpole]).seed_key != other.seed_key


GYM = {"kind": "gym", "env": "CartPole-v1"}


@pytest.mark.parametrize(
    ("overrides", "key", "expected"),
    [
        (
            {"task.environments": [GYM, {"kind": "gym", "env": "Acrobot-v1"}]},
            "task.environments[1]",
            "shape (4,) and 2 actions, as of CartPole-v1",
        ),
        (
            {"task.environments": [GYM, {"kind": "gym", "env": "MountainCar-v0"}]},
            "task.environments[1]",
            "share a network",
        ),
        (
            {"task.environments": [GYM, {"kind": "gym", "env": "Pendulum-v1"}]},
            "task.environments[1].env",
            "discrete actions",
        ),
        (
            {"task.environments": [GYM, {"kind": "gym", "env": "CartPole-v9"}]},
            "task.environments[1].env",
            "CartPole-v1",
        ),
        ({"task.environments": [GYM, {"kind": "atari"}]}, "task.environments[1].kind", "gym"),
        ({"task.environments": [{"env": "CartPole-v1"}]}, "task.environments[0].kind", "gym"),
        ({"task.environments": [GYM | {"utd": 2}]}, "task.environments[0].utd", "task.utd"),
        ({"task.environments": [GYM | {"wrp": 2}]}, "task.environments[0].wrp", "wrap"),
        ({"task.environments": []}, "task.environments", "at least 1"),
        ({"task.environments": ["CartPole-v1"]}, "task.environments[0]", "mapping"),
        ({"task.environments": {"permuted": 0}}, "task.environments.permuted", "how many"),
        ({"task.environments": {"permuted": True}}, "task.environments.permuted", "how many"),
        (
            {"task.environments": {"permuted": 2, "wrap": {"permute_actions": 1}}},
            "task.environments.wrap.permute_actions",
            "beside 'permuted'",
        ),
        (
            {"task.environments": [CATCH, CATCH | {"wrap": {"mask": {"share": 0.001}}}]},
            "task.environments[1].wrap.mask.share",
            "50 entries",
        ),
        ({"task.scored_visits": 4}, "task.scored_visits", "at most 3"),
        ({"task.visit_length": {"agent_steps": 40}}, "task.visit_length", "learning_starts = 40"),
        ({"task.priming": {"updates": 5}}, "task.priming.updates", "sequence"),
        ({"budget": {"agent_steps": 500}}, "budget", "task.visit_length"),
    ],
)
def test_wrong_requests_name_the_key(overrides: dict[str, Any], key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        RunConfig.from_mapping(merge(RUN, overrides)).check()
    assert error.value.key == key
    assert expected in f"{error.value.key} {error.value.expected}"
