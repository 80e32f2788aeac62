"""Environments of Gymnasium as the engine steps them, in this process and in others."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest

from suite.environments.failure import EnvironmentFailed
from suite.errors import ConfigError
from suite.rl.envs import make_pool, spaces_of
from suite.rl.lanes import Lanes
from suite.tasks.gym import GymConfig
from suite.tasks.rllib import RLlibTaskConfig

ENV = "Counting-v0"
WHERE = [pytest.param(False, id="here"), pytest.param(True, id="processes")]


def idle(lanes: Lanes, steps: int) -> None:
    for _ in range(steps):
        lanes.step(np.zeros(lanes.count, np.int32))


def marks(task: GymConfig, steps: int) -> list[tuple[float, bool, bool]]:
    """Return the steps shown, and both marks of an end, of one lane."""
    pool = make_pool(task, 1, seed=3)
    try:
        obs, info = pool.reset()
        assert info == {}
        found = [(obs[0, 1], False, False)]
        for _ in range(steps):
            obs, _, over, late, _ = pool.step(np.zeros(1, np.int32))
            found.append((obs[0, 1], bool(over[0]), bool(late[0])))
        return found
    finally:
        pool.close()


@pytest.mark.parametrize("processes", WHERE)
@pytest.mark.parametrize(
    ("kwargs", "limit", "length", "over", "late"),
    [
        ({"over": 3}, None, 3, True, False),
        ({"over": 9}, None, 6, False, True),  # the registered limit
        ({"over": 9}, 4, 4, False, True),
        ({"over": 4}, 4, 4, True, True),  # over on exactly the last step
        ({"over": 9, "cut": 2}, 4, 2, False, True),  # cut by the environment itself
    ],
)
def test_an_end_is_marked_and_the_next_step_begins_an_episode(
    kwargs: dict[str, Any], limit: int | None, length: int, over: bool, late: bool, processes: bool
) -> None:
    task = GymConfig(env=ENV, kwargs=kwargs, max_episode_steps=limit, processes=processes)
    episode = [(float(k), False, False) for k in range(length)] + [(float(length), over, late)]
    assert marks(task, 2 * length + 1) == episode * 2
    assert task.time_limit == (limit or 6)


@pytest.mark.parametrize("processes", WHERE)
def test_actions_and_rewards_are_the_environments_own(processes: bool) -> None:
    pool = make_pool(GymConfig(env=ENV, processes=processes), 3, seed=0)
    pool.reset()
    obs, rewards, *_ = pool.step(np.array([0, 1, 2], np.int32))
    pool.close()
    assert rewards.tolist() == [5, 6, 7]
    assert (rewards.dtype, obs.dtype) == (np.float32, np.float32)
    box, actions = spaces_of(pool)
    assert (box.shape, actions.n, actions.start) == ((2,), 3, 0)


@pytest.mark.parametrize("processes", WHERE)
def test_a_seed_says_all_episodes_and_lanes_count_on_from_it(processes: bool) -> None:
    def starts(seed: int, lanes: int) -> Any:
        pool = make_pool(GymConfig(env=ENV, processes=processes), lanes, seed)
        seen = [pool.reset()[0][:, 0]]
        seen += [pool.step(np.zeros(lanes, np.int32))[0][:, 0] for _ in range(10)]
        pool.close()
        return np.array(seen)

    both = starts(7, 2)
    np.testing.assert_array_equal(both, starts(7, 2))
    np.testing.assert_array_equal(both[:, 1:], starts(8, 1))
    assert len(set(both.reshape(-1))) == 2 * 3  # three episodes of two lanes


def test_processes_play_the_same_games() -> None:
    def played(processes: bool) -> tuple[Any, Any]:
        lanes = Lanes(GymConfig(env="CartPole-v1", processes=processes), 2, seed=5)
        generator = np.random.default_rng(0)
        seen = []
        for _ in range(100):
            lanes.step(generator.integers(2, size=2))
            seen.append(lanes.obs)
        lanes.close()
        return np.array(seen), lanes.take_games()

    here, there = played(False), played(True)
    np.testing.assert_array_equal(here[0], there[0])
    assert here[1] == there[1] != []


def test_lanes_return_to_a_step_by_repeating_its_actions() -> None:
    task = GymConfig(env="CartPole-v1")
    first, again = Lanes(task, 2, seed=1, keep=1000), Lanes(task, 2, seed=1)
    generator = np.random.default_rng(0)
    for _ in range(150):
        first.step(generator.integers(2, size=2))
    actions = first.log.actions()
    assert actions is not None
    again.replay(actions)
    np.testing.assert_array_equal(first.obs, again.obs)
    np.testing.assert_array_equal(first.over, again.over)
    assert GymConfig(env="CartPole-v1", resume_env="replay").kept_steps() > 10**9


@pytest.mark.parametrize("processes", WHERE)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise", "Counting-v0: step raised ZeroDivisionError: the motor is stuck"),
        ("shape", r"Counting-v0: step: an observation has shape \(3,\), .* says \(2,\)"),
    ],
)
def test_an_environment_that_breaks_down_is_named(fault: str, said: str, processes: bool) -> None:
    task = GymConfig(env=ENV, kwargs={"fault": fault}, processes=processes)
    lanes = Lanes(task, 2, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium prints the traceback of a process as one
        with pytest.raises(EnvironmentFailed, match=said):
            idle(lanes, 20)
    lanes.close()


def test_a_process_that_dies_is_an_error_and_the_others_end() -> None:
    lanes = Lanes(GymConfig(env=ENV, kwargs={"fault": "die"}, processes=True), 2, seed=0)
    processes = list(lanes.pool._env.processes)
    with pytest.raises(EnvironmentFailed, match="the process of an environment died"):
        idle(lanes, 20)
    lanes.close()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize(
    ("request_", "key", "said"),
    [
        ({"env": "Countin-v0"}, "task.env", "'Counting-v0'.*--plugin FILE"),
        ({"env": "no_such_module:X-v0"}, "task.env", "no_such_module"),
        ({"env": "Pendulum-v1"}, "task.env", "discrete actions, for Q-learning.*Box"),
        ({"env": ENV, "kwargs": {"ovr": 3}}, "task.kwargs", "arguments of Counting-v0.*'ovr'"),
        ({"env": "Blackjack-v1"}, "task.observation", "flatten: true"),
        ({"env": ENV, "observation": "image"}, "task.observation", "no such key"),
    ],
)
def test_what_cannot_be_used_is_refused(request_: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        GymConfig(**request_).spec()
    assert error.value.key == key


@pytest.mark.parametrize("name", ["seed", "num_envs", "max_episode_steps"])
def test_options_that_the_engine_sets_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"kwargs\.{name}: got 3; expected no such key"):
        GymConfig.from_mapping({"kind": "gym", "env": ENV, "kwargs": {name: 3}})


def test_an_environment_that_cannot_repeat_itself_begins_anew_after_a_restore() -> None:
    gymnasium.register("Random-v0", "gymnasium.envs.classic_control:CartPoleEnv")
    try:
        gymnasium.registry["Random-v0"].nondeterministic = True
        assert GymConfig(env="Random-v0", resume_env="replay").kept_steps() == 0
        assert GymConfig(env="Random-v0").time_limit is None
        assert RLlibTaskConfig(env="Random-v0", resume_env="replay").kept_steps() == 0
    finally:
        del gymnasium.registry["Random-v0"]


def test_a_module_before_the_colon_is_imported() -> None:
    task = GymConfig(env="gymnasium.envs:CartPole-v1")
    assert task.spec().inputs.shape == (4,)
    assert (task.label, task.seed_key) == ("CartPole-v1", "gym/gymnasium.envs:CartPole-v1")
