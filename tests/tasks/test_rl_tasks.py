"""Tasks of the reinforcement-learning engine: exact ratios, units of time, what fits together."""

import numpy as np
import pytest

from suite.clock import Duration
from suite.errors import ConfigError
from suite.replay.frame_ring import FrameRing
from suite.run_config import RunConfig
from suite.tasks.atari import AtariConfig
from suite.tasks.classic_control import ClassicControlConfig

AGENT = {"kind": "dqn", "replay_capacity": 5000}
ATARI = {"task": {"kind": "atari", "game": "pong"}, "model": "nature_cnn", "agent": AGENT}
CARTPOLE = {"task": {"kind": "classic_control"}, "model": "mlp", "agent": AGENT}


@pytest.mark.parametrize(
    ("utd", "agent_steps", "updates"),
    [
        (0.3, 110, 3),  # as a float 10 * 0.3 is just below 3
        (1 / 3, 103, 1),
        (0.25, 103, 0),
        (0.25, 104, 1),
        (4.0, 101, 4),
        (1e-6, 1_000_100, 1),
        (1.0, 99, 0),
    ],
)
def test_updates_due(utd, agent_steps, updates):
    task = ClassicControlConfig(utd=utd, learning_starts=100)
    assert task.updates(agent_steps) == updates
    first = task.due(updates + 1)
    assert task.updates(first) >= updates + 1 > task.updates(first - 1)


def test_the_clock_counts_updates_frames_and_agent_steps():
    task = AtariConfig(game="pong", utd=0.25, learning_starts=1000)
    clock = task.clock(Duration(agent_steps=5000))
    assert clock == task.clock(Duration(frames=20_000))
    assert clock.total == 1000
    assert clock.steps(Duration(agent_steps=400)) == 100
    assert clock.steps(Duration(frames=1600)) == 100


@pytest.mark.parametrize("utd", [0.25, 0.3, 1 / 3, 0.7, 1.0, 2.5, 1234.567891])
def test_a_moment_in_agent_steps_is_the_number_of_updates_by_then(utd):
    task = AtariConfig(game="pong", utd=utd, learning_starts=50)
    clock = task.clock(Duration(agent_steps=500))
    for taken in range(501):
        assert clock.moment(Duration(agent_steps=taken)) == task.updates(taken)
        assert clock.moment(Duration(frames=4 * taken)) == task.updates(taken)


def test_durations_in_agent_steps():
    task = AtariConfig(game="pong", utd=0.25, learning_starts=1000)
    budget = Duration(agent_steps=5000)
    lengths = [
        (Duration(agent_steps=7), 7),
        (Duration(frames=400), 100),
        (Duration(steps=100), 400),
        (Duration(fraction=0.5), 2500),
    ]
    for duration, expected in lengths:
        assert task.in_agent_steps(duration, budget) == expected
    with pytest.raises(ConfigError, match="epochs"):
        task.in_agent_steps(Duration(epochs=1.0), budget)


@pytest.mark.parametrize(
    "budget", [None, Duration(steps=100), Duration(agent_steps=1003), Duration(frames=4000)]
)
def test_budgets_that_allow_no_update_are_refused(budget):
    task = AtariConfig(game="pong", utd=0.25, learning_starts=1000)
    with pytest.raises(ConfigError) as error:
        task.clock(budget)
    assert error.value.key == "budget"


def test_draws_do_not_depend_on_pace_or_protocol():
    task = AtariConfig(game="pong")
    other = AtariConfig(game="pong", utd=4.0, sticky=0.25, learning_starts=7)
    assert task.seed_key == other.seed_key == "atari/pong"
    assert AtariConfig(game="breakout").seed_key != task.seed_key
    assert ClassicControlConfig(utd=3.0).seed_key == "classic_control/CartPole-v1"
    assert (task.label, ClassicControlConfig().label) == ("atari_pong", "CartPole-v1")


def test_the_simulator_is_asked_for_raw_rewards_and_whole_games():
    task = AtariConfig(game="pong", max_episode_frames=400, sticky=0.25)
    options = task.pool_options()
    assert task.time_limit == 100
    assert options["repeat_action_probability"] == 0.25
    assert options["episodic_life"] is options["reward_clip"] is False


def test_the_memory_of_a_full_replay():
    for run in (RunConfig.from_mapping(m) for m in (ATARI, CARTPOLE)):
        shape = run.task.spec().inputs
        frame, dtype = (shape[1:], "uint8") if len(shape) == 3 else (shape, "float32")
        generator = np.random.default_rng(0)
        ring = FrameRing(10, 1, frame, dtype, run.task.stack, 1, 0.99, generator)
        assert run.task.replay_bytes(run.agent) == 5000 * ring.bytes_per_slot


@pytest.mark.parametrize(
    ("task", "agent", "key", "value", "said"),
    [
        ({"learning_starts": 24}, {}, "task.learning_starts", 24, "at least 25"),
        ({"learning_starts": 25}, {}, None, None, ""),
        ({"learning_starts": 25}, {"replay_capacity": 32}, "agent.replay_capacity", 32, "least 33"),
        ({"learning_starts": 25}, {"replay_capacity": 33}, None, None, ""),
        ({"learning_starts": 25, "runners": 2}, {}, "task.learning_starts", 25, "at least 49"),
        ({"learning_starts": 3, "lanes": 1}, {}, "task.learning_starts", 3, "at least 4"),
        ({"learning_starts": 4, "lanes": 1}, {}, None, None, ""),
    ],
)
def test_every_lane_must_hold_what_a_first_sample_needs(task, agent, key, value, said):
    mapping = {
        **CARTPOLE,
        "task": {"kind": "classic_control", "lanes": 8, **task},
        "agent": {**AGENT, "n_step": 3, "batch_size": 8, **agent},
        "budget": {"agent_steps": 1000},
    }
    run = RunConfig.from_mapping(mapping)
    if key is None:
        run.check()
        return
    with pytest.raises(ConfigError) as error:
        run.check()
    assert (error.value.key, error.value.value) == (key, value)
    assert said in error.value.expected
    assert "lane" in error.value.expected


@pytest.mark.parametrize("kind", ["atari", "classic_control"])
def test_smoke_runs_fit_together(smoke, kind):
    run = smoke(kind)
    run.task.check(run)
    assert RunConfig.from_mapping(run.model_dump()) == run
