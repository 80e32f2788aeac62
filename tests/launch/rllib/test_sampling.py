"""Remote runners: exact proportions, the same checkpoints, and what becomes of one that dies."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from suite.errors import ConfigError
from suite.run_config import RunConfig

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _ray(started_ray: None) -> None:
    return started_ray


def cartpole(agent_steps: int = 160, **task: Any) -> RunConfig:
    mapping = {
        "task": {"kind": "classic_control", "learning_starts": 40, **task},
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 7},
        "interventions": ["nap"],
        "budget": {"agent_steps": agent_steps},
    }
    return RunConfig.from_mapping(mapping)


def two_games(**task: Any) -> RunConfig:
    task |= {"kind": "sequential_atari", "games": ["breakout", "pong"], "visits": 1}
    task |= {"visit_length": {"agent_steps": 60}, "max_episode_frames": 400}
    task |= {"learning_starts": 40, "runners": 2}
    model = {"kind": "nature_cnn", "hidden": 8, "norm": "layer"}
    mapping = cartpole().model_dump(mode="json")
    return RunConfig.from_mapping({**mapping, "task": task, "model": model, "budget": None})


@pytest.fixture
def build() -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, its runners without cores."""
    from suite.launch.rllib.config import algorithm_config

    built: list[Any] = []

    def make(run: RunConfig) -> Any:
        config = algorithm_config(run).env_runners(num_cpus_per_env_runner=0)
        built.append(config.build_algo())
        return built[-1]

    yield make
    for algorithm in built:
        algorithm.stop()


def run_to_the_end(algorithm: Any) -> None:
    """Run; a block's updates are all made, `MOST_UPDATES` in a call, before the next is acted."""
    from suite.launch.rllib.algorithm import MOST_UPDATES

    left = False
    while not algorithm.finished:
        made, acted = algorithm.gradient_steps, algorithm.agent_steps
        algorithm.advance()
        assert not left or algorithm.agent_steps == acted
        due = min(algorithm.task.updates(algorithm.agent_steps), algorithm.clock.total)
        left = algorithm.gradient_steps < due
        assert algorithm.gradient_steps == (made + MOST_UPDATES if left else due)


@pytest.mark.parametrize(
    ("runners", "lanes", "utd", "overlap"),
    [
        (1, 1, 1.0, False),
        pytest.param(2, 3, 0.3, False, marks=pytest.mark.slow),
        pytest.param(2, 1, 2.0, True, marks=pytest.mark.slow),
        (3, 2, 0.25, True),
    ],
)
def test_updates_are_exact_at_any_number_of_runners_and_lanes(
    build: Callable[..., Any], runners: int, lanes: int, utd: float, overlap: bool
) -> None:
    algorithm = build(cartpole(runners=runners, lanes=lanes, utd=utd, overlap=overlap))
    run_to_the_end(algorithm)
    assert algorithm.gradient_steps == algorithm.clock.total
    assert (algorithm.ring._heads > 0).all()
    games = algorithm.recorder.games
    assert sum(algorithm.recorder.returns) <= algorithm.agent_steps
    assert games >= 1


@pytest.mark.slow
def test_one_remote_runner_acts_as_the_local_one_of_its_number_would(
    build: Callable[..., Any],
) -> None:
    remote, again = (build(cartpole(runners=2)) for _ in range(2))
    run_to_the_end(remote)
    run_to_the_end(again)
    for name, array in remote.ring._arrays().items():
        assert (array == again.ring._arrays()[name]).all(), name
    lanes = [remote.ring._rewards.reshape(2, -1), remote.ring._actions.reshape(2, -1)]
    assert (lanes[1][0] != lanes[1][1]).any()  # they explore apart


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [False, True])
def test_a_checkpoint_of_remote_runners_continues(
    build: Callable[..., Any], tmp_path: Path, overlap: bool
) -> None:
    run = cartpole(agent_steps=200, runners=2, overlap=overlap)
    whole, first, second = build(run), build(run), build(run)
    run_to_the_end(whole)
    while first.agent_steps < 120:
        first.advance()
    first.save_to_path(tmp_path)
    second.restore_from_path(tmp_path)
    assert second.sampler.continued
    assert second.agent_steps == first.agent_steps
    run_to_the_end(second)
    assert second.gradient_steps == whole.gradient_steps
    if not overlap:  # with it, the block that was being made meets older weights
        theirs = second.learner.net.state_dict()
        for name, value in whole.learner.net.state_dict().items():
            assert torch.equal(value, theirs[name]), name


@pytest.mark.slow
def test_a_runner_that_dies_is_replaced_and_its_lost_block_is_noted(
    build: Callable[..., Any],
) -> None:
    algorithm = build(cartpole(agent_steps=600, runners=2, utd=0.5))
    rows: list[Any] = []
    algorithm.recorder.sink = rows.extend
    while algorithm.agent_steps < 200:
        algorithm.advance()
    before = algorithm.ring._heads.copy()
    kill(algorithm, 1)
    while algorithm.agent_steps < 300:
        algorithm.advance()
    wait_for_a_new_life(algorithm, 1)  # the other acts on meanwhile, and could end the run
    run_to_the_end(algorithm)
    lost = [row for row in rows if row.metric == "lost_block"]
    assert [row.layer for row in lost] == ["runner 1"]
    assert (algorithm.ring._heads > before).all()  # both went on
    assert algorithm.sampler._generations == {1: 1, 2: 0}
    # No window reaches from the lost episode into the next one.
    ring = algorithm.ring
    starts = np.flatnonzero(ring._marks[: ring.slots] & 4)
    assert (ring._marks[starts[starts > 0] - 1] & 10 != 0).all()  # stopped or cut
    assert (ring._marks[starts[starts > 0] - 1] & 8 != 0).any()


def kill(algorithm: Any, runner: int) -> None:
    """Kill a runner's process and wait until it is gone."""
    import ray

    actor = algorithm.sampler.manager.actors()[runner]
    number = ray.get(actor.apply.remote(lambda runner: os.getpid()))
    os.kill(number, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/{number}") and time.monotonic() < deadline:
        time.sleep(0.05)


def wait_for_a_new_life(algorithm: Any, runner: int) -> None:
    """Wait until Ray has restarted a killed runner by itself."""
    import ray

    life, actor = algorithm.sampler._lives[runner], algorithm.sampler.manager.actors()[runner]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if ray.get(actor.life.remote()) != life:
                return
        except ray.exceptions.RayActorError:
            time.sleep(0.2)
    raise TimeoutError("the runner was not restarted")


def test_a_runner_that_dies_between_two_blocks_is_noticed(build: Callable[..., Any]) -> None:
    algorithm = build(cartpole(agent_steps=400, runners=2, utd=0.5))
    rows: list[Any] = []
    algorithm.recorder.sink = rows.extend
    while algorithm.agent_steps < 150:
        algorithm.advance()
    kill(algorithm, 1)
    wait_for_a_new_life(algorithm, 1)
    run_to_the_end(algorithm)
    assert [row.layer for row in rows if row.metric == "lost_block"] == ["runner 1"]
    assert algorithm.sampler._generations == {1: 1, 2: 0}


def test_runners_that_could_not_be_reached_begin_anew_in_the_visit_in_force(
    build: Callable[..., Any],
) -> None:
    """RLlib would give them the local runner's state: its visit and its generators."""
    import ray

    algorithm = build(two_games())
    while algorithm.visits.index == 0 or algorithm.agent_steps < 70:
        algorithm.advance()
    manager = algorithm.sampler.manager
    for runner in algorithm.sampler.runners:  # as if a call had failed
        manager.set_actor_state(runner, healthy=False)
    while min(algorithm.sampler._generations.values()) == 0 and not algorithm.finished:
        algorithm.train()
    assert algorithm.sampler._generations == {1: 1, 2: 1}
    states = ray.get([actor.get_state.remote() for actor in manager.actors().values()])
    assert [state["visit"] for state in states] == [1, 1]
    generators = [str(state["generator"]) for state in states]
    assert len({*generators, str(algorithm.env_runner.get_state()["generator"])}) == 3


def test_nobody_waits_for_a_runner_that_is_down_while_others_work(
    build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    algorithm = build(cartpole(agent_steps=2000, runners=2))
    while algorithm.agent_steps < 100:
        algorithm.advance()
    patience: list[float] = []
    wait = ray.wait

    def asks(*args: Any, timeout: float, **kw: Any) -> Any:
        patience.append(timeout)
        return wait(*args, timeout=timeout, **kw)

    monkeypatch.setattr(ray, "wait", asks)
    kill(algorithm, 1)
    deadline = time.monotonic() + 60
    while not patience and time.monotonic() < deadline:
        algorithm.advance()
    asked = len(patience)
    for _ in range(10):
        algorithm.advance()
    assert set(patience) == {0.0}
    assert asked <= len(patience) <= asked + 10


@pytest.mark.slow
def test_a_checkpoint_waits_for_a_runner_that_is_down(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    algorithm = build(cartpole(agent_steps=300, runners=2))
    while algorithm.agent_steps < 100:
        algorithm.advance()
    kill(algorithm, 2)
    algorithm.save_to_path(tmp_path)
    run_to_the_end(algorithm)
    assert algorithm.sampler._generations == {1: 0, 2: 1}


def test_a_save_that_takes_the_last_block_leaves_nothing_of_the_run_undone(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    evaluation = {"episodes": 1, "every": {"agent_steps": 50}}
    run = cartpole(agent_steps=100, runners=2, overlap=True, evaluation=evaluation)
    algorithm = build(run)
    rows: list[Any] = []
    algorithm.recorder.sink = rows.extend
    while algorithm.agent_steps < 98:
        algorithm.advance()
    assert (algorithm.agent_steps, algorithm.gradient_steps) == (98, 58)
    algorithm.save_to_path(tmp_path)
    assert algorithm.agent_steps == 100
    assert not algorithm.finished
    result = algorithm.train()
    assert result["done"]
    assert (algorithm.agent_steps, algorithm.gradient_steps) == (100, 60)
    assert [r.step for r in rows if r.metric == "evaluation_return"][1:] == [60]
    assert max(r.step for r in rows if r.metric == "learning_rate") == 60
    games = algorithm.recorder.games
    algorithm.save_to_path(tmp_path)
    assert (algorithm.agent_steps, algorithm.recorder.games) == (100, games)


def test_a_save_that_takes_a_visit_s_last_block_leaves_the_visit_to_be_closed(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    algorithm = build(two_games(overlap=True, evaluation={"episodes": 1}))
    rows: list[Any] = []
    algorithm.recorder.sink = rows.extend
    for end in (60, 120):
        while algorithm.agent_steps < end - 20:  # the warm-up is a block, and another is asked for
            algorithm.advance()
        algorithm.save_to_path(tmp_path)
        assert algorithm.agent_steps == end
        assert not algorithm.visits.over
        assert not algorithm.finished
        algorithm.advance()
        assert algorithm.visits.over
        assert algorithm.gradient_steps == algorithm.task.updates(end)
        visits = {r.layer: r.frames for r in rows if r.metric == "visit_return"}
        assert visits.pop("", 480) == 480
        assert list(visits.values()) == [240, 480][: end // 60]
    assert algorithm.finished


def visits_of(algorithm: Any) -> list[tuple[str, int]]:
    """Return the game that each remote runner really plays, and the visit it believes in."""
    import ray

    actors = algorithm.sampler.manager.actors()
    ask = [a.apply.remote(lambda r: (r.lanes.task.game, r.visit)) for a in actors.values()]
    return ray.get(ask)


def test_a_runner_restarted_unnoticed_is_saved_and_restored_in_the_visit_in_force(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    first, second = build(two_games()), build(two_games())
    rows: list[Any] = []
    first.recorder.sink = rows.extend
    while first.agent_steps < 100:
        first.advance()
    kill(first, 1)
    wait_for_a_new_life(first, 1)
    assert visits_of(first) == [("breakout", 0), ("pong", 1)]
    first.save_to_path(tmp_path)
    assert visits_of(first) == [("pong", 1)] * 2
    assert first.sampler._generations == {1: 1, 2: 0}
    assert [row.layer for row in rows if row.metric == "lost_block"] == ["runner 1"]
    # The action before is not followed by the new game's first frame, here and in the checkpoint.
    newest = first.ring._heads[0] - 1
    second.restore_from_path(tmp_path)
    for algorithm in (first, second):
        assert not algorithm.ring._marks[newest] & 1
    assert visits_of(second) == [("pong", 1)] * 2
    assert second.sampler._generations == {1: 1, 2: 0}
    # A checkpoint that has a runner in an earlier visit lets it begin anew in the visit in force.
    states = first.sampler.state()
    states[0]["visit"] = 0
    second.sampler.restore(states, 1)
    assert visits_of(second) == [("pong", 1)] * 2
    assert not second.sampler.continued
    assert second.sampler._generations == {1: 2, 2: 0}
    while not second.finished:
        second.advance()
    assert second.gradient_steps == second.clock.total


def test_overlap_needs_remote_runners() -> None:
    with pytest.raises(ConfigError) as caught:
        cartpole(overlap=True).check()
    assert caught.value.key == "task.overlap"
