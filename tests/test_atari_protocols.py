"""Protocols and sets of games: what the papers say, and that explicit keys win."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
import yaml

from suite.agents.dqn import DqnConfig
from suite.atari.games import GAMES
from suite.atari.protocols import DEFAULT, PROTOCOLS
from suite.atari.sets import GAME_SETS
from suite.clock import Duration
from suite.errors import ConfigError
from suite.run_config import RunConfig
from suite.tasks.atari import AtariConfig

TABLE = {
    "rainbow2018": (4, 0.0, True, True, 30, False, False, 108_000),
    "dopamine": (4, 0.25, False, True, 1, False, False, 108_000),
    "atari100k": (4, 0.0, True, True, 30, False, False, 108_000),
}
PACES = {
    ("rainbow2018", "dqn"): (0.25, 50_000),
    ("rainbow2018", "rainbow"): (0.25, 20_000),
    ("dopamine", "dqn"): (0.25, 20_000),
    ("dopamine", "rainbow"): (0.25, 20_000),
    ("atari100k", "der"): (1.0, 1_600),
}
"""Updates per agent step and agent steps before the first: of these agents alone."""

AGENTS = ("dqn", "rainbow", "der")
LENGTHS = {"rainbow2018": None, "dopamine": None, "atari100k": 100_000}
KEYS = (
    *("frame_skip", "sticky", "life_loss_ends_bootstrap", "clip_rewards"),
    *("noop_max", "fire_on_reset", "full_action_space", "max_episode_frames"),
)


def request(budget: Any = None, **task: Any) -> RunConfig:
    return RunConfig.from_mapping(
        {
            "task": {"kind": "atari", "game": "pong", "learning_starts": 1600, **task},
            "model": "nature_cnn",
            "agent": "dqn",
            "budget": budget,
        }
    )


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    assert set(TABLE) == set(PROTOCOLS)
    assert PROTOCOLS[name].values == dict(zip(KEYS, TABLE[name], strict=True))
    task = AtariConfig(game="pong", protocol=name)  # type: ignore[arg-type]
    assert {key: getattr(task, key) for key in KEYS} == PROTOCOLS[name].values
    assert task.time_limit == 27_000
    protocol = PROTOCOLS[name]
    length = protocol.agent_steps
    assert (None if length is None else length.value) == LENGTHS[name]
    for table in (protocol.sourced, *protocol.paces.values()):
        assert all(source for _, source in table.values())


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("kind", ["atari", "sequential_atari"])
def test_the_pace_is_the_protocol_s_for_the_agent(name: str, agent: str, kind: str) -> None:
    game = {"game": "pong"} if kind == "atari" else {"games": ["pong", "alien"]}
    budget = {"budget": {"agent_steps": 200_000}} if kind == "atari" else {}
    task = {"kind": kind, **game, "protocol": name}

    def asked(**more: Any) -> Any:
        mapping = {"task": {**task, **more}, "model": "nature_cnn", "agent": {"kind": agent}}
        return RunConfig.from_mapping({**mapping, **budget})

    assert set(PROTOCOLS[name].paces) == {a for n, a in PACES if n == name}
    if (name, agent) in PACES:
        run = asked()
        assert (run.task.utd, run.task.learning_starts) == PACES[name, agent]
        assert asked(utd=0.5).task.learning_starts == run.task.learning_starts
    else:
        with pytest.raises(ConfigError, match=f"{name} has none for {agent}, only for") as error:
            asked()
        assert error.value.key == "task.utd"
        with pytest.raises(ConfigError) as error:
            asked(utd=0.5)
        assert error.value.key == "task.learning_starts"
    run = asked(utd=2.0, learning_starts=77)
    assert (run.task.utd, run.task.learning_starts) == (2.0, 77)
    assert RunConfig.from_mapping(run.model_dump(mode="json")) == run


def test_the_default_protocol_and_bare_names_have_it_too() -> None:
    base = {"task": {"kind": "atari", "game": "pong"}, "model": "nature_cnn"}
    for agent, starts in (("dqn", 50_000), ("rainbow", 20_000)):
        for spelled in (agent, {"kind": agent}):
            run: Any = RunConfig.from_mapping({**base, "agent": spelled})
            assert run.task.learning_starts == starts
    assert AtariConfig(game="pong", protocol="atari100k").utd == 1.0
    assert AtariConfig(game="pong", protocol="atari100k").learning_starts == 1_600
    assert AtariConfig(game="pong", protocol="dopamine").learning_starts == 20_000


def test_agents_that_derive_from_one_have_its_pace() -> None:
    class Mine(DqnConfig):
        kind: Literal["mine"] = "mine"  # type: ignore[assignment]

    request = AtariConfig.for_agent({"game": "pong"}, Mine)
    assert request["learning_starts"] == 50_000


def test_the_default_protocol_is_what_the_fields_have_by_themselves() -> None:
    fields = AtariConfig.model_fields
    assert {key: fields[key].default for key in KEYS} == PROTOCOLS[DEFAULT].values
    assert AtariConfig(game="pong") == AtariConfig(game="pong", protocol=DEFAULT)
    assert AtariConfig(game="pong").default_budget is None
    pace = {key: fields[key].default for key in ("utd", "learning_starts")}
    assert pace == PROTOCOLS[DEFAULT].own_pace


def test_explicit_keys_win() -> None:
    task = AtariConfig(game="pong", protocol="dopamine", sticky=0.1, noop_max=30)
    assert (task.sticky, task.noop_max, task.life_loss_ends_bootstrap) == (0.1, 30, False)


@pytest.mark.parametrize("name", TABLE)
def test_configs_hold_plain_values_and_come_back_the_same(name: str) -> None:
    run = request({"agent_steps": 3000}, protocol=name, utd=1.0)
    plain = yaml.safe_load(yaml.safe_dump(run.model_dump(mode="json")))
    assert {key: plain["task"][key] for key in KEYS} == PROTOCOLS[name].values
    assert RunConfig.from_mapping(plain).run_id == run.run_id
    assert json.loads(run.task.canonical())["protocol"] == name


def test_the_length_of_a_run_of_atari_100k() -> None:
    run = request(protocol="atari100k", utd=1)
    run.check()
    assert run.budget == Duration(agent_steps=100_000)
    assert run.clock().total == 98_400
    shorter: Any = request({"frames": 40_000}, protocol="atari100k", utd=1)
    assert shorter.task.agent_steps(shorter.budget) == 10_000
    with pytest.raises(ConfigError, match="budget"):
        request().check()


@pytest.mark.parametrize(
    ("task", "key", "expected"),
    [
        ({"protocol": "atari_100k"}, "task.protocol", "'atari100k'"),
        ({"protocol": 3}, "task.protocol", "dopamine"),
        ({"game": "combat"}, "task.game", "one of: adventure"),  # for two players: not in envpool
        ({"game": "spaceinvaders"}, "task.game", "'space_invaders'"),
        ({"backend": "gym"}, "task.backend", "ale, envpool"),
        ({"kind": "classic_control", "backend": "ale"}, "task.backend", "envpool"),
        ({"kind": "classic_control", "env": "Pendulum-v1"}, "task.env", "discrete actions"),
    ],
)
def test_what_there_is_not_is_refused_with_one_message(
    task: dict[str, Any], key: str, expected: str
) -> None:
    mapping = {"kind": "atari", **task}
    if mapping["kind"] == "atari":
        mapping.setdefault("game", "pong")
    with pytest.raises(ConfigError, match=expected) as error:
        RunConfig.from_mapping({"task": mapping, "model": "nature_cnn", "agent": "dqn"})
    assert error.value.key == key


def test_sets_of_games() -> None:
    sizes = {name: len(games) for name, games in GAME_SETS.items()}
    assert sizes == {"atari57": 57, "atari20": 20, "atari19": 19, "atari100k": 26}
    for games in GAME_SETS.values():
        assert list(games) == sorted(set(games))
        assert set(games) <= set(GAME_SETS["atari57"]) <= set(GAMES)
    assert GAME_SETS["atari19"][:3] == ("alien", "asterix", "bank_heist")
    assert {"krull", "seaquest", "wizard_of_wor"} <= set(GAME_SETS["atari20"])
    assert {"freeway", "private_eye", "kung_fu_master"} <= set(GAME_SETS["atari100k"])
