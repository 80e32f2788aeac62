"""Whole runs of streams: boundaries, early ends, masks, and metrics over tasks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from suite.errors import ConfigError
from suite.rows import Row
from suite.run_config import RunConfig
from suite.streams.stream import Stream
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

CPU = torch.device("cpu")
MLP = {"kind": "mlp", "width": 16, "depth": 2, "norm": "layer"}
PERMUTED = {
    "kind": "permuted",
    "dataset": "digits",
    "batch_size": 32,
    "tasks": 3,
    "examples_per_task": 320,
    "epochs": 2,
}


def run_of(task: dict[str, Any], **more: Any) -> RunConfig:
    """Return a checked request for a run of a stream."""
    config = RunConfig.from_mapping(
        {"task": task, "model": MLP, "optimizer": {"kind": "adam", "lr": 0.01}, **more}
    )
    config.check()
    return config


def trained(config: RunConfig) -> tuple[SupervisedRun, list[Row]]:
    """Return a run that has ended, and its rows."""
    run, session = SupervisedRun(config, CPU), MemorySession()
    run.train(session)
    return run, session.rows


def named(rows: list[Row], metric: str) -> list[tuple[int, str, float]]:
    """Return step, layer and value of a metric's rows."""
    return [(row.step, row.layer, row.value) for row in rows if row.metric == metric]


def test_accuracies_forgetting_and_transfer_are_those_counted_by_hand() -> None:
    names = ["accuracy", "task_accuracy", "forgetting", "backward_transfer"]
    config = run_of(PERMUTED, metrics={"names": names, "every": {"fraction": 1.0}})
    run, rows = trained(config)
    ends = [20, 40, 60]
    matrix = {(step, int(layer)): value for step, layer, value in named(rows, "task_accuracy")}
    assert sorted(matrix) == [(ends[k], j) for k in range(3) for j in range(k + 1)]
    # The last row by hand, one example at a time.
    task = run.task
    assert isinstance(task, Stream)
    for j in range(3):
        held_out = task.held_out(j)
        assert held_out is not None
        right = [
            int(run.model(x.unsqueeze(0)).argmax()) == int(y)
            for x, y in zip(*held_out, strict=True)
        ]
        assert matrix[60, j] == pytest.approx(sum(right) / len(right))
    at_end = [matrix[end, j] for j, end in enumerate(ends)]
    forgetting = {(s, int(layer)): v for s, layer, v in named(rows, "forgetting")}
    assert sorted(forgetting) == [(40, 0), (60, 0), (60, 1)]
    for (step, j), value in forgetting.items():
        assert value == pytest.approx(at_end[j] - matrix[step, j])
    transfer = {(s, layer): v for s, layer, v in named(rows, "backward_transfer")}
    assert transfer[60, "one_step"] == pytest.approx(matrix[60, 1] - at_end[1])
    assert transfer[60, ""] == pytest.approx(
        (matrix[60, 0] - at_end[0] + matrix[60, 1] - at_end[1]) / 2
    )
    last = {layer: v for step, layer, v in named(rows, "accuracy") if step == 60}
    assert last["test"] == pytest.approx(matrix[60, 2])


def test_online_accuracies_are_means_of_accuracies_before_the_updates() -> None:
    names = ["online_accuracy", "average_online_accuracy", "task_online_accuracy"]
    config = run_of(PERMUTED, metrics={"names": names, "every": 7})
    _, rows = trained(config)
    # The same run once more, its batches judged before each update.
    run, before = SupervisedRun(config, CPU), []
    while not run.done:
        inputs, targets = run.task.batch(run.step)
        with torch.no_grad():
            before.append((run.model(inputs).argmax(1) == targets).double().mean().item())
        run._update()
    for step, _, value in named(rows, "average_online_accuracy"):
        assert value == pytest.approx(sum(before[:step]) / step)
    looked = 0
    for step, _, value in named(rows, "online_accuracy"):
        assert value == pytest.approx(sum(before[looked:step]) / (step - looked))
        looked = step
    by_task = {layer: (step, v) for step, layer, v in named(rows, "task_online_accuracy")}
    assert {layer: step for layer, (step, _) in by_task.items()} == {"0": 20, "1": 40, "2": 60}
    for layer, (step, value) in by_task.items():
        assert value == pytest.approx(sum(before[step - 20 : step]) / 20), layer


def test_a_phase_ends_early_once_an_epoch_was_right_often_enough() -> None:
    task = {
        "kind": "growing",
        "dataset": "digits",
        "batch_size": 32,
        "phases": [{"fraction": 0.2, "epochs": 200}, {"fraction": 1.0, "epochs": 3}],
        "until_accuracy": 0.97,
    }
    run, rows = trained(run_of(task))
    start = run.clock.starts[1]
    assert start == 200 * (287 // 32)
    made = [row.step for row in rows if row.metric == "accuracy"]
    phases = {row.value: row.step for row in rows if row.metric == "phase"}
    assert phases[1.0] == start
    early = max(step for step in made if step < start)
    assert early < start - 100
    assert early % (287 // 32) == 0
    assert run.step == run.clock.total
    accuracy = {(step, layer): v for step, layer, v in named(rows, "accuracy")}
    assert accuracy[early, "train"] >= 0.97


@pytest.mark.parametrize("optimizer", [{"kind": "adam", "lr": 0.01}])
def test_the_optimizer_starts_afresh_where_asked_for(optimizer: dict[str, Any]) -> None:
    kept = SupervisedRun(run_of(PERMUTED, optimizer=optimizer), CPU)
    fresh = SupervisedRun(
        run_of({**PERMUTED, "optimizer_at_phase": "fresh"}, optimizer=optimizer), CPU
    )
    for run in (kept, fresh):
        while run.step < 21:
            run._update()

    def steps(run: SupervisedRun) -> set[float]:
        return {float(state["step"]) for state in run.optimizer.state.values()}

    assert steps(kept) == {21.0}
    assert steps(fresh) == {1.0}


@pytest.mark.parametrize("head", ["zero", "fresh"])
def test_the_head_starts_anew_and_nothing_else_changes(head: str) -> None:
    config = run_of({**PERMUTED, "head": head})
    run = SupervisedRun(config, CPU)
    while run.step < 20:
        run._update()
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    assert run.updates.stack.begin_update(20)
    changed = {name for name, p in run.model.named_parameters() if not torch.equal(p, before[name])}
    (output,) = [name for name, role in run.observer.roles.items() if role == "output"]
    assert changed == {output}
    values = dict(run.model.named_parameters())[output]
    assert bool((values == 0).all()) == (head == "zero")
    assert not [p for p in run.optimizer.state if p is values and run.optimizer.state[p]["step"]]


def test_outputs_that_have_not_come_yet_are_masked() -> None:
    task = {
        "kind": "class_incremental",
        "dataset": "digits",
        "batch_size": 20,
        "tasks": 3,
        "classes_per_task": 2,
        "per_class": 60,
        "epochs": 3,
    }
    run, rows = trained(run_of(task))
    stream = run.task
    assert isinstance(stream, Stream)
    seen = stream.config.phase(0, stream.pool, run.config.seeds).outputs
    assert seen is not None
    assert int(seen.sum()) == 2
    early = [v for s, layer, v in named(rows, "accuracy") if layer == "test" and s == 18]
    assert early[0] > 0.6  # of two classes; of ten a network this young has a fifth
    (output,) = [name for name, role in run.observer.roles.items() if role == "output"]
    mask = stream.current(2).phase.outputs
    assert mask is not None
    final, initial = (
        of.model.get_parameter(output) for of in (run, SupervisedRun(run.config, CPU))
    )
    assert torch.equal(final[~mask], initial[~mask])
    assert not torch.equal(final[mask], initial[mask])


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ({**PERMUTED, "epochs": None}, "task.epochs"),
        ({**PERMUTED, "steps": 3}, "task.epochs"),
        ({**PERMUTED, "examples_per_task": 5000}, "task.examples_per_task"),
        ({**PERMUTED, "dataset": "mnist1d", "augment": "crop_flip"}, "task.augment"),
        ({**PERMUTED, "transition": 21}, "task.transition"),
        ({**PERMUTED, "buffers": "fresh"}, "task.buffers"),
        ({**PERMUTED, "dataset": "imagenet"}, "task.dataset"),
        ({"kind": "growing"}, "task.phases"),
        ({"kind": "growing", "chunks": 3}, "task.epochs"),
        ({"kind": "growing", "chunks": 3, "steps": 2, "noise": [0.1]}, "task.noise"),
        ({"kind": "growing", "phases": [{"fraction": 1, "steps": 2}], "epochs": 2}, "task.epochs"),
        (
            {"kind": "class_incremental", "dataset": "digits", "tasks": 6},
            "task.classes_per_task",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(task: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        run_of(task)
    assert error.value.key == key


def test_a_class_with_too_few_examples_is_named() -> None:
    config = run_of(
        {"kind": "class_pairs", "dataset": "digits", "tasks": 2, "per_class": 500, "steps": 2}
    )
    with pytest.raises(ConfigError, match=r"task\.per_class: got 500; .* examples of class \d"):
        SupervisedRun(config, CPU)._update()


def test_a_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget"):
        run_of(PERMUTED, budget=5)
