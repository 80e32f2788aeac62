"""Tasks of the reinforcement-learning engine: exact ratios, units of time, what fits together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from suite.agents.dqn import DqnConfig
from suite.clock import Duration
from suite.config import merge
from suite.errors import ConfigError
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
def test_updates_due(utd: float, agent_steps: int, updates: int) -> None:
    task = ClassicControlConfig(utd=utd, learning_starts=100)
    assert task.updates(agent_steps) == updates
    first = task.due(updates + 1)
    assert task.updates(first) >= updates + 1 > task.updates(first - 1)


def test_the_clock_counts_updates_frames_and_agent_steps() -> None:
    task = AtariConfig(game="pong", utd=0.25, learning_starts=1000)
    clock = task.clock(Duration(agent_steps=5000))
    assert clock == task.clock(Duration(frames=20_000))
    assert clock.total == 1000
    assert clock.steps(Duration(agent_steps=400)) == 100
    assert clock.steps(Duration(frames=1600)) == 100


@pytest.mark.parametrize("utd", [0.25, 0.3, 1 / 3, 0.7, 1.0, 2.5, 1234.567891])
def test_a_moment_in_agent_steps_is_the_number_of_updates_by_then(utd: float) -> None:
    task = AtariConfig(game="pong", utd=utd, learning_starts=50)
    clock = task.clock(Duration(agent_steps=500))
    for taken in range(501):
        assert clock.moment(Duration(agent_steps=taken)) == task.updates(taken)
        assert clock.moment(Duration(frames=4 * taken)) == task.updates(taken)


def test_durations_in_agent_steps() -> None:
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


@pytest.mark.parametrize("utd", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("learning_starts", [1, 100, 999])
def test_what_lasts_a_fraction_of_one_ends_with_the_run(utd: float, learning_starts: int) -> None:
    """Lines that begin with learning, times of evaluation, and lengths and times of a clock."""
    from suite.launch.rllib.runner import Exploration
    from suite.rl.replay import annealing

    whole: dict[str, Any] = {"fraction": 1.0}
    half = {"fraction": 0.5}
    run: Any = RunConfig.from_mapping(
        {
            **CARTPOLE,
            "task": {
                "kind": "classic_control",
                "utd": utd,
                "learning_starts": learning_starts,
                "evaluation": {"every": half},
            },
            "agent": {
                **AGENT,
                "prioritized": {"anneal": whole},
                "epsilon": {"start": 1.0, "end": 0.0, "anneal": whole},
            },
            "budget": {"agent_steps": 1100},
        }
    )
    explore, correct, clock = Exploration.of(run), annealing(run), run.clock()
    assert explore(1100) == 0.0 < explore(1099)
    assert explore((1100 + learning_starts) // 2) == pytest.approx(0.5, abs=0.01)
    assert correct(clock.total) == 1.0 > correct(clock.total - 1)
    assert run.task.evaluations(run.budget) == [550, 1100]
    assert clock.moment(Duration(**whole)) == clock.steps(Duration(**whole)) == clock.total


@pytest.mark.parametrize(
    "budget", [None, Duration(steps=100), Duration(agent_steps=1003), Duration(frames=4000)]
)
def test_budgets_that_allow_no_update_are_refused(budget: Duration | None) -> None:
    task = AtariConfig(game="pong", utd=0.25, learning_starts=1000)
    with pytest.raises(ConfigError) as error:
        task.clock(budget)
    assert error.value.key == "budget"


def test_draws_do_not_depend_on_pace_or_protocol() -> None:
    task = AtariConfig(game="pong")
    other = AtariConfig(game="pong", utd=4.0, sticky=0.25, learning_starts=7)
    assert task.seed_key == other.seed_key == "atari/pong"
    assert AtariConfig(game="breakout").seed_key != task.seed_key
    assert ClassicControlConfig(utd=3.0).seed_key == "classic_control/CartPole-v1"
    assert (task.label, ClassicControlConfig().label) == ("atari_pong", "CartPole-v1")


def test_the_simulator_is_asked_for_raw_rewards_and_whole_games() -> None:
    task = AtariConfig(game="pong", max_episode_frames=400, sticky=0.25)
    options = task.pool_options()
    assert task.time_limit == 100
    assert options["repeat_action_probability"] == 0.25
    assert options["episodic_life"] is options["reward_clip"] is False


@pytest.mark.parametrize("mapping", [ATARI, CARTPOLE])
@pytest.mark.parametrize("task", [{}, {"lanes": 7}, {"lanes": 3, "runners": 2}])
@pytest.mark.parametrize("agent", [{}, {"n_step": 5, "prioritized": {}}])
def test_the_memory_of_a_full_replay_is_that_of_its_arrays(
    mapping: dict[str, Any], task: dict[str, Any], agent: dict[str, Any]
) -> None:
    from gymnasium.spaces import Box

    from suite.rl.replay import make_ring

    length = {"budget": {"agent_steps": 200_000}}
    request = merge(merge(mapping, length), {"task": task, "agent": agent})
    run: Any = RunConfig.from_mapping(request)
    shape = run.task.spec().inputs.shape
    dtype = np.uint8 if len(shape) == 3 else np.float32
    ring: Any = make_ring(run, Box(0, 1, shape, dtype), torch.device("cpu"))
    arrays = [*ring._arrays().values(), ring._last_frames()]
    if run.agent.prioritized is not None:
        arrays = [*arrays[:-2], arrays[-1]]  # priorities are the tree's
    tree = ring.tree.nbytes if run.agent.prioritized is not None else 0
    assert run.task.replay_bytes(run.agent) == sum(a.nbytes for a in arrays) + tree
    assert ring.lanes * (ring.slots - ring.stack + 1 - ring.n_step) >= run.agent.replay_capacity


def test_a_short_time_limit_costs_a_last_observation_for_every_episode() -> None:
    def bytes_at(limit: int) -> int:
        task = ClassicControlConfig(max_episode_steps=limit)
        return task.replay_bytes(DqnConfig(replay_capacity=100_000))

    assert bytes_at(1) > bytes_at(10) > bytes_at(500)
    assert bytes_at(10) - bytes_at(500) == pytest.approx(
        100_000 * 16 * (1 / 10 - 1 / 500), rel=0.01
    )
    assert bytes_at(1) < 2 * bytes_at(500)


@pytest.mark.parametrize(
    ("task", "agent", "key", "value", "said"),
    [
        ({"learning_starts": 24}, {}, "task.learning_starts", 24, "at least 25"),
        ({"learning_starts": 25}, {}, None, None, ""),
        ({"learning_starts": 25}, {"replay_capacity": 8}, None, None, ""),
        ({"learning_starts": 25, "runners": 2}, {}, "task.learning_starts", 25, "at least 49"),
        ({"learning_starts": 3, "lanes": 1}, {}, "task.learning_starts", 3, "at least 4"),
        ({"learning_starts": 4, "lanes": 1}, {}, None, None, ""),
    ],
)
def test_every_lane_must_hold_what_a_first_sample_needs(
    task: dict[str, Any], agent: dict[str, Any], key: str | None, value: int | None, said: str
) -> None:
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
def test_smoke_runs_fit_together(smoke: Callable[..., RunConfig], kind: str) -> None:
    run = smoke(kind)
    run.task.check(run)
    assert RunConfig.from_mapping(run.model_dump()) == run


@pytest.mark.parametrize("every", [0, {"frames": 0}, {"fraction": 0.0}, {"fraction": 1e-6}])
def test_evaluations_without_a_step_between_them_are_refused(every: int | dict[str, Any]) -> None:
    task = {"kind": "classic_control", "evaluation": {"every": every}}
    mapping = {**CARTPOLE, "task": task, "budget": {"agent_steps": 20_000}}
    with pytest.raises(ConfigError, match=r"task\.evaluation\.every: got 0; expected at least one"):
        RunConfig.from_mapping(mapping).check()


def test_games_cut_before_their_first_agent_step_are_refused() -> None:
    task = {"kind": "atari", "game": "pong", "frame_skip": 4}
    allowed: Any = RunConfig.from_mapping(merge(ATARI, {"task": {"max_episode_frames": 4}}))
    assert allowed.task.time_limit
    with pytest.raises(ConfigError, match=r"max_episode_frames: got 3; .* frame_skip = 4"):
        RunConfig.from_mapping({**ATARI, "task": {**task, "max_episode_frames": 3}})
