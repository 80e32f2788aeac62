"""Runs over several games: exact boundaries, what a switch forgets, and how they are resumed."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from suite.config import merge
from suite.rl.run import RLRun
from suite.run_config import RunConfig

pytestmark = pytest.mark.ray

LENGTH = 90
BASE = {
    "task": {
        "kind": "sequential_atari",
        "games": ["breakout", "pong"],
        "visits": 2,
        "visit_length": {"agent_steps": LENGTH},
        "learning_starts": 40,
        "utd": 0.5,
        "max_episode_frames": 120,  # games of 30 agent steps
    },
    "model": {"kind": "nature_cnn", "hidden": 8, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 7},
    "optimizer": {"kind": "adam", "lr": 0.01},
    "interventions": ["nap"],
    "metrics": {"names": ["parameter_norm"], "every": 5},
}
RAINBOW = {"kind": "rainbow", "batch_size": 4, "replay_capacity": 300, "target_every": 7}


def sequence(**overrides: Any) -> RLRun:
    return RLRun.of(RunConfig.from_mapping(merge(BASE, overrides)))


def advance_to(algorithm: Any, agent_steps: int) -> None:
    while algorithm.agent_steps < agent_steps:
        algorithm.advance()


def weights(network: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in network.parameters()]


def same(one: Iterable[Tensor], other: Iterable[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def moments(learner: Any) -> list[float]:
    return [v.abs().sum().item() for s in learner.optimizer.state.values() for v in s.values()]


@pytest.mark.parametrize(("utd", "lanes"), [(0.25, 1), (1.0, 1), (2.0, 1), (0.25, 4), (1.0, 7)])
def test_boundaries_and_updates_are_exact(
    build: Callable[..., Any], utd: float, lanes: int
) -> None:
    run = sequence(**{"task.utd": utd, "task.lanes": lanes})
    algorithm, rows = build(run)
    task, within = run.task, int((LENGTH - 40) * utd)
    ends = []
    while not algorithm.finished:
        algorithm.advance()
        assert algorithm.gradient_steps == task.updates(algorithm.agent_steps)
        assert algorithm.learner.step == algorithm.gradient_steps
        if algorithm.visits.over:
            ends.append((algorithm.agent_steps, algorithm.gradient_steps))
    assert ends == [(LENGTH * k, within * k) for k in range(1, 5)]
    phases = [(row.step, row.frames, row.value) for row in rows if row.metric == "phase"]
    assert phases == [(within * k, 4 * LENGTH * k, float(k)) for k in range(4)]
    ratios = [row for row in rows if row.metric == "updates_per_agent_step"]
    assert ratios
    for row in ratios:
        # An update is made when it is due; of several lanes the last step may be beyond that.
        due = task.due(row.step)
        assert due <= row.frames // 4 < due + lanes
        counted = row.frames // 4 - task.waited(row.frames // 4)
        assert row.value == row.step / counted
        if lanes == 1:  # a visit's last part of an update is not made up for
            assert 0 <= utd * counted - row.step < 1 + (row.frames // 4 - 1) // LENGTH + utd
    assert [row.step for row in rows] == sorted(row.step for row in rows)
    assert [row.frames for row in rows] == sorted(row.frames for row in rows)


def test_the_replay_has_no_frame_of_the_earlier_game(build: Callable[..., Any]) -> None:
    algorithm, _ = build(sequence(agent=RAINBOW, **{"task.lanes": 2}))

    def frames() -> set[bytes]:
        ring, found = algorithm.ring, set()
        for _ in range(20):
            sample = ring.sample(16, ring.uniform)
            stacks = np.concatenate([sample.s_tm1, sample.s_t]).reshape(-1, 84, 84)
            found |= {frame.tobytes() for frame in stacks}
            ring.update(sample.index, np.ones(16, np.float32))
        return found

    games = []
    for visit in range(3):
        advance_to(algorithm, LENGTH * visit + 40)
        assert algorithm.visits.index == visit
        assert len(algorithm.ring) <= 44
        assert algorithm.ring.largest_seen == 1.0
        assert algorithm.ring.tree.total == pytest.approx(
            np.count_nonzero(algorithm.ring.tree.values)
        )
        games.append(frames())
        advance_to(algorithm, LENGTH * (visit + 1))
    for one, other in pairwise(games):
        assert not one & other


def test_a_kept_replay_goes_on_without_a_warm_up_or_windows_across_games(
    build: Callable[..., Any],
) -> None:
    algorithm, _ = build(sequence(**{"task.switch.clear_replay": False}))
    advance_to(algorithm, LENGTH)
    assert algorithm.gradient_steps == 25
    held = len(algorithm.ring)
    last = algorithm.ring._heads[0] - 1  # what followed its action is not known, so it goes
    advance_to(algorithm, LENGTH + 2)
    assert algorithm.gradient_steps == 26
    assert len(algorithm.ring) == held - 1 + 2
    assert 0.99 < algorithm.env_runner.exploration(algorithm._explored) < 1.0
    window = algorithm.ring.resolve(np.asarray([last - 1, last]))
    assert window.cut[0] or window.stopped[0]
    assert window.depth[1] == 0


def test_by_default_a_switch_leaves_the_weights_alone(build: Callable[..., Any]) -> None:
    algorithm, _ = build(sequence())
    advance_to(algorithm, LENGTH)
    learner, before = algorithm.learner, weights(algorithm.learner.net.q)
    assert all(moments(learner))
    assert not same(before, weights(learner.net.target))
    algorithm._enter()
    assert same(weights(learner.net.q), before)
    assert same(weights(learner.net.target), before)
    assert not any(moments(learner))
    assert len(algorithm.ring) == 0
    runner = algorithm.env_runner
    assert runner.lanes.task.game == "pong"
    assert runner.lanes.log.steps == 0
    assert algorithm.env_runner.exploration(algorithm._explored) == 1.0


def test_what_is_switched_off_is_left_alone(build: Callable[..., Any]) -> None:
    off = dict.fromkeys(("reset_optimizer", "copy_target", "restart_epsilon"), False)
    anneal = {"agent.epsilon.anneal": {"agent_steps": 20}}
    algorithm, _ = build(sequence(**{"task.switch": off}, **anneal))
    advance_to(algorithm, LENGTH)
    learner = algorithm.learner
    kept, target = moments(learner), weights(learner.net.target)
    algorithm._enter()
    assert moments(learner) == kept
    assert same(weights(learner.net.target), target)
    assert algorithm.env_runner.exploration(algorithm._explored) == 0.1


def test_a_fresh_network_begins_each_game_anew_from_the_run_s_own_stream(
    build: Callable[..., Any],
) -> None:
    fresh = sequence(**{"task.switch.fresh_network": True})
    (algorithm, rows), (plain, _) = build(fresh), build(sequence())
    for one in (algorithm, plain):
        advance_to(one, LENGTH)
    q = algorithm.learner.net.q
    assert same(weights(q), weights(plain.learner.net.q))  # paired until then
    algorithm._enter()
    assert same(weights(q), weights(algorithm.learner._fresh(25)))
    assert same(weights(q), weights(algorithm.learner.net.target))
    assert same(weights(q), weights(algorithm.env_runner.module.q))
    assert not any(moments(algorithm.learner))
    advance_to(algorithm, 4 * LENGTH)
    resets = [(row.layer, row.value) for row in rows if row.metric == "reset"]
    assert resets == [("all", 1.0)] * 3


def test_the_schedule_restarts_and_returns_are_told_apart_by_game(
    build: Callable[..., Any],
) -> None:
    schedule = {"kind": "task_aligned", "then": {"kind": "warmup_cosine", "warmup": 4}}
    algorithm, rows = build(sequence(schedule=schedule, metrics={"names": [], "every": 1}))
    while not algorithm.finished:
        algorithm.train()
    found = defaultdict(list)
    for row in rows:
        found[row.metric, row.layer].append(row)
    rates = {row.step: row.value for row in found["learning_rate", ""]}
    for visit in range(4):
        in_visit = [rates[25 * visit + t] for t in range(1, 26)]
        assert in_visit == [rates[t] for t in range(1, 26)]
        assert in_visit[0] == 0.0  # the first update of a visit is that of step 0
        assert max(in_visit) == in_visit[4] == 0.01
    visits = {"breakout": (0, 2), "pong": (1, 3)}
    last = {}
    for game, (first, second) in visits.items():
        for metric in ("episode_return", "mean_return_20"):
            for row in found[metric, game]:
                # A game that ends with a visit is of that visit.
                assert (row.frames - 1) // (4 * LENGTH) in (first, second)
        returns = [
            [r.value for r in found["episode_return", game] if (r.frames - 1) // (4 * LENGTH) == v]
            for v in (first, second)
        ]
        means = [row.value for row in found["visit_return", game]]
        assert means == [pytest.approx(np.mean(values)) for values in returns]
        last[game] = means[-1]
    overall = found["visit_return", ""]
    assert [row.frames for row in overall] == [4 * LENGTH * k for k in (2, 3, 4)]
    assert overall[-1].value == pytest.approx(np.mean([*last.values()]))
    assert found["human_normalised_visit_return", ""][-1].step == 100
    assert not found["mean_return_20", ""]


def test_evaluations_play_the_game_at_hand(build: Callable[..., Any]) -> None:
    evaluation = {"episodes": 1, "every": {"agent_steps": 60}}
    algorithm, rows = build(sequence(**{"task.evaluation": evaluation, "task.visits": 1}))
    advance_to(algorithm, 2 * LENGTH)
    found = [(r.frames // 4, r.layer) for r in rows if r.metric == "evaluation_return"]
    assert found == [(60, "breakout"), (90, "breakout"), (150, "pong"), (180, "pong")]
    values = [r.value for r in rows if r.metric == "evaluation_return"]
    ends = [r.value for r in rows if r.metric == "visit_return" and r.layer]
    assert ends == values[1::2]


def test_a_visit_is_evaluated_before_the_next_one_begins_with_a_reset(
    build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib import algorithm as module
    from suite.launch.rllib.evaluator import evaluate as play

    reset = {"kind": "reset", "layers": "all", "at_phases": True}
    asked = {"task.evaluation": {"episodes": 1}, "interventions": [reset], "task.visits": 1}
    algorithm, rows = build(sequence(**asked))
    seen: list[list[Tensor]] = []

    def evaluate(run: RunConfig, config: Any, network: Any, *others: Any) -> Any:
        seen.append(weights(network.q))
        return play(run, config, network, *others)

    monkeypatch.setattr(module, "evaluate", evaluate)
    advance_to(algorithm, LENGTH)
    drawn = weights(algorithm.learner._fresh(25))
    assert algorithm.gradient_steps == 25
    assert len(seen) == 1
    assert same(seen[0], weights(algorithm.learner.net.q))
    assert not same(seen[0], drawn)
    first = len(seen[0])
    begun: list[list[Tensor]] = []
    learn = algorithm.learning.learn

    def watched(sample: Any) -> None:
        if not begun:
            monkeypatch.setattr(
                algorithm.learner.net,
                "sync_target",
                lambda: begun.append(weights(algorithm.learner.net.q)),
            )
        learn(sample)

    monkeypatch.setattr(algorithm.learning, "learn", watched)
    while algorithm.gradient_steps < 26:
        algorithm.advance()
    assert len(begun[0]) == first
    assert same(begun[0], drawn), "the target is copied from the network as it was drawn"
    assert [(r.step, r.layer) for r in rows if r.metric == "reset"] == [(25, "all")]


def state(algorithm: Any) -> list[Tensor]:
    learner = algorithm.learner
    arrays = {name: torch.as_tensor(a) for name, a in algorithm.ring._arrays().items()}
    filled = algorithm.ring._filled()
    return [
        *learner.net.state_dict().values(),
        *(v for s in learner.optimizer.state.values() for v in s.values()),
        *(array[:, :filled] for array in arrays.values()),
        torch.as_tensor(algorithm.ring._last_frames()[:, : algorithm.ring._filled_lasts()]),
    ]


def facts(rows: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.step, r.frames, *r[3:]) for r in rows if not r.metric.endswith("_per_s")]


@pytest.mark.parametrize(
    "agent",
    [
        pytest.param(BASE["agent"], id="dqn", marks=pytest.mark.slow),
        pytest.param(RAINBOW, id="rainbow"),
    ],
)
def test_runs_resume_across_switches_to_the_last_bit(
    build: Callable[..., Any], tmp_path: Path, agent: dict[str, Any]
) -> None:
    schedule = {"kind": "task_aligned", "then": {"kind": "warmup_cosine", "warmup": 4}}
    run = sequence(agent=agent, schedule=schedule, **{"task.lanes": 2, "task.resume_env": "replay"})
    whole, rows = build(run)
    advance_to(whole, 3 * LENGTH)
    # In a visit before a switch, at the boundary itself, and in the warm-up of a visit.
    for at in (LENGTH - 10, LENGTH, 2 * LENGTH + 20):
        first, before = build(run)
        advance_to(first, at)
        folder = tmp_path / str(at)
        first.save_to_path(folder)
        second, after = build(run)
        second.restore_from_path(folder)
        lanes = second.env_runner.lanes
        games = run.task.games  # type: ignore[attr-defined]
        assert lanes.task.game == games[second.visits.index % 2]
        assert lanes.log.steps <= LENGTH
        advance_to(second, 3 * LENGTH)
        assert second.gradient_steps == whole.gradient_steps == 75
        assert same(state(second), state(whole))
        assert facts(before + after) == facts(rows)


def test_a_run_that_begins_new_episodes_goes_on_with_the_game_at_hand(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    run = sequence(**{"task.resume_env": "fresh"})
    first, _ = build(run)
    advance_to(first, LENGTH + 50)
    first.save_to_path(tmp_path)
    second, _ = build(run)
    second.restore_from_path(tmp_path)
    assert second.env_runner.lanes.task.game == "pong"
    assert second.env_runner.lanes.log.steps == 0
    advance_to(second, 4 * LENGTH)
    assert second.gradient_steps == 100


@pytest.mark.parametrize("overlap", [False, True])
def test_remote_runners_switch_at_the_same_boundaries(
    build: Callable[..., Any], overlap: bool
) -> None:
    task = {"task.runners": 2, "task.lanes": 2, "task.overlap": overlap, "task.visits": 1}
    algorithm, rows = build(sequence(**task))
    while not algorithm.finished:
        algorithm.advance()
        assert algorithm.gradient_steps == algorithm.task.updates(algorithm.agent_steps)
    phases = [(row.step, row.frames) for row in rows if row.metric == "phase"]
    assert phases == [(0, 0), (25, 4 * LENGTH)]
    assert (algorithm.agent_steps, algorithm.gradient_steps) == (2 * LENGTH, 50)
    assert bool(algorithm.sampler._asked) == overlap
    algorithm.sampler.drain()  # what overlap has asked for beyond the end
    assert [s["visit"] for s in algorithm.sampler.state()] == [1, 1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray Train
def test_learners_that_share_a_batch_switch_alike(build: Callable[..., Any]) -> None:
    task = {"task.switch.fresh_network": True, "task.visits": 1}
    algorithm, rows = build(sequence(resources={"learners": 2}, **task))
    advance_to(algorithm, LENGTH)
    algorithm._enter()
    parameters = algorithm.learning._all("parameters")
    assert same(*parameters)
    assert same(parameters[0], weights(algorithm.env_runner.module.q))
    advance_to(algorithm, 2 * LENGTH)
    assert algorithm.gradient_steps == 50
    assert same(*algorithm.learning._all("parameters"))
    assert [(r.step, r.layer) for r in rows if r.metric == "reset"] == [(25, "all")]
