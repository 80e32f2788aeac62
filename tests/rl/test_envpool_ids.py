"""Any environment of envpool as the engine steps it."""

from __future__ import annotations

from typing import Any

import envpool
import numpy as np
import pytest

from suite.errors import ConfigError
from suite.rl.envs import make_pool, spaces_of
from suite.rl.lanes import Lanes
from suite.tasks.envpool import EnvpoolConfig

GRID = "MiniGrid-Empty-5x5-v0"
LEFT, RIGHT, FORWARD = 0, 1, 2
TO_THE_GOAL = (FORWARD, FORWARD, RIGHT, FORWARD, FORWARD)


def test_an_environment_is_left_as_it_is() -> None:
    """Same observations, rewards and marks as envpool's own, the time limit included."""
    task = EnvpoolConfig(env=GRID, observation="image", channels_last=True, max_episode_steps=7)
    pool = make_pool(task, 2, seed=4)
    own = envpool.make(GRID, env_type="gymnasium", num_envs=2, seed=4, max_episode_steps=7)
    image = own.reset()[0]["image"]
    np.testing.assert_array_equal(pool.reset()[0], image.transpose(0, 3, 1, 2))
    ends = 0
    for actions in np.random.default_rng(0).integers(7, size=(60, 2)).astype(np.int32):
        obs, *marks, info = pool.step(actions)
        expected, *own_marks, _ = own.step(actions)
        np.testing.assert_array_equal(obs, expected["image"].transpose(0, 3, 1, 2))
        for mark, own_mark in zip(marks, own_marks, strict=True):
            np.testing.assert_array_equal(mark, own_mark)
        ends += int(marks[2].sum())
        assert info == {}
    assert ends > 10
    pool.close()


def test_the_reward_is_that_of_the_published_time_limit() -> None:
    lanes = Lanes(EnvpoolConfig(env=GRID, flatten=True), 1, seed=0)
    steps = [lanes.step(np.array([action], np.int32)) for action in TO_THE_GOAL]
    (game,) = lanes.take_games()
    assert game.score == pytest.approx(1 - 0.9 * 5 / 100)
    assert (steps[-1].stops[0], steps[-1].ended[0]) == (True, True)
    assert not lanes.step(np.array([FORWARD], np.int32)).acted[0]
    lanes.close()


def test_a_time_limit_cuts() -> None:
    task = EnvpoolConfig(env=GRID, flatten=True, max_episode_steps=3)
    lanes = Lanes(task, 1, seed=0)
    steps = [lanes.step(np.array([LEFT], np.int32)) for _ in range(3)]
    assert [bool(step.ended[0]) for step in steps] == [False, False, True]
    assert not steps[-1].stops[0]
    assert (task.time_limit, EnvpoolConfig(env=GRID).time_limit) == (3, 100)
    lanes.close()


def test_parts_are_joined_in_the_order_of_the_keys() -> None:
    task = EnvpoolConfig(env=GRID, observation=("direction", "image"), flatten=True)
    pool = make_pool(task, 1, seed=0)
    assert task.spec().inputs.shape == (4 + 7 * 7 * 3,)
    assert task.spec().outputs == 7
    facing = [pool.reset()[0][0, :4]]
    facing += [pool.step(np.array([RIGHT], np.int32))[0][0, :4] for _ in range(3)]
    np.testing.assert_array_equal(facing, np.eye(4))
    box, actions = spaces_of(pool)
    assert (box.shape, int(actions.n)) == ((151,), 7)
    pool.close()


@pytest.mark.parametrize("env", ["Snake-v1", "highway-v0", "Maze-v0", "LunarLander-v3"])
def test_other_families_work(env: str) -> None:
    lanes = Lanes(task := EnvpoolConfig(env=env, flatten=True), 2, seed=0)
    generator = np.random.default_rng(0)
    for _ in range(20):
        lanes.step(generator.integers(task.spec().outputs, size=2).astype(np.int32))
    assert lanes.obs.shape == (2, *task.spec().inputs.shape)
    assert lanes.obs.dtype == np.float32
    lanes.close()


@pytest.mark.parametrize(
    ("request_", "key", "said"),
    [
        ({"env": "MiniGrid-Empty-5x6-v0"}, "task.env", "MiniGrid-Empty-"),
        ({"env": "Pendulum-v1"}, "task.env", "discrete actions, for Q-learning.*Box"),
        ({"env": "IntersectionMultiAgent-v0"}, "task.env", "one player"),
        ({"env": GRID}, "task.observation", "direction, image, mission"),
        ({"env": GRID, "observation": "imag"}, "task.observation", "'image'"),
        ({"env": GRID, "kwargs": {"siz": 3}}, "task.kwargs.siz", "'size'"),
        ({"env": GRID, "kwargs": {"size": "x"}}, "task.kwargs", "what envpool can make"),
    ],
)
def test_what_cannot_be_used_is_refused(request_: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        EnvpoolConfig(**request_).spec()
    assert error.value.key == key


def test_options_change_the_environment() -> None:
    options: dict[str, Any] = {"agent_view_size": 5}
    task = EnvpoolConfig(env=GRID, kwargs=options, observation="image")
    assert task.spec().inputs.shape == (5, 5, 3)
    pool = make_pool(task, 1, seed=0)
    assert pool.reset()[0].shape == (1, 5, 5, 3)
    pool.close()


@pytest.mark.parametrize("name", ["seed", "env_seed", "num_threads", "batch_size"])
def test_options_that_the_engine_sets_are_refused(name: str) -> None:
    mapping = {"kind": "envpool", "env": GRID, "kwargs": {name: 3}}
    with pytest.raises(ConfigError, match=rf"kwargs\.{name}: got 3; expected no such key"):
        EnvpoolConfig.from_mapping(mapping)
