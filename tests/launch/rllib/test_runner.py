"""The runner against envpool itself: observations, returns, marks and the count of steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suite.atari.games import GAMES, pool_name
from suite.replay.frame_ring import FrameRing
from suite.rl.envs import make_pool, pool_seed, spaces_of
from suite.rl.lanes import CHUNK, ActionLog
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.tasks.classic_control import ENVIRONMENTS


def breakout(lanes: int = 2, limit: int = 108_000, **task: Any) -> RLRun:
    run = RunConfig.from_mapping(
        {
            "task": {
                "kind": "atari",
                "game": "breakout",
                "learning_starts": 10_000,
                "lanes": lanes,
                "max_episode_frames": limit,
                **task,
            },
            "model": {"kind": "nature_cnn", "hidden": 8},
            "agent": "dqn",
            "budget": {"agent_steps": 20_000},
        }
    )
    return RLRun.of(run)


def cartpole(limit: int, lanes: int = 1, epsilon: float = 1.0, **task: Any) -> RunConfig:
    return RunConfig.from_mapping(
        {
            "task": {"kind": "classic_control", "lanes": lanes, "max_episode_steps": limit, **task},
            "model": {"kind": "mlp", "width": 8},
            "agent": {"kind": "dqn", "epsilon": {"start": epsilon, "end": epsilon}},
            "budget": {"agent_steps": 20_000},
        }
    )


class Watched:
    """A pool whose every observation is kept."""

    def __init__(self, pool: Any, first: NDArray[Any]) -> None:
        self.pool, self.seen = pool, [first]

    def step(self, actions: NDArray[Any]) -> Any:
        out = self.pool.step(actions)
        self.seen.append(out[0].copy())
        return out


def ring_for(runner: Any, capacity: int, n_step: int = 1) -> FrameRing:
    task = runner.task
    space = runner.spaces[0]
    frame = space.shape[1:] if task.stack > 1 else space.shape
    generator = np.random.default_rng(0)
    return FrameRing(capacity, task.lanes, frame, space.dtype, task.stack, n_step, 0.99, generator)


@pytest.mark.parametrize("limit", [108_000, 200])
def test_stacks_from_the_ring_equal_envpool_s_own(
    make_runner: Callable[..., Any], limit: int
) -> None:
    runner = make_runner(breakout(limit=limit))
    runner.lanes.pool = Watched(runner.lanes.pool, runner.lanes.obs.copy())
    ring = ring_for(runner, 2000)
    blocks = []
    for steps in (1, 63, 200, 136):
        rollout = runner.sample(steps=steps)
        ring.add(rollout.block)
        blocks.append(rollout.block.acted)
    acted = np.concatenate(blocks)  # (steps, lanes)
    assert not acted.all()  # some games ended
    window = ring.resolve(np.arange(2 * ring.slots))
    index = np.flatnonzero(window.eligible)
    batch = ring.gather(window.at(index))
    checked = 0
    for row, slot in enumerate(index):
        lane, place = divmod(int(slot), ring.slots)
        time = np.flatnonzero(acted[:, lane])[place]
        assert (batch.s_tm1[row] == runner.lanes.pool.seen[time][lane]).all()
        if batch.discount_t[row] > 0:
            assert (batch.s_t[row] == runner.lanes.pool.seen[time + 1][lane]).all()
            checked += 1
    assert checked > 600


@pytest.mark.parametrize("limit", [108_000, 300])
def test_returns_are_those_of_whole_games_in_an_independent_pool(
    make_runner: Callable[..., Any], limit: int
) -> None:
    run = breakout(limit=limit)
    runner = make_runner(run)
    rollout = runner.sample(steps=700)
    pool = make_pool(run.task, 2, pool_seed(run.seeds, 0, 0))
    pool.reset()
    scores, found, lives, losses = np.zeros(2), [], np.full(2, 5), 0
    for k, actions in enumerate(rollout.block.actions):
        _, reward, terminated, truncated, info = pool.step(actions)
        assert (rollout.block.rewards[k] == reward).all()
        scores += info["reward"]
        losses += int((info["lives"] < lives).sum())
        lives = info["lives"]
        for lane in np.flatnonzero(terminated | truncated):
            found.append(scores[lane])
            scores[lane] = 0.0
    assert [game.score for game in rollout.games] == found
    assert len(found) >= 4
    assert rollout.block.stops.sum() == losses  # the last life too
    assert rollout.agent_steps == rollout.block.acted.sum() == 1400 - len(found)
    if limit < 1000:
        assert {game.agent_steps for game in rollout.games} <= set(range(1, limit // 4 + 1))


def test_lives_stop_the_bootstrap_only_if_asked_to(make_runner: Callable[..., Any]) -> None:
    rollout = make_runner(breakout(life_loss_ends_bootstrap=False)).sample(steps=500)
    games = len(rollout.games)
    assert rollout.block.stops.sum() == games
    with_lives = make_runner(breakout()).sample(steps=500)
    assert with_lives.block.stops.sum() > 3 * games
    # The game itself is the same either way.
    assert (with_lives.block.frames == rollout.block.frames).all()
    assert (with_lives.block.starts == rollout.block.starts).all()


def test_a_time_limit_is_bootstrapped_through_and_a_fall_is_not(
    make_runner: Callable[..., Any],
) -> None:
    runner = make_runner(cartpole(limit=12))
    rollout = runner.sample(steps=400)
    ends = np.flatnonzero(~rollout.block.acted[:, 0])
    lengths = np.array([game.agent_steps for game in rollout.games])
    assert (lengths <= 12).all()
    assert (lengths == 12).any()
    assert (lengths < 12).any()
    for end, game in zip(ends, rollout.games, strict=False):
        x, _, angle, _ = rollout.block.frames[end, 0]
        fell = abs(x) > 2.4 or abs(angle) > np.deg2rad(12)
        assert rollout.block.stops[end - 1, 0] == fell
        assert fell or game.agent_steps == 12
        assert game.score == game.agent_steps
        if end + 1 < 400:
            assert rollout.block.starts[end + 1, 0]
    ring = ring_for(runner, 1000, n_step=3)
    ring.add(rollout.block)
    cut_short = [e for e in ends if not rollout.block.stops[e - 1, 0]]
    actions = rollout.block.acted[:, 0].cumsum()
    window = ring.resolve(actions[cut_short] - 2)  # two actions before the last observation
    assert window.eligible.all()
    batch = ring.gather(window)
    assert (batch.discount_t == np.float32(0.99**2)).all()
    assert np.allclose(batch.s_t, rollout.block.frames[cut_short, 0])


def test_the_same_seed_plays_the_same_games_and_another_others(
    make_runner: Callable[..., Any],
) -> None:
    run = breakout()
    blocks = [make_runner(r).sample(steps=60).block for r in (run, run)]
    assert (blocks[0].frames == blocks[1].frames).all()
    assert (blocks[0].actions == blocks[1].actions).all()
    other = make_runner(run.model_copy(update={"seed": 1})).sample(steps=60).block
    assert not (blocks[0].actions == other.actions).all()
    assert not (blocks[0].frames == other.frames).all()


@pytest.mark.parametrize("make", [cartpole, breakout])
def test_a_restored_runner_takes_its_actions_again(
    make_runner: Callable[..., Any], make: Callable[..., RunConfig]
) -> None:
    run = make(limit=600, lanes=3)
    runner, other = make_runner(run), make_runner(run)
    runner.sample(steps=CHUNK + 50)
    other.sample(steps=10)
    other.set_state(runner.get_state())
    assert other.continued
    mine, theirs = runner.sample(steps=100), other.sample(steps=100)
    for name, value in vars(mine.block).items():
        assert (value == getattr(theirs.block, name)).all(), name
    assert mine.games == theirs.games
    assert mine.agent_steps == theirs.agent_steps


def test_too_many_actions_are_not_kept() -> None:
    log = ActionLog(lanes=2, limit=5)
    for step in range(5):
        log.add(np.full(2, step))
    kept = log.actions()
    assert kept is not None
    assert kept.tolist() == [[step] * 2 for step in range(5)]
    log.add(np.zeros(2))
    assert log.actions() is None


def test_after_a_restore_the_pool_may_be_another_one(make_runner: Callable[..., Any]) -> None:
    run = cartpole(limit=500, resume_env="fresh")
    runner, other = make_runner(run), make_runner(run)
    first = runner.lanes.obs.copy()
    runner.sample(steps=20)
    other.set_state(runner.get_state())
    assert other.generation == 1
    assert not other.continued
    assert not (other.lanes.obs == first).all()
    assert other.num_env_steps_sampled_lifetime == runner.num_env_steps_sampled_lifetime
    drawn = runner.generator.random(3)
    assert (other.generator.random(3) == drawn).all()


@pytest.mark.parametrize(("epsilon", "lanes"), [(0.0, 1), (0.3, 4)])
def test_actions_are_greedy_but_for_epsilon(
    make_runner: Callable[..., Any], epsilon: float, lanes: int
) -> None:
    import torch

    runner = make_runner(cartpole(500, lanes, epsilon))
    rollout = runner.sample(steps=2000 // lanes)
    frames = torch.from_numpy(rollout.block.frames).flatten(0, 1)
    greedy = runner.module.greedy(frames).numpy()
    agreed = (rollout.block.actions.ravel() == greedy)[rollout.block.acted.ravel()].mean()
    assert agreed == pytest.approx(1 - epsilon / 2, abs=0.04 if epsilon else 0)


def test_epsilon_follows_the_run_s_agent_steps(make_runner: Callable[..., Any]) -> None:
    run = RunConfig.from_mapping(
        {
            "task": {"kind": "classic_control", "learning_starts": 100, "utd": 0.5},
            "model": {"kind": "mlp", "width": 8},
            "agent": {"kind": "dqn", "epsilon": {"start": 1.0, "end": 0.1, "anneal": 50}},
            "budget": {"agent_steps": 1000},
        }
    )
    line = make_runner(run).exploration  # 50 gradient steps are 100 agent steps
    assert [line(t) for t in (0, 99, 100, 150, 200, 900)] == [1.0, 1.0, 1.0, 0.55, 0.1, 0.1]


def test_spaces_are_what_the_tasks_say() -> None:
    box: Any
    discrete: Any
    for env, spec in ENVIRONMENTS.items():
        run = RunConfig.from_mapping(
            {
                "task": {"kind": "classic_control", "env": env},
                "model": {"kind": "mlp"},
                "agent": "dqn",
            }
        )
        box, discrete = spaces_of(make_pool(RLRun.of(run).task, 1, 0))
        assert (box.shape, box.dtype, discrete.n) == (spec.inputs.shape, np.float32, spec.outputs)
    box, discrete = spaces_of(make_pool(breakout(full_action_space=True).task, 1, 0))
    assert (box.shape, box.dtype, discrete.n) == ((4, 84, 84), np.uint8, 18)


def test_the_list_of_games_is_the_simulator_s() -> None:
    import envpool  # noqa: F401
    from envpool.registration import registry

    atari = {name for name, spec in registry.specs.items() if spec[0] == "envpool.atari"}
    assert {pool_name(game) for game in GAMES} == atari
