"""Predicted times: of runs, of those that share a trial, and of whole sweeps."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from suite.launch import calibrate, estimate, plan
from suite.launch.calibrate import Cost
from suite.launch.engines import arithmetic, engine_of, rl, supervised
from suite.launch.engines.arithmetic import UPDATE_OVERHEAD_S
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep, Trial
from suite.tasks.base import SupervisedTaskConfig
from suite.training.supervised import SupervisedRequest


def run(seed: int, **keys: object) -> RunConfig:
    task = {"kind": "quadratic_regression"}
    base = {"task": task, "model": {"kind": "committee"}, "optimizer": {"kind": "sgd"}}
    return RunConfig.model_validate({**base, "budget": 1000, "seed": seed, **keys})


def stream(seed: int, **keys: object) -> RunConfig:
    """Return a run of phases of two updates, fewer than are timed."""
    task = {"kind": "permuted", "dataset": "digits", "batch_size": 16, "tasks": 9, "steps": 2}
    model = {"kind": "mlp", "width": 8}
    return RunConfig.from_mapping({"task": task, "model": model, "seed": seed, **keys})


def cartpole(**task: Any) -> RunConfig:
    return RunConfig.from_mapping(
        {
            "task": {
                "kind": "classic_control",
                "env": "CartPole-v1",
                "learning_starts": 100,
                **task,
            },
            "model": {"kind": "mlp", "width": 16},
            "agent": {"kind": "dqn"},
            "budget": {"agent_steps": 1100},
            "metrics": {"every": 100},
        }
    )


def test_streams_side_by_side_are_one_trial() -> None:
    arms = [[stream(seed, interventions=i) for seed in range(4)] for i in ([], ["l2_init"])]
    trials = estimate.estimate_trials([*arms[0], *arms[1]], slots=2)
    assert [set(trial) for trial in trials] == [{r.run_id for r in arm} for arm in arms]
    alone = 18 * UPDATE_OVERHEAD_S
    assert [*trials[0].values()] == pytest.approx([alone / 4] * 4)


@pytest.mark.parametrize("schedule", ["task_aligned", "single_cycle", "cyclic"])
def test_groups_with_schedules_are_measured(schedule: str) -> None:
    mapping = {"kind": schedule} | ({"period": 4} if schedule == "cyclic" else {})
    group = [stream(seed, schedule=mapping) for seed in range(2)]
    cost = engine_of(group[0])._measured([SupervisedRequest.of(run) for run in group])
    assert cost.update > 0


def test_memory_of_a_trial_counts_what_each_run_has_for_itself() -> None:
    """Two layers of 8 units on digits, of 64 pixels and 10 classes; 1,437 images."""
    parameters = (64 + 1) * 8 + (8 + 1) * 8 + (8 + 1) * 10
    ready = 4 * 1437 * 64
    for at_once in (1, 5):
        found = estimate.estimate_bytes(stream(0), at_once) - estimate.PROCESS_BYTES
        assert found == at_once * (16 * parameters + ready)
    double = estimate.estimate_bytes(stream(0, precision="float64"), 5) - estimate.PROCESS_BYTES
    assert double == 5 * 2 * (16 * parameters + ready)


@pytest.mark.parametrize(
    ("keys", "kept"),
    [
        ({"dataset": "mnist", "examples_per_task": 10_000}, 4 * 10_000 * 784),
        ({"dataset": "mnist", "examples_per_task": 42_799}, 4 * 42_799 * 784),
        ({"dataset": "mnist", "examples_per_task": 42_800}, 0),  # 2^27 / (4 * 784) is 42,799.02
        ({"dataset": "mnist", "examples_per_task": 100, "augment": "crop_flip"}, 0),
    ],
)
def test_inputs_are_kept_ready_up_to_a_size(keys: dict[str, Any], kept: int) -> None:
    task = {"kind": "random_labels", "tasks": 2, "steps": 2, **keys}
    found = RunConfig.from_mapping({"task": task, "model": "mlp"}).task
    assert isinstance(found, SupervisedTaskConfig)
    assert found.ready_bytes() == kept


def test_a_plan_has_the_memory_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MEASURED_S", 0.0)
    task = {"kind": "random_labels", "dataset": "mnist", "examples_per_task": 42_799}
    task |= {"tasks": 2, "steps": 2}
    runs = [stream(seed, task=task) for seed in range(16)]
    assert print_memory(runs, slots=1) == [f"{0.5 + 16 / 8:.1f} GiB"]
    assert print_memory(runs, slots=16) == [f"{0.5 + 1 / 8:.1f} GiB"]


def print_memory(runs: Sequence[RunConfig], slots: int) -> list[str]:
    """Return what the column of memory of a plan says."""
    trials = [Trial("t", "a", run) for run in runs]
    console = Console(record=True, width=200, file=io.StringIO())
    plan.print_plan(Sweep("s", {}, tuple(trials)), slots, console)
    return re.findall(r"[0-9.]+ GiB", console.export_text())


def test_large_data_are_looked_at_for_small_networks_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = {"kind": "permuted", "dataset": "mnist", "tasks": 2, "epochs": 1}
    at_hand = engine_of(stream(0)).at_hand
    for near in (True, False):
        monkeypatch.setattr(supervised, "is_near", lambda name, near=near: near)
        assert at_hand(stream(0))
        assert at_hand(stream(0, task=task)) == near
        assert not at_hand(stream(0, task=task, model={"kind": "mlp", "width": 4096}))
        signals = {"kind": "growing", "dataset": "mnist1d", "chunks": 10, "steps": 9}
        assert at_hand(stream(0, task=signals, model={"kind": "cnn_1d"})) == near


@pytest.fixture(autouse=True)
def _same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose arithmetic takes no time and whose Python is that of the constants."""
    monkeypatch.setattr(arithmetic, "matmul_rate", lambda: 1e30)
    monkeypatch.setattr(estimate, "pace", lambda: 1.0)


def test_runs_at_once_share_the_overhead() -> None:
    alike, other = [run(seed) for seed in range(6)], run(0, model={"kind": "mlp"})
    trials = estimate.estimate_trials([*alike, other], slots=2)
    assert sorted(map(len, trials)) == [1, 2, 4]
    costs = {run_id: seconds for trial in trials for run_id, seconds in trial.items()}
    alone = 1000 * UPDATE_OVERHEAD_S
    # Seven runs on two cores: groups of at most four.
    shares = [alone / 4] * 4 + [alone / 2] * 2
    assert [costs[c.run_id] for c in alike] == pytest.approx(shares)
    assert costs[other.run_id] == pytest.approx(alone)
    (only,) = estimate.estimate_trials([alike[0]], slots=2)
    assert only[alike[0].run_id] == pytest.approx(alone)


def _seconds(config: RunConfig, cost: Cost) -> float:
    return engine_of(config).run_seconds(config, cost)


def test_everything_a_run_does_is_counted() -> None:
    cost = Cost(setup=100.0, update=1.0, measure=0.01, act=0.0001)
    every_100 = run(0, metrics={"every": 100})
    assert _seconds(every_100, cost) == pytest.approx(100 + 1000 + 0.01 * 11)
    # 1,000 updates, measured at 0, 100 .. 1000; 1,100 steps of one lane.
    assert _seconds(cartpole(), cost) == pytest.approx(1100 + 0.11 + 0.11)
    assert _seconds(cartpole(lanes=4), cost) == pytest.approx(1100 + 0.11 + 0.0275)
    evaluation = {"episodes": 25, "every": {"agent_steps": 400}}  # at 400, 800 and 1,100
    with_evaluation = _seconds(cartpole(evaluation=evaluation), cost)
    assert with_evaluation == pytest.approx(1100 + 0.22 + 3 * 3 * rl.EPISODE * 0.0001)


def test_what_is_measured_takes_the_place_of_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    known, other = run(0), run(0, model={"kind": "mlp"}, budget=10)
    seen: list[str] = []

    def measured(self: object, group: Sequence[RunConfig]) -> Cost:
        seen.append(group[0].model.kind)
        if group[0].model.kind == "mlp":
            raise ValueError("it cannot be built")
        return Cost(0.0, 4 * UPDATE_OVERHEAD_S, 0.0)

    monkeypatch.setattr(supervised.SupervisedEngine, "measured_cost", measured)
    trials = estimate.estimate_trials([known, run(1), other], slots=4, measure_s=60.0)
    costs = {run_id: seconds for trial in trials for run_id, seconds in trial.items()}
    assert costs[known.run_id] == pytest.approx(4000 * UPDATE_OVERHEAD_S)
    assert [*dict.fromkeys(seen)] == ["committee", "mlp"]  # the largest part first
    assert seen.count("committee") == 2  # once more, for the first loads libraries, too
    # What cannot be measured is taken to be as far off as the rest.
    assert costs[other.run_id] == pytest.approx(40 * UPDATE_OVERHEAD_S)


def test_a_sweep_is_more_than_its_runs() -> None:
    seconds = estimate.sweep_seconds
    around = estimate.START_S + estimate.REPORT_S + estimate.FIGURES_S
    runs = [run(seed) for seed in range(3)]
    trials = [{r.run_id: 10.0} for r in runs]
    one = around + estimate.WORKER_S + 3 * (10 + estimate.TRIAL_S)
    assert seconds(runs, trials, 1, tasks=1) == pytest.approx(one)
    two = around + estimate.WORKER_S + 2 * (10 + estimate.TRIAL_S)
    assert seconds(runs, trials, 2, tasks=1) == pytest.approx(two)
    played = cartpole()
    alone = estimate.WORKER_S + rl.WORKER_S + estimate.TRIAL_S + rl.TRIAL_S
    assert seconds([played], [{played.run_id: 5.0}], 1, tasks=1) == pytest.approx(
        around + alone + 5
    )


@pytest.mark.parametrize(
    "group",
    [
        [run(0)],
        [run(seed) for seed in range(3)],
        [stream(seed) for seed in range(3)],
        [cartpole()],
        [cartpole(lanes=3)],
    ],
    ids=["alone", "side by side", "streams side by side", "rl", "rl with lanes"],
)
def test_costs_are_measured(group: list[RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "MOMENT_S", 0.0)
    cost = engine_of(group[0]).measured_cost(group)
    assert cost.setup > 0
    assert cost.update > 0
    assert cost.measure >= 0
    assert (cost.act > 0) == (group[0].task.engine == "rl")


def test_runs_side_by_side_share_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    group = [run(seed) for seed in range(4)]
    monkeypatch.setattr(supervised, "seconds_each", lambda call, warm_up=3: 8.0)
    cost = engine_of(group[0]).measured_cost(group)
    assert (cost.update, cost.measure) == (2.0, 8.0)  # one run alone is looked at


def test_a_call_is_timed_over_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(calibrate, "MOMENT_S", 1.0)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def call() -> None:
        now[0] += 0.25

    assert calibrate.seconds_each(call) == 0.25
    assert now[0] == (calibrate.WARM_UP + 4) * 0.25
    calls: list[int] = []
    calibrate.seconds_each(lambda: calls.append(1))
    assert len(calls) == calibrate.WARM_UP + calibrate.MOST


def test_a_busy_machine_is_said_to_be_busy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wall, processor = [0.0], [0.0]

    def work() -> None:
        wall[0] += 10 * estimate.REFERENCE_S
        processor[0] += 2 * estimate.REFERENCE_S

    monkeypatch.setattr(time, "perf_counter", lambda: wall[0])
    monkeypatch.setattr(time, "process_time", lambda: processor[0])
    monkeypatch.setattr(estimate, "reference_work", work)
    estimate._reference.cache_clear()
    assert estimate.core_share() == pytest.approx(0.2)
    assert estimate._reference()[0] == pytest.approx(10 * estimate.REFERENCE_S)
    only = run(0)
    monkeypatch.setattr(plan, "estimate_trials", lambda *arguments: [{only.run_id: 1.0}])
    monkeypatch.setattr(plan, "sweep_seconds", lambda *arguments: 600.0)
    trial = Trial("t", "a", only)
    plan.print_plan(Sweep("s", {}, (trial,)), 2, Console(width=200))
    estimate._reference.cache_clear()
    said = capsys.readouterr().out
    assert "about 10:00 with 2 side by side" in said
    assert "the plan got 20% of a core. On an idle machine the sweep would take about 2:00." in said
