"""Sequences of games: exact updates in each visit, phases, scores, and requests that are wrong."""

import math
from fractions import Fraction
from typing import Any

import pytest

from suite.atari.protocols import PROTOCOLS
from suite.atari.scores import human_normalised
from suite.clock import Duration
from suite.config import merge
from suite.errors import ConfigError
from suite.run_config import RunConfig
from suite.tasks.atari import AtariConfig
from suite.tasks.sequence import RETURN
from suite.tasks.sequential_atari import NORMALISED, SequentialAtariConfig

RUN: dict[str, Any] = {
    "task": {
        "kind": "sequential_atari",
        "games": ["pong", "breakout", "alien"],
        "visit_length": {"agent_steps": 101},
        "learning_starts": 40,
    },
    "model": "nature_cnn",
    "agent": {"kind": "dqn", "replay_capacity": 500},
}


def sequence(**overrides: Any) -> SequentialAtariConfig:
    return SequentialAtariConfig.from_mapping({**RUN["task"], **overrides})


@pytest.mark.parametrize("clear_replay", [True, False])
@pytest.mark.parametrize("utd", [0.25, 0.3, 1.0, 2.0, 1 / 3])
def test_every_visit_has_the_updates_of_a_run_of_its_own(utd: float, clear_replay: bool) -> None:
    task = sequence(utd=utd, switch={"clear_replay": clear_replay})
    ratio = Fraction(utd).limit_denominator(1000)
    expected, before, waited = [0], 0, 0
    starts = []
    for visit in range(6):
        starts.append(before)
        warm_up = 40 if visit == 0 or clear_replay else 0
        assert task.learns_from(visit) == 101 * visit + warm_up
        for within in range(1, 102):
            expected.append(before + int(max(0, within - warm_up) * ratio))
            assert task.waited(101 * visit + within) == waited + min(within, warm_up)
        before, waited = expected[-1], waited + warm_up
    assert [task.updates(n) for n in range(607)] == expected
    clock = task.clock(None)
    assert (clock.total, clock.starts) == (expected[-1], tuple(starts))
    for update in range(1, clock.total + 1):
        assert task.due(update) == next(n for n, made in enumerate(expected) if made >= update)


def test_a_schedule_restarts_with_each_visit() -> None:
    then = {"kind": "warmup_cosine", "warmup": 5, "start": 0.0, "floor": 0.1}
    run = RunConfig.from_mapping({**RUN, "schedule": {"kind": "task_aligned", "then": then}})
    run.check()
    schedule, starts = run.build_schedule(), run.clock().starts
    assert starts == (0, 15, 30, 45, 60, 75)  # 61 agent steps at 1/4 each
    for start in starts:
        assert schedule(start) == 0.0
        assert schedule(start + 5) == 1.0
        assert [schedule(start + t) for t in range(15)] == [schedule(t) for t in range(15)]


def test_the_games_are_played_in_turn_under_one_protocol() -> None:
    task = sequence(protocol="dopamine", noop_max=3, visits=2)
    for visit in range(6):
        played = task.played(visit)
        assert isinstance(played, AtariConfig)
        assert played.game == task.layer(visit) == RUN["task"]["games"][visit % 3]
        assert (played.sticky, played.noop_max, played.protocol) == (0.25, 3, "dopamine")
        assert played.pool_options()["full_action_space"]
        assert task.visit_end(visit) == 101 * (visit + 1)
    assert task.agent_steps(None) == 606


def test_all_protocols_have_the_full_set_of_actions() -> None:
    assert all(sequence(protocol=name).full_action_space for name in PROTOCOLS)


def test_the_defaults_are_the_published_ones_and_a_sequence_has_a_name() -> None:
    task = SequentialAtariConfig.from_mapping({"games": "abbas2023_five"})
    assert task.games == ("alien", "atlantis", "boxing", "breakout", "centipede")
    assert task.visits == 2
    assert task.length == 5_000_000
    # 20 million frames are 1.25 million updates less the warm-up's.
    assert task.clock(None).starts[1] == (5_000_000 - 50_000) // 4
    assert task.switch.model_dump() == {
        "reset_optimizer": True,
        "clear_replay": True,
        "copy_target": True,
        "restart_epsilon": True,
        "fresh_network": False,
    }


def test_arms_that_switch_otherwise_start_from_the_same_weights() -> None:
    other = sequence(switch={"fresh_network": True}, utd=2.0, visits=7)
    assert sequence().seed_key == other.seed_key
    assert sequence(games=["alien"]).seed_key != other.seed_key


def test_epsilon_restarts_and_its_fractions_are_then_of_a_visit() -> None:
    again, once = sequence(), sequence(switch={"restart_epsilon": False})
    assert (again.explores_from(2), once.explores_from(2)) == (202, 0)
    half = Duration(fraction=0.5)
    assert again.learning_starts == 40
    assert [again.epsilon_length(half, None, visit) for visit in range(3)] == [30, 30, 30]
    assert once.epsilon_length(half, None) == (606 - 40) / 2
    assert again.epsilon_length(Duration(frames=40), None) == 10


@pytest.mark.parametrize("clear_replay", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_a_whole_line_of_epsilon_ends_with_what_it_is_a_line_of(
    clear_replay: bool, restart: bool
) -> None:
    """To the agent step: of each visit if it restarts, of the run if not."""
    from suite.launch.rllib.runner import Exploration
    from suite.rl.run import RLRun
    from suite.run_config import RunConfig

    switch = {"clear_replay": clear_replay, "restart_epsilon": restart}
    line = {"start": 1.0, "end": 0.1, "anneal": {"fraction": 1.0}}
    agent = {"kind": "dqn", "replay_capacity": 500, "epsilon": line}
    mapping = {**RUN, "task": {**RUN["task"], "switch": switch}, "agent": agent}
    run, ends = RLRun.of(RunConfig.from_mapping(mapping)), []
    task = run.task
    assert isinstance(task, SequentialAtariConfig)
    for visit in range(6):
        explore = Exploration.of(run, visit)
        begun = task.learns_from(visit) - task.explores_from(visit)
        over = task.visit_end(visit) - task.explores_from(visit)
        if restart:
            assert explore(begun) == 1.0 > explore(begun + 1)
            assert explore(over) == pytest.approx(0.1) != explore(over - 1)
        ends.append(explore(over))
    assert ends[-1] == pytest.approx(0.1)
    assert (ends[0] == ends[-1]) == restart


@pytest.mark.parametrize("clear_replay", [True, False])
def test_epsilon_falls_from_where_a_visit_s_updates_begin(clear_replay: bool) -> None:
    task = sequence(switch={"clear_replay": clear_replay})
    for visit in range(6):  # the line begins `learning_starts` after what epsilon counts from
        assert task.explores_from(visit) + task.learning_starts == task.learns_from(visit)


def test_evaluations_are_counted_within_visits_and_end_them() -> None:
    assert sequence().evaluations(None) == []
    every = {"episodes": 1, "every": {"agent_steps": 50}}
    task = sequence(games=["pong", "alien"], visits=1, evaluation=every)
    assert task.evaluations(None) == [50, 100, 101, 151, 201, 202]
    thirds = {"episodes": 1, "every": {"fraction": 0.34}}  # of a visit, in which they begin
    task = sequence(games=["pong", "alien"], visits=1, evaluation=thirds)
    assert task.evaluations(None) == [34, 68, 101, 135, 169, 202]
    at_ends = sequence(games=["pong", "alien"], visits=1, evaluation={"episodes": 1})
    assert at_ends.evaluations(None) == [101, 202]
    never = {"episodes": 1, "every": {"fraction": 0.0}}
    with pytest.raises(ConfigError, match=r"task\.evaluation\.every: got 0; expected at least one"):
        sequence(games=["pong", "alien"], visits=1, evaluation=never).evaluations(None)


def test_the_score_is_the_mean_over_games_of_their_latest_visits() -> None:
    task = sequence(games=["pong", "breakout"])
    assert (task.score, task.score_unit) == ((NORMALISED, ""), "1")
    pong, breakout = human_normalised("pong", 3.0), human_normalised("breakout", 20.0)
    assert task.visit_values(0, {"pong": 3.0}) == [
        (RETURN, "pong", 3.0),
        (NORMALISED, "pong", pong),
    ]
    assert task.visit_values(3, {"pong": 3.0, "breakout": 20.0}) == [
        (RETURN, "breakout", 20.0),
        (NORMALISED, "breakout", breakout),
        (RETURN, "", 11.5),
        (NORMALISED, "", (pong + breakout) / 2),
    ]
    unknown = sequence(games=["pong", "tetris"])  # without human score
    assert (unknown.score, unknown.score_unit) == ((RETURN, ""), "return")
    assert unknown.visit_values(1, {"pong": 3.0, "tetris": 5.0}) == [
        (RETURN, "tetris", 5.0),
        (RETURN, "", 4.0),
    ]


def test_a_visit_without_a_finished_game_leaves_no_score_of_an_earlier_one() -> None:
    task = sequence(games=["pong", "breakout"])
    overall = [(RETURN, ""), (NORMALISED, "")]
    pong, breakout = ([(RETURN, game), (NORMALISED, game)] for game in ("pong", "breakout"))

    def unknown(visit: int, latest: dict[str, float]) -> list[tuple[Any, ...]]:
        return [row[:2] for row in task.visit_values(visit, latest) if math.isnan(row[2])]

    assert unknown(0, {}) == pong  # means are not given before every game was visited
    assert unknown(1, {"breakout": 20.0}) == overall
    assert unknown(2, {"breakout": 20.0}) == [*pong, *overall]
    assert unknown(3, {"pong": 3.0}) == [*breakout, *overall]
    assert unknown(3, {"pong": 3.0, "breakout": 20.0}) == []


@pytest.mark.parametrize("clear_replay", [True, False])
@pytest.mark.parametrize("utd", [0.25, 0.3, 1.0, 2.0, 1 / 3])
def test_times_in_agent_steps_and_frames_count_every_warm_up(
    clear_replay: bool, utd: float
) -> None:
    task = sequence(utd=utd, switch={"clear_replay": clear_replay})
    clock = task.clock(None)
    for taken in range(607):
        expected = task.updates(taken)
        assert clock.moment(Duration(agent_steps=taken)) == expected
        assert clock.moment(Duration(frames=4 * taken)) == expected
        assert clock.moment(Duration(frames=4 * taken + 3)) == expected  # the next is not taken yet
    assert clock.moment(Duration(steps=70)) == 70
    assert clock.steps(Duration(agent_steps=70)) == round(70 * utd)  # a length, not a time


@pytest.mark.parametrize(
    ("overrides", "key", "expected"),
    [
        ({"task.games": ["pong", "pnog"]}, "task.games[1]", "'pong'"),
        ({"task.games": ["pong", "pong"]}, "task.games", "each once"),
        ({"task.games": []}, "task.games", "at least one"),
        ({"task.games": "abbas_five"}, "task.games", "abbas2023_five"),
        ({"task.games": 3}, "task.games", "a list"),
        ({"task.visits": 0}, "task.visits", "greater than or equal to 1"),
        ({"task.visit_length": {"epochs": 1.0}}, "task.visit_length", "agent steps or frames"),
        ({"task.visit_length": 1000}, "task.visit_length", "agent steps or frames"),
        ({"task.visit_length": {"agent_steps": 43}}, "task.visit_length", "learning_starts = 40"),
        ({"task.full_action_space": False}, "task.full_action_space", "True"),
        ({"task.switch": {"clear": True}}, "task.switch.clear", "clear_replay"),
        (
            {"task.switch": {"fresh_network": True, "copy_target": False}},
            "task.switch.copy_target",
            "true with fresh_network",
        ),
        ({"budget": {"agent_steps": 500}}, "budget", "task.visit_length"),
        ({"schedule": {"kind": "task_aligned", "then": "triggered"}}, "schedule", "trigger"),
        (
            {
                "schedule": {
                    "kind": "task_aligned",
                    "then": {"kind": "warmup_cosine", "warmup": 15},
                }
            },
            "schedule",
            "length = 15",
        ),
        ({"agent.epsilon.anneal": {"epochs": 1.0}}, "agent.epsilon.anneal", "epochs"),
    ],
)
def test_wrong_requests_name_the_key(overrides: dict[str, Any], key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        RunConfig.from_mapping(merge(RUN, overrides)).check()
    assert error.value.key.startswith(key)
    assert expected in f"{error.value.key} {error.value.expected}"
