"""Priming in the loop: when updates are made, on which data, rows, checkpoints inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import equal, facts

from suite.config import merge
from suite.run_config import RunConfig

STARTS = 40
RAINBOW = {"kind": "rainbow", "batch_size": 4, "replay_capacity": 300, "target_every": 7}
BREAKOUT = {
    "task": {"kind": "atari", "game": "breakout", "learning_starts": STARTS, "lanes": 2},
    "model": {"kind": "nature_cnn", "hidden": 16, "norm": "layer"},
    "agent": RAINBOW,
}

CAR = {"kind": "classic_control", "env": "MountainCar-v0", "learning_starts": STARTS}
"""No game ends before its 200th step, so every step of the lanes is an agent step of each."""

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _ray(started_ray: None) -> None:
    return started_ray


def primed_run(primed: int, utd: float = 1.0, agent_steps: int = 100, **changes: Any) -> Any:
    mapping = {
        "task": {"kind": "classic_control", "learning_starts": STARTS},
        "model": {"kind": "mlp", "width": 8, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 7},
        "optimizer": {"kind": "adam", "lr": 0.01},
        "interventions": ["nap"],
        "budget": {"agent_steps": agent_steps},
        "metrics": {"names": ["parameter_norm", "activation_pattern_change"], "every": 10},
    }
    mapping = {**mapping, **changes}
    task = {"utd": utd, "priming": {"updates": primed}}
    return RunConfig.from_mapping(merge(mapping, {"task": task}))


@pytest.fixture
def build() -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, its rows in a list ``told``."""
    from suite.launch.rllib.config import algorithm_config

    built: list[Any] = []

    def make(run: RunConfig, **settings: Any) -> Any:
        algorithm: Any = algorithm_config(run).training(**settings).build_algo()
        algorithm.told = []
        algorithm.recorder.sink = algorithm.told.extend
        built.append(algorithm)
        return algorithm

    yield make
    for algorithm in built:
        algorithm.stop()


def learnt(algorithm: Any) -> dict[str, Any]:
    """Return all that updates depend on or change."""
    learner = algorithm.learner
    return {
        "net": learner.net.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "replay": {k: torch.as_tensor(v) for k, v in algorithm.ring._arrays().items()},
        "counts": (algorithm.gradient_steps, algorithm.agent_steps, learner.step),
    }


def values(algorithm: Any, metric: str) -> list[tuple[int, int, float]]:
    """Return step, frames and value of the rows of a metric."""
    return [(row.step, row.frames, row.value) for row in algorithm.told if row.metric == metric]


def watch(algorithm: Any) -> list[tuple[int, int]]:
    """Return the list that agent steps and size of the replay will be added to at each update."""
    seen, learn = [], algorithm._learn

    def noting(*batch: Any) -> None:
        seen.append((algorithm.agent_steps, len(algorithm.ring)))
        learn(*batch)

    algorithm._learn = noting
    return seen


def called_for(utd: float, primed: int, agent_steps: int) -> list[int]:
    """Return the agent step that calls for each update, counted step by step."""
    credit, made = Fraction(0), []
    for taken in range(STARTS, agent_steps + 1):
        credit += Fraction(utd) if taken > STARTS else primed
        made += [taken] * int(credit)
        credit -= int(credit)
    return made


@pytest.mark.parametrize("utd", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("primed", [0, 1, 37, 100])
@pytest.mark.parametrize("lanes", [1, 3])
def test_updates_are_made_when_they_are_due(
    build: Callable[..., Any], utd: float, primed: int, lanes: int
) -> None:
    algorithm = build(primed_run(primed, utd, task={**CAR, "lanes": lanes}))
    seen = watch(algorithm)
    while not algorithm.finished:
        algorithm.advance()
    total = algorithm.clock.total
    assert total == primed + int(60 * Fraction(utd))
    due = called_for(utd, primed, 100)
    late = [taken - at for (taken, _), at in zip(seen, due, strict=True)]
    assert 0 <= min(late) <= max(late) < lanes, "at once, after whole steps of all lanes"
    first = -(-STARTS // lanes) * lanes
    assert [size for _, size in seen[:primed]] == [first] * primed, "on the first data alone"
    assert algorithm.learner.step == algorithm.gradient_steps == total


@pytest.mark.parametrize("utd", [0.25, 4.0])
@pytest.mark.parametrize("primed", [0, 1, 37])
@pytest.mark.parametrize("agent", [{}, RAINBOW], ids=["dqn", "rainbow"])
def test_a_run_is_the_plain_loop_to_the_last_bit(
    build: Callable[..., Any], utd: float, primed: int, agent: dict[str, Any]
) -> None:
    """Act, then all updates that are due, one after another: with no priming, as ever."""
    from suite.launch.rllib.algorithm import MOST_UPDATES as most

    changes: dict[str, Any] = {"agent": agent} if agent else {}
    run = primed_run(primed, utd, **changes)
    algorithm, plain = build(run), build(run)
    while not algorithm.finished:
        algorithm.advance()
    plain.visits.begin()
    credit = Fraction(0)
    while (before := plain.agent_steps) < 100:
        for arrival in plain.sampler.sample(1, plain.agent_steps):
            plain.remember(arrival)
        if plain.agent_steps < STARTS or plain.agent_steps == before:
            continue
        if plain.agent_steps == STARTS:
            plain.begin()
            credit += primed
        else:
            credit += Fraction(utd)
        due = int(credit)
        credit -= due
        while due > 0:  # by the same blocks, for the bits of their targets depend on them
            count = min(due, most, plain.at_once)
            sample = plain.draw(count)
            for batch in plain.learning.batches(sample, run.agent.batch_size):
                plain._learn(batch, sample.index)
            due -= count
        plain.sampler.sync(plain.learning.weights())
    assert plain.gradient_steps == plain.clock.total
    assert equal(learnt(algorithm), learnt(plain))
    assert algorithm.recorder.returns == plain.recorder.returns


SEQUENCES: dict[str, Any] = {
    "schedule": {"kind": "task_aligned", "then": {"kind": "linear", "end": 0.1}},
    "interventions": ["nap", {"kind": "reset", "layers": "head", "at_phases": True}],
}


@pytest.mark.parametrize(
    "changes",
    [SEQUENCES, {**SEQUENCES, "agent": RAINBOW}, {**SEQUENCES, **BREAKOUT}],
    ids=["dqn", "rainbow", "rainbow-breakout"],
)
def test_it_resumes_to_the_last_bit_in_the_middle_and_after(
    build: Callable[..., Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = primed_run(70, 0.5, agent_steps=80, **changes)
    whole = build(run)
    stops = [32, 64, 70, 80]
    while not whole.finished:
        whole.advance()
        if stops and whole.gradient_steps >= stops[0]:
            stop = stops.pop(0)
            assert whole.gradient_steps == stop, "bursts are spread over calls"
            whole.save_to_path(tmp_path / str(stop))
    assert not stops
    kept = facts(whole.told)
    for stop in (32, 64, 70, 80):
        restored = build(run)
        restored.restore_from_path(tmp_path / str(stop))
        assert restored.gradient_steps == stop
        while not restored.finished:
            restored.advance()
        assert equal(learnt(restored), learnt(whole)), stop
        told = facts(restored.told)
        assert told == kept[len(kept) - len(told) :]
        assert {fact[0] for fact in told} >= {stop + 10 - stop % 10, 90}


def test_rows_tell_where_it_is(build: Callable[..., Any]) -> None:
    task = {**CAR, "evaluation": {"episodes": 1, "every": {"agent_steps": 20}}}
    algorithm = build(primed_run(37, 0.5, task=task, **SEQUENCES))
    copied: list[int] = []
    net = algorithm.learner.net
    sync = net.sync_target

    def noting() -> None:
        copied.append(algorithm.learner.step)
        sync()

    net.sync_target = noting
    while not algorithm.finished:
        algorithm.advance()
    assert values(algorithm, "phase") == [(0, 0, 0.0), (37, STARTS, 1.0)]
    assert values(algorithm, "reset")[0][0] == 37
    measured = [0, 10, 20, 30, 37, 40, 50, 60, 67]
    rates = values(algorithm, "learning_rate")
    assert [step for step, _, _ in rates] == measured
    schedule = algorithm.run.build_schedule()
    assert [rate for _, _, rate in rates] == pytest.approx(
        [0.01 * schedule(max(step - 1, 0)) for step in measured]
    )
    assert rates[4][2] < 0.2 * rates[5][2], "the schedule restarts with the second phase"
    frames = [frames for _, frames, _ in rates]
    assert frames == [STARTS] * 5 + [46, 66, 86, 100]
    ratios = values(algorithm, "updates_per_agent_step")
    assert [(step, ratio) for step, _, ratio in ratios] == [(s, 0.5) for s in measured[5:]]
    # Target copies count gradient steps; a reset copies, too.
    assert copied == [*range(7, 37, 7), 37, *range(42, 68, 7)]
    evaluated = values(algorithm, "evaluation_return")
    assert [(step, frames) for step, frames, _ in evaluated] == [
        (0, STARTS),
        (37, STARTS),
        (47, 60),
        (57, 80),
        (67, 100),
    ]
    assert [r.step for r in algorithm.told] == sorted(r.step for r in algorithm.told)


@pytest.mark.parametrize(
    "limit", [{"iteration_s": 0.0}, {"iteration_s": 60.0, "iteration_agent_steps": 1}]
)
def test_an_iteration_ends_within_it(build: Callable[..., Any], limit: dict[str, Any]) -> None:
    algorithm = build(primed_run(200), **limit)
    made = [0]
    while not algorithm.train()["done"]:
        made.append(algorithm.gradient_steps)
    within = sorted({step for step in made if 0 < step < 200})
    assert within == [32, 64, 96, 128, 160, 192]
    assert algorithm.gradient_steps == algorithm.clock.total == 260


def test_an_iteration_is_as_many_updates_as_agent_steps(build: Callable[..., Any]) -> None:
    algorithm = build(primed_run(200, task=CAR), iteration_s=60.0, iteration_agent_steps=100)
    algorithm.train()
    assert (algorithm.agent_steps, algorithm.gradient_steps) == (STARTS, 64)
    algorithm.train()
    assert (algorithm.agent_steps, algorithm.gradient_steps) == (STARTS, 192)
    while not algorithm.train()["done"]:
        pass
    assert algorithm.gradient_steps == 260


def test_a_run_killed_in_the_middle_goes_on_from_there(
    folder_session: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib import config, trial

    monkeypatch.setattr(config, "ITERATION", 1)
    monkeypatch.setattr(trial, "SAVING", 1e9)  # checkpoints whenever they are due
    run = primed_run(200)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = folder_session(tmp_path / "whole")
    trial.train_rl(run, whole)
    first = folder_session(tmp_path / "killed", every=50, stop=100)
    with pytest.raises(KeyboardInterrupt):
        trial.train_rl(run, first)
    assert first.saved == 128
    assert first.progresses[-1] == (128, 260)
    second = folder_session(tmp_path / "killed")
    trial.train_rl(run, second)
    assert facts(first.rows) + facts(second.rows) == facts(whole.rows)


def test_a_replay_that_is_not_kept_is_filled_again_before_it_goes_on(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    run = primed_run(70, agent={**RAINBOW, "snapshot_gib": 0})
    first, second = build(run), build(run)
    while first.gradient_steps < 32:
        first.advance()
    first.save_to_path(tmp_path)
    second.restore_from_path(tmp_path)
    seen = watch(second)
    while not second.finished:
        second.advance()
    assert [value for *_, value in values(second, "replay_refill")] == [STARTS]
    assert seen[: 70 - 32] == [(STARTS, STARTS)] * (70 - 32)
    assert (second.gradient_steps, second.agent_steps) == (130, 100)


@pytest.mark.slow
def test_remote_runners_wait_until_it_is_over(build: Callable[..., Any]) -> None:
    run = primed_run(
        70, task={"kind": "classic_control", "learning_starts": STARTS, "lanes": 2, "runners": 2}
    )
    algorithm = build(run)
    seen = watch(algorithm)
    while not algorithm.finished:
        algorithm.advance()
    assert seen[:70] == [(STARTS, STARTS)] * 70
    assert algorithm.gradient_steps == 130
