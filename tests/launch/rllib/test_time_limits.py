"""An episode that is over on the very step of its time limit is over: nothing is bootstrapped.

What is true is found without any limit; limits one step shorter, equal and one longer must then cut
there, and only there, on the same games.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suite.rl.envs import SEEDS, make_pool
from suite.rl.lanes import Lanes
from suite.tasks.atari import AtariConfig
from suite.tasks.classic_control import ENVIRONMENTS, TIME_LIMITS, ClassicControlConfig
from suite.tasks.rl import RLTaskConfig
from suite.tasks.sequential_atari import SequentialAtariConfig

LONG = 5000
"""Agent steps that no episode here takes."""

Act = Callable[[NDArray[Any], np.random.Generator], Any]

CONTROL: dict[str, Act] = {
    "Acrobot-v1": lambda obs, rng: 2 if obs[5] > 0 else 0,  # swings up
    "CartPole-v1": lambda obs, rng: 1,
    "Catch-v0": lambda obs, rng: rng.integers(3),
    "LunarLander-v3": lambda obs, rng: 0,
    "MountainCar-v0": lambda obs, rng: 2 if obs[1] >= 0 else 0,
}
"""What to do in each environment to come to an end soon."""


def any_of(actions: int) -> Act:
    return lambda obs, rng: rng.integers(actions)


def play(
    task: RLTaskConfig, seed: int, act: Act, episodes: int = 1
) -> tuple[list[tuple[int, bool]], list[Any]]:
    """Play whole episodes in one lane: lengths, whether the return is complete there, all steps."""
    lanes, rng = Lanes(task, 1, seed), np.random.default_rng(seed)
    ends: list[tuple[int, bool]] = []
    seen: list[Any] = []
    while len(ends) < episodes:
        step = lanes.step(np.array([act(lanes.obs[0], rng)], np.int32))
        seen.append((lanes.obs[0].copy(), float(step.rewards[0]), bool(step.acted[0])))
        if step.ended[0]:
            (game,) = lanes.take_games()
            ends.append((game.agent_steps, bool(step.stops[0])))
    lanes.close()
    return ends, seen


def check_around_the_end(limited: Callable[[int], RLTaskConfig], seed: int, act: Act) -> None:
    (true_end,), free = play(limited(LONG), seed, act)
    length = true_end[0]
    assert true_end == (length, True)
    assert length < LONG
    for limit, stops in ((length - 1, False), (length, True), (length + 1, True)):
        (end,), seen = play(limited(limit), seed, act)
        assert end == (min(limit, length), stops), limit
        for mine, theirs in zip(seen, free, strict=False):
            assert (mine[0] == theirs[0]).all()
            assert mine[1:] == theirs[1:]


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_control_is_over_at_its_limit(env: str, seed: int) -> None:
    def limited(limit: int) -> ClassicControlConfig:
        return ClassicControlConfig(env=env, max_episode_steps=limit)

    check_around_the_end(limited, seed, CONTROL[env])


@pytest.mark.parametrize("backend", ["envpool", "ale"])
@pytest.mark.parametrize("frame_skip", [4, 3])
@pytest.mark.parametrize("life_loss", [False, True])
def test_atari_is_over_at_its_limit(backend: str, frame_skip: int, life_loss: bool) -> None:
    """Up to 30 idle frames before a game, which count towards no limit."""

    def limited(limit: int) -> AtariConfig:
        return AtariConfig(
            game="breakout",
            backend=backend,
            frame_skip=frame_skip,
            max_episode_frames=limit * frame_skip + frame_skip - 1,
            life_loss_ends_bootstrap=life_loss,
        )

    check_around_the_end(limited, 3, any_of(4))


@pytest.mark.parametrize("backend", ["envpool", "ale"])
def test_games_in_sequence_are_over_at_their_limit(backend: str) -> None:
    def limited(limit: int) -> RLTaskConfig:
        task = SequentialAtariConfig.from_mapping(
            {
                "games": ["pong", "breakout"],
                "visit_length": {"agent_steps": 1000},
                "learning_starts": 10,
                "backend": backend,
                "max_episode_frames": 4 * limit,
            }
        )
        return task.played(1)

    check_around_the_end(limited, 5, any_of(18))


@pytest.mark.parametrize(
    ("task", "limit", "fewest_ends"),
    [
        (ClassicControlConfig(max_episode_steps=11), 11, 4),
        (ClassicControlConfig(max_episode_steps=1), 1, 0),
        (ClassicControlConfig(env="LunarLander-v3", max_episode_steps=90), 90, 4),
        (ClassicControlConfig(env="MountainCar-v0"), 200, 0),
        (AtariConfig(game="breakout", max_episode_frames=203, sticky=0.25), 50, 0),
    ],
)
def test_cut_lanes_go_on_as_with_envpool_s_own_limit(
    task: ClassicControlConfig | AtariConfig, limit: int, fewest_ends: int
) -> None:
    """Several lanes, cut apart and together, against envpool with its limit."""
    import envpool

    mine, lanes = make_pool(task, 3, 4), 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = envpool.make(
            task.pool,
            env_type="gymnasium",
            num_envs=lanes,
            num_threads=1,
            seed=4 % SEEDS,
            max_episode_steps=limit,
            **task.pool_options(),
        )
        _ = own.observation_space, own.action_space  # which warn of their precision
    assert (mine.reset()[0] == own.reset()[0]).all()
    rng, cuts, ends = np.random.default_rng(0), 0, 0
    for _ in range(450):
        actions = rng.integers(mine.action_space.n, size=lanes).astype(np.int32)
        obs, rewards, over, late, info = mine.step(actions)
        obs2, rewards2, terminated, truncated, info2 = own.step(actions)
        assert (obs == obs2).all()
        assert (rewards == rewards2).all()
        assert ((over | late) == (terminated | truncated)).all()
        assert (over & ~late == terminated).all()
        if "lives" in info2:
            assert (info["lives"] == info2["lives"]).all()
            assert (over == info2["terminated"].astype(bool)).all()
        cuts, ends = cuts + int((late & ~over).sum()), ends + int(over.sum())
    assert cuts > 3
    assert ends >= fewest_ends


@pytest.mark.parametrize("backend", ["control", "envpool", "ale"])
def test_the_same_actions_lead_back_past_cuts(backend: str) -> None:
    task: RLTaskConfig = ClassicControlConfig(max_episode_steps=9)
    if backend != "control":
        task = AtariConfig(game="breakout", backend=backend, max_episode_frames=200, sticky=0.25)
    first, rng = Lanes(task, 3, 8, keep=1000), np.random.default_rng(0)
    actions = int(first.spaces[1].n)
    for _ in range(131):
        first.step(rng.integers(actions, size=3).astype(np.int32))
    assert len(first.take_games()) >= 3
    again = Lanes(task, 3, 8)
    kept = first.log.actions()
    assert kept is not None
    again.replay(kept)
    for _ in range(70):
        assert (again.obs == first.obs).all()
        assert (again.starts == first.starts).all()
        taken = rng.integers(actions, size=3).astype(np.int32)
        for mine, theirs in zip(
            *(vars(x.step(taken)).values() for x in (first, again)), strict=True
        ):
            assert (mine == theirs).all()
    assert first.take_games() == again.take_games()


def test_falls_at_the_limit_are_those_that_the_cart_shows() -> None:
    """The end of CartPole by its own rule (Barto et al. 1983), from what is seen."""
    lanes, rng = Lanes(ClassicControlConfig(max_episode_steps=12), 4, 0), np.random.default_rng(0)
    at_limit = []
    length = np.zeros(4, int)
    for _ in range(1500):
        step = lanes.step(rng.integers(2, size=4).astype(np.int32))
        length = (length + 1) * step.acted
        fell = (abs(lanes.obs[:, 0]) > 2.4) | (abs(lanes.obs[:, 2]) > np.deg2rad(12))
        assert (step.stops == fell & step.acted).all()
        at_limit += fell[step.ended & (length == 12)].tolist()
    assert 5 < sum(at_limit) < len(at_limit) - 5  # both happen at the limit


def test_time_limits_are_the_simulator_s() -> None:
    import envpool

    for env, limit in TIME_LIMITS.items():
        assert envpool.make_spec(env).config.max_episode_steps == limit
        assert ClassicControlConfig(env=env).time_limit == limit
    assert TIME_LIMITS.keys() == ENVIRONMENTS.keys()
