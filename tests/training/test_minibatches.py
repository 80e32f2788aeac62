"""Streams trained side by side, on minibatches, against the same runs trained alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from examples import Saving

from suite.clock import Clock
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionStack, Slot
from suite.interventions.joined import Stacks
from suite.launch.engines import engine_of
from suite.launch.groups import chunks
from suite.models.mlp import MlpConfig
from suite.rows import Row
from suite.run_config import RunConfig
from suite.schedules.warmup_cosine import WarmupCosineConfig
from suite.streams.stream import Stream
from suite.tasks.permuted import PermutedConfig
from suite.training import batched
from suite.training.batched import BatchedRun, batch_key, parted_by
from suite.training.minibatches import Minibatches
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

CPU = torch.device("cpu")
TASK = {
    "kind": "permuted",
    "dataset": "digits",
    "batch_size": 16,
    "tasks": 3,
    "examples_per_task": 200,
    "epochs": 2,
}
"""Three phases of 24 updates."""
PLAIN, NORMED = ({"kind": "mlp", "width": 9, "norm": norm} for norm in ("none", "layer"))
NAMES = ["loss", "online_accuracy", "average_online_accuracy", "task_online_accuracy"]
NAMES += ["relative_update", "sample_plasticity", "activation_pattern_change", "effective_lr"]


def request(seed: int = 0, **changes: Any) -> RunConfig:
    """Return a checked request in double precision."""
    mapping = {
        "task": TASK,
        "model": PLAIN,
        "optimizer": {"kind": "adam", "lr": 0.003},
        "metrics": {"names": NAMES, "every": 10},
        "precision": "float64",
        "seed": seed,
    } | changes
    config = RunConfig.from_mapping(mapping)
    config.check()
    return config


def seeds(**changes: Any) -> list[RunConfig]:
    """Return three runs that differ in their seeds."""
    return [request(seed, **changes) for seed in (0, 1, 2)]


def alone(config: RunConfig) -> tuple[SupervisedRun, list[Row]]:
    session, run = MemorySession(), SupervisedRun(config, CPU)
    run.train(session)
    return run, session.rows


def check(run: SupervisedRun, rows: list[Row], config: RunConfig) -> None:
    """Check all that a run of a group leaves behind against the run alone."""
    single, expected = alone(config)
    state, other = run.state_dict(), single.state_dict()
    assert state["task"].pop("content", None) == other["task"].pop("content", None)
    for key in ("model", "task", "losses", "stack"):
        torch.testing.assert_close(state[key], other[key], rtol=1e-9, atol=1e-12)
    mine, its = state["optimizer"], other["optimizer"]
    torch.testing.assert_close(mine["state"], its["state"], rtol=1e-9, atol=1e-12)
    assert mine["param_groups"] == its["param_groups"]
    assert [r[:2] + r[3:5] for r in rows] == [r[:2] + r[3:5] for r in expected]
    for row, same in zip(rows, expected, strict=True):
        assert row.value == pytest.approx(same.value, rel=1e-5, abs=1e-9), row


def trained(configs: list[RunConfig]) -> tuple[BatchedRun, list[MemorySession]]:
    """Return runs that have been trained at once, and their sessions."""
    assert len({batch_key(config) for config in configs}) == 1
    assert batch_key(configs[0]) is not None
    group, sessions = BatchedRun(configs, CPU), [MemorySession() for _ in configs]
    assert group.train(sessions) == [None] * len(configs)
    return group, sessions


def nap(**keys: Any) -> dict[str, Any]:
    return {"model": NORMED, "interventions": [{"kind": "nap", **keys}]}


TIMED = {"every": 7, "at_phases": True}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer norm": {"model": NORMED},
    "rms norm, crelu": {"model": {**NORMED, "norm": "rms", "activation": "crelu"}},
    "momentum": {"optimizer": {"kind": "sgd", "lr": 0.02, "momentum": 0.9}},
    "sgd": {"optimizer": {"kind": "sgd", "lr": 0.1}},
    "rates by role": {"optimizer": {"lr": 0.003, "rate_by_role": {"output": 0.1, "bias": 0}}},
    "schedule": {"schedule": {"kind": "cyclic", "period": 9, "floor": 0.1}},
    "l2": {"interventions": [{"kind": "l2", "coefficient": 0.1}]},
    "l2_init": {"interventions": [{"kind": "l2_init", "coefficient": 0.1}]},
    "weight decay": {"interventions": [{"kind": "weight_decay", "coefficient": 3.0}]},
    "scale decay": {"model": NORMED, "interventions": ["scale_decay", "l2_init"]},
    "scale decay to init": {
        "model": NORMED,
        "interventions": [{"kind": "scale_decay", "towards": "init", "coefficient": 9.0}],
    },
    "shrink and perturb": {"interventions": [{"kind": "shrink_perturb", **TIMED}]},
    "reset, nap": {"model": NORMED, "interventions": ["nap", {"kind": "reset", **TIMED}]},
    "redo": {"interventions": [{"kind": "redo", "every": 5, "tau": 0.9}]},
    "nap": nap(),
    "nap per row": nap(per="row", every=3, which="matrices"),
    "nap matrices": nap(which="matrices"),
    "nap decay": nap(gains="decay_to_init", alpha=0.9),
    "nap joint": nap(gains="joint"),
    "nap dropped": nap(gains="dropped"),
    "fresh optimizer": {"task": {**TASK, "optimizer_at_phase": "fresh", "head": "zero"}},
    "fresh head": {"task": {**TASK, "head": "fresh"}, **nap()},
    "transition": {"task": {**TASK, "transition": 5}},
    "cropped": {"task": {**TASK, "augment": "crop_flip"}},
    "held out": {"task": {**TASK, "validation": 0.2, "steps": 13, "epochs": None}},
    "random labels": {"task": {**TASK, "kind": "random_labels"}},
    "permuted labels": {"task": {**TASK, "kind": "label_permuted"}},
    "label noise": {"task": {**TASK, "kind": "label_noise"}},
    "growing": {
        "task": {"kind": "growing", "dataset": "digits", "batch_size": 16, "chunks": 3, "steps": 9}
    },
    "phases that end between measurements": {
        "task": {"kind": "warm_start_images", "dataset": "digits", "batch_size": 16}
        | {"phases": [{"fraction": 0.3, "steps": 27}, {"fraction": 1.0, "steps": 24}]}
    },
    "class pairs": {
        "task": {"kind": "class_pairs", "dataset": "digits", "tasks": 3, "per_class": 30}
        | {"batch_size": 16, "epochs": 2}
    },
    "masked classes": {
        "task": {"kind": "class_incremental", "dataset": "digits", "tasks": 3, "per_class": 30}
        | {"classes_per_task": 3, "batch_size": 16, "epochs": 2, "head": "masked"}
    },
    "slow regression": {
        "task": {"kind": "slow_regression", "period": 20, "batch_size": 2},
        "metrics": {"every": 7},
        "budget": 45,
    },
}


@pytest.mark.parametrize("case", CASES)
def test_side_by_side_is_as_alone(case: str) -> None:
    changes = CASES[case]
    configs = seeds(**changes)
    group, sessions = trained(configs)
    for config, run, session in zip(configs, group.runs, sessions, strict=True):
        check(run, session.rows, config)


def test_all_interventions_that_allow_it_are_compared() -> None:
    compared = {i.kind for case in CASES.values() for i in request(**case).interventions}
    allow = {kind for kind, config in INTERVENTIONS.entries().items() if config.side_by_side}
    assert allow <= compared


def test_a_term_of_the_loss_needs_a_joined_form() -> None:
    class Term(Intervention):
        slot = Slot.LOSS

        def extra_loss(self) -> torch.Tensor:
            return torch.zeros(())

    model = torch.nn.Linear(2, 2)
    stack = InterventionStack([], Bound.of(model, Clock(1)), own=[Term()])
    with pytest.raises(NotImplementedError, match=r"Term\.joined"):
        InterventionStack.join([stack, stack], Stacks({}, {}))


def test_in_single_precision_it_is_as_alone_but_for_rounding() -> None:
    configs = seeds(precision="float32", **nap())
    group, _ = trained(configs)
    for config, run in zip(configs, group.runs, strict=True):
        single, _ = alone(config)
        for mine, its in zip(run.model.parameters(), single.model.parameters(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "kind",
    [
        {"interventions": [{"kind": "weight_decay", "coefficient": 3.0}]},
        {"model": NORMED, "interventions": ["scale_decay", {"kind": "shrink_perturb", **TIMED}]},
        {"model": NORMED, "interventions": ["nap", "l2_init"]},
    ],
)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_rates_may_differ(kind: dict[str, Any], optimizer: str) -> None:
    configs = [
        request(seed, optimizer={"kind": optimizer, "lr": rate}, schedule=schedule, **kind)
        for seed, rate, schedule in (
            (0, 0.01, "constant"),
            (0, 0.003, "constant"),
            (2, 0.01, {"kind": "cyclic", "period": 9, "floor": 0.1}),
        )
    ]
    group, sessions = trained(configs)
    for config, run, session in zip(configs, group.runs, sessions, strict=True):
        check(run, session.rows, config)


@pytest.mark.parametrize(
    "changes",
    [
        {**nap(every=2), "optimizer": {"kind": "adam", "lr": 0.003}},
        {"optimizer": {"kind": "sgd", "lr": 0.02, "momentum": 0.9}, "interventions": ["l2_init"]},
    ],
)
def test_runs_that_were_cut_at_different_steps_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """One was cut within a phase, one where a phase begins, one not at all."""
    monkeypatch.setattr("suite.training.supervised.CHECK_EVERY", 8)
    monkeypatch.setattr(batched, "CHECK_EVERY", 8)
    configs = seeds(**changes)
    BatchedRun(configs[:2], CPU).train([Saving(tmp_path / "a", 24), Saving(tmp_path / "b", 40)])
    rest, sessions = BatchedRun(configs, CPU), [Saving(tmp_path / name) for name in "abc"]
    assert rest.train(sessions) == [None] * 3
    for config, run, session, cut in zip(configs, rest.runs, sessions, (24, 40, -1), strict=True):
        single, rows = alone(config)
        for mine, its in zip(run.model.parameters(), single.model.parameters(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-12)
        expected = [r for r in rows if r.step > cut or (r.step, r.metric) == (cut, "phase")]
        assert [r[:2] + r[3:5] for r in session.rows] == [r[:2] + r[3:5] for r in expected]
        for row, same in zip(session.rows, expected, strict=True):
            assert row.value == pytest.approx(same.value, rel=1e-5, abs=1e-9), row
    assert [session.rows[0].step for session in sessions] == [24, 48, 0]
    # A checkpoint of one run has nothing of the others.
    SupervisedRun(configs[1], CPU).train(Saving(tmp_path / "d", 40))
    of_group, single_size = ((tmp_path / n / "state.pt").stat().st_size for n in "bd")
    assert of_group < 1.01 * single_size


def test_runs_of_one_rate_are_joined_by_one_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs share the state of one optimizer until they reach the step of the third."""
    monkeypatch.setattr("suite.training.supervised.CHECK_EVERY", 8)
    monkeypatch.setattr(batched, "CHECK_EVERY", 8)
    configs = [*seeds()[:2], request(2, optimizer={"kind": "adam", "lr": 0.01})]
    SupervisedRun(configs[2], CPU).train(Saving(tmp_path / "c", 24))
    group, sessions = BatchedRun(configs, CPU), [Saving(tmp_path / name) for name in "abc"]
    assert group.train(sessions) == [None] * 3
    for config, run in zip(configs, group.runs, strict=True):
        mine, its = (r.optimizer.state_dict()["state"] for r in (run, alone(config)[0]))
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-12)


def test_a_checkpoint_of_a_group_continues_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suite.training.supervised.CHECK_EVERY", 8)
    monkeypatch.setattr(batched, "CHECK_EVERY", 8)
    configs = seeds(**nap())
    BatchedRun(configs, CPU).train([Saving(tmp_path / name, 32) for name in "abc"])
    for config, name in zip(configs, "abc", strict=True):
        run, session = SupervisedRun(config, CPU), Saving(tmp_path / name)
        run.train(session)
        single, _ = alone(config)
        for mine, its in zip(run.model.parameters(), single.model.parameters(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-12)
        assert session.rows[0].step > 32


def test_a_run_that_diverges_leaves_the_others_alone() -> None:
    configs = seeds(optimizer={"kind": "sgd", "lr": 0.02, "momentum": 0.9}, **nap(gains="free"))
    wild = configs[1].model_copy(
        update={"optimizer": configs[1].optimizer.model_copy(update={"lr": 1e200})}
    )
    group = BatchedRun([configs[0], wild, configs[2]], CPU)
    sessions = [MemorySession() for _ in range(3)]
    ended = group.train(sessions)
    assert [error is None for error in ended] == [True, False, True]
    assert "at gradient step" in str(ended[1])
    for index in (0, 2):
        check(group.runs[index], sessions[index].rows, configs[index])


def test_a_run_of_a_group_with_one_rate_diverges_by_itself() -> None:
    configs = seeds()
    group, sessions = BatchedRun(configs, CPU), [MemorySession() for _ in range(3)]
    with torch.no_grad():
        next(group.runs[1].model.parameters()).fill_(float("nan"))
    ended = group.train(sessions)
    assert [error is None for error in ended] == [True, False, True]
    for index in (0, 2):
        check(group.runs[index], sessions[index].rows, configs[index])


def test_each_run_ends_when_its_own_measurements_say_enough() -> None:
    stop = {"metric": "loss", "layer": "train", "below": 2.12, "hold": 1}
    configs = seeds(stop=stop, metrics={"names": ["loss"], "every": 4})
    group, sessions = trained(configs)
    for config, run, session in zip(configs, group.runs, sessions, strict=True):
        check(run, session.rows, config)
    assert len({run.step for run in group.runs}) > 1, "the test shows nothing if all end together"


def test_what_cannot_be_trained_at_once_is_trained_alone() -> None:
    base = batch_key(request())
    assert base is not None
    assert batch_key(request(seed=3)) == base
    assert batch_key(request(optimizer={"kind": "adam", "lr": 0.1})) == base
    others: list[dict[str, Any]] = [
        {"optimizer": {"kind": "sgd", "lr": 0.003}},
        {"optimizer": {"kind": "adam", "lr": 0.003, "beta1": 0.8}},
        {"interventions": ["l2_init"]},
        {"model": {**PLAIN, "width": 8}},
        {"task": {**TASK, "batch_size": 8}},
        {"metrics": {"every": 20}},
        {"precision": "float32"},
    ]
    for other in others:
        key = batch_key(request(**other))
        assert key is not None
        assert key != base
    others = [
        {"interventions": ["even_ratio_abs"]},
        {"task": {**TASK, "until_accuracy": 0.9}},
        {"schedule": {"kind": "triggered", "trigger": {"kind": "cusum"}}},
        {"model": {"kind": "cnn"}, "task": {**TASK, "dataset": "mnist"}},
        {"model": {**PLAIN, "width": 4096}},
    ]
    for other in others:
        assert batch_key(request(**other)) is None, other


def test_runs_with_parts_of_plugins_are_trained_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these keep in their module would be shared."""
    wrapped: dict[str, Any] = {
        "schedule": {"kind": "task_aligned", "then": {"kind": "warmup_cosine"}}
    }
    for part, changes in ((PermutedConfig, {}), (MlpConfig, {}), (WarmupCosineConfig, wrapped)):
        config = request(**changes)
        assert batch_key(config) is not None
        assert parted_by(config) == []
        with monkeypatch.context() as patch:
            patch.setattr(part, "__module__", "somebodys_plugin")
            assert batch_key(config) is None
            assert parted_by(config) == [part.model_fields["kind"].default]


def test_groups_are_of_one_arm_and_leave_nobody_idle() -> None:
    arms = [seeds(), seeds(interventions=["l2_init"])]
    assert chunks([*arms[0], *arms[1]], slots=2) == arms
    assert [len(group) for group in chunks([*arms[0], *arms[1]], slots=3)] == [2, 1, 2, 1]
    assert [len(group) for group in chunks([*arms[0], *arms[1]], slots=6)] == [1] * 6


def test_the_engine_trains_a_group_and_says_so() -> None:
    class Noting(MemorySession):
        def note(self, name: str, value: Any) -> None:
            notes.append((name, value))

    notes: list[tuple[str, Any]] = []
    configs = seeds()
    sessions = [Noting() for _ in configs]
    assert engine_of(configs[0]).train(configs, sessions) == [("complete", "")] * 3
    assert notes.count(("side_by_side", 3)) == 3
    for config, session in zip(configs, sessions, strict=True):
        _, rows = alone(config)
        assert [r[:2] + r[3:5] for r in session.rows] == [r[:2] + r[3:5] for r in rows]


def test_updates_are_made_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group makes each update once, not once for each of its runs."""
    updates: list[int] = []
    make = Minibatches.update

    def counted(joint: Minibatches) -> None:
        updates.append(len(joint.runs))
        make(joint)

    monkeypatch.setattr(Minibatches, "update", counted)
    group, _ = trained(seeds())
    assert updates == [3] * 72
    task = group.runs[0].task
    assert isinstance(task, Stream)
    assert task.online.updates == 72
