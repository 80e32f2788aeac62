"""ALE's vector environment against envpool: the same games, step for step and in distribution."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from suite.errors import ConfigError
from suite.replay.frame_ring import FrameRing
from suite.rl.envs import make_pool, spaces_of
from suite.rl.lanes import Lanes
from suite.run_config import RunConfig
from suite.tasks.atari import AtariConfig
from suite.tasks.classic_control import ClassicControlConfig
from suite.training.session import MemorySession

SAME = {"noop_max": 1, "fire_on_reset": True, "full_action_space": True}
"""Settings with which a game begins alike in both: all have the fire button, so both press it."""

BACKENDS = ("envpool", "ale")

LEVEL = 0.05
"""Chance of a false alarm in all games together."""


def atari(game: str, **task: Any) -> AtariConfig:
    return AtariConfig.from_mapping({"game": game, **task})


def follow(game: str, steps: int, lanes: int = 4, **task: Any) -> tuple[int, int, int]:
    """Take the same random actions in both back ends, comparing all that a runner reads.

    Returns:
        Number of games that were over, number that ran out of time, agent steps taken.
    """
    pools = [make_pool(atari(game, backend=b, **SAME, **task), lanes, 7) for b in BACKENDS]
    firsts = [pool.reset() for pool in pools]
    assert (firsts[0][0] == firsts[1][0]).all()
    generator = np.random.default_rng(0)
    over = timed_out = 0
    for _ in range(steps):
        actions = generator.integers(18, size=lanes).astype(np.int32)
        (obs, *marks, info), (obs2, *marks2, info2) = (pool.step(actions) for pool in pools)
        for mine, theirs in zip(marks, marks2, strict=True):
            assert mine.dtype == theirs.dtype
            assert (mine == theirs).all()
        for key in ("lives", "reward", "elapsed_step"):
            assert info[key].dtype == info2[key].dtype
            assert (info[key] == info2[key]).all(), key
        ended = marks[1]  # what is on the screen then is never learnt from
        assert obs.dtype == obs2.dtype
        assert (obs == obs2)[~ended].all()
        over += int(ended.sum())
        timed_out += int((marks[2] & ~ended).sum())
    return over, timed_out, steps * lanes - over - timed_out


def test_both_back_ends_play_the_same_games() -> None:
    over, timed_out, _ = follow("breakout", 400)
    assert over >= 4
    assert timed_out == 0


@pytest.mark.parametrize(("limit", "skip"), [(203, 4), (60, 1)])
def test_both_back_ends_run_out_of_time_alike(limit: int, skip: int) -> None:
    over, timed_out, agent_steps = follow(
        "breakout", 160, max_episode_frames=limit, frame_skip=skip
    )
    assert over == 0
    assert timed_out == 4 * (160 // (limit // skip + 1))
    assert agent_steps == 640 - timed_out


@pytest.mark.slow
@pytest.mark.parametrize("game", ["pong", "seaquest", "freeway", "space_invaders", "qbert"])
def test_both_back_ends_play_the_same_games_throughout(game: str) -> None:
    over, timed_out, _ = follow(game, 1200, lanes=2, max_episode_frames=4000)
    assert over + timed_out >= 2


def returns(task: AtariConfig, lanes: int, each: int, seed: int) -> NDArray[Any]:
    """Return the scores of the first `each` games of every lane, played at random."""
    played = Lanes(task, lanes, seed)
    generator = np.random.default_rng(seed)
    scores: list[list[float]] = [[] for _ in range(lanes)]
    actions = int(played.spaces[1].n)
    while min(map(len, scores)) < each:
        played.step(generator.integers(actions, size=lanes).astype(np.int32))
        for game in played.take_games():
            scores[game.lane].append(game.score)
    played.close()
    return np.array([lane[:each] for lane in scores]).ravel()


GAMES = {
    "asterix": "rainbow2018",
    "breakout": "dopamine",
    "frostbite": "dopamine",
    "ms_pacman": "rainbow2018",
    "qbert": "rainbow2018",
}
"""Games that are soon over when played at random, and the protocol that they are played by."""


@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_random_play_scores_alike_in_both_back_ends(game: str) -> None:
    """Two-sample Kolmogorov-Smirnov, Bonferroni over the games; no-ops and sticky actions drawn."""
    samples = [
        returns(atari(game, protocol=GAMES[game], backend=b), 10, 4, seed=11) for b in BACKENDS
    ]
    assert all(len(np.unique(sample)) >= 5 for sample in samples)
    found: Any = ks_2samp(samples[0], samples[1])
    means = [round(float(sample.mean()), 1) for sample in samples]
    assert found.pvalue > LEVEL / len(GAMES), (means, found.statistic)


def run_of(game: str, **task: Any) -> RunConfig:
    task = {"kind": "atari", "game": game, "backend": "ale", "learning_starts": 9000, **task}
    return RunConfig.from_mapping(
        {
            "task": task,
            "model": {"kind": "nature_cnn", "hidden": 8},
            "agent": "dqn",
            "budget": {"agent_steps": 10_000},
        }
    )


@pytest.mark.parametrize("limit", [108_000, 200])
def test_stacks_from_the_ring_equal_ale_s_own(make_runner: Callable[..., Any], limit: int) -> None:
    runner = make_runner(run_of("breakout", lanes=2, max_episode_frames=limit))
    pool, seen = runner.lanes.pool, [runner.lanes.obs.copy()]
    plain = pool.step

    def step(actions: NDArray[Any]) -> Any:
        out = plain(actions)
        seen.append(out[0].copy())
        return out

    pool.step = step
    ring = FrameRing(1000, 2, (84, 84), np.uint8, 4, 1, 0.99, np.random.default_rng(0))
    rollout = runner.sample(steps=400)
    ring.add(rollout.block)
    assert not rollout.block.acted.all()
    window = ring.resolve(np.arange(2 * ring.slots))
    index = np.flatnonzero(window.eligible)
    batch = ring.gather(window.at(index))
    for row, slot in enumerate(index):
        lane, place = divmod(int(slot), ring.slots)
        time = np.flatnonzero(rollout.block.acted[:, lane])[place]
        assert (batch.s_tm1[row] == seen[time][lane]).all()
        if batch.discount_t[row] > 0:
            assert (batch.s_t[row] == seen[time + 1][lane]).all()
    assert len(index) > 750


def test_observations_are_ale_s_own_but_for_black_frames_before_a_game() -> None:
    from ale_py.vector_env import AtariVectorEnv

    task = atari("breakout", backend="ale", noop_max=1)
    mine = make_pool(task, 3, 5)
    own = AtariVectorEnv(
        "breakout", 3, num_threads=1, noop_max=1, use_fire_reset=False, reward_clipping=False
    )
    theirs: Any
    stacks, theirs = mine.reset()[0], own.reset(seed=5)[0]
    generator = np.random.default_rng(0)
    since = np.zeros(3, int)
    for _ in range(300):
        for lane in range(3):
            kept = min(since[lane] + 1, 4)
            assert (stacks[lane, -kept:] == theirs[lane, -kept:]).all()
            assert (stacks[lane, :-kept] == stacks[lane, -kept]).all()
            assert not theirs[lane, :-kept].any()
        actions = generator.integers(4, size=3).astype(np.int32)
        stacks, rewards, terminated, *_ = mine.step(actions)
        theirs, raw, over, *_ = own.step(actions)
        assert (rewards == raw).all()
        assert (terminated == over).all()
        since = np.where(mine._elapsed == 0, 0, since + 1)
    assert (since < 290).all()


def test_the_same_seed_plays_the_same_games_and_another_others() -> None:
    def frames(seed: int) -> Lanes:
        lanes = Lanes(atari("breakout", backend="ale", sticky=0.25), 2, seed, keep=100)
        generator = np.random.default_rng(0)
        for _ in range(60):
            lanes.step(generator.integers(4, size=2).astype(np.int32))
        return lanes

    first, again, other = frames(3), frames(3), frames(4)
    assert (first.obs == again.obs).all()
    assert not (first.obs == other.obs).all()
    assert not (first.obs[0] == first.obs[1]).all()  # lanes draw apart
    replayed = Lanes(first.task, 2, 3)
    kept = first.log.actions()
    assert kept is not None
    replayed.replay(kept)
    assert (replayed.obs == first.obs).all()


def test_lives_and_marks_reach_the_runner(make_runner: Callable[..., Any]) -> None:
    with_lives = make_runner(run_of("breakout", lanes=2)).sample(steps=400)
    games = len(with_lives.games)
    assert games > 2
    assert with_lives.block.stops.sum() > 3 * games
    whole = make_runner(run_of("breakout", lanes=2, life_loss_ends_bootstrap=False))
    assert whole.sample(steps=400).block.stops.sum() == games


@pytest.mark.parametrize("backend", BACKENDS)
def test_spaces_are_those_of_one_environment(backend: str) -> None:
    task = atari("breakout", backend=backend)
    box: Any
    discrete: Any
    box, discrete = spaces_of(make_pool(task, 3, 0))
    assert (box.shape, box.dtype, discrete.n) == ((4, 84, 84), np.uint8, 4)


def test_tasks_that_ale_does_not_have_are_refused_by_name() -> None:
    task = ClassicControlConfig().model_copy(update={"backend": "ale"})
    with pytest.raises(ConfigError, match=r"task\.backend"):
        make_pool(task, 1, 0)


def test_a_back_end_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ConfigError, match=r"task\.backend: got 'envpool'"):
        make_pool(atari("pong"), 1, 0)


def test_an_environment_without_discrete_actions_is_refused() -> None:
    import gymnasium

    class Pool:
        observation_space = gymnasium.spaces.Box(0, 1, (3,))
        action_space = gymnasium.spaces.Box(-1, 1, (1,))

    with pytest.raises(ConfigError, match="discrete actions"):
        spaces_of(Pool())


@pytest.mark.ray
def test_a_run_trains_on_ale(started_ray: None, smoke: Callable[..., RunConfig]) -> None:
    from suite.launch.rllib.trial import train_rl

    run = smoke("atari", task={"backend": "ale", "game": "breakout"}, budget={"agent_steps": 300})
    run.check()
    session = MemorySession()
    train_rl(run, session)
    assert any(row.metric == "episode_return" for row in session.rows)
    assert max(row.step for row in session.rows) == 130


def test_the_games_of_the_suite_are_games_of_ale() -> None:
    from ale_py import roms

    from suite.atari.games import GAMES as KNOWN

    assert set(KNOWN) <= set(roms.get_all_rom_ids())
