"""Runs trained side by side against the same runs trained alone."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import Saving

from suite.launch.groups import chunks
from suite.rows import Row
from suite.run_config import RunConfig
from suite.training import cuda_graph
from suite.training.batched import BatchedRun, batch_key
from suite.training.full_batch import Descent
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

DECAY = [{"kind": "weight_decay", "coefficient": 0.01, "roles": ["weight"]}]
CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], float]] = {
    "quadratic_regression": (
        {"dimension": 5, "points": 12, "test_points": 8},
        [{"kind": "committee", "width": 6, "epsilon": e} for e in (0.1, 0.5)],
        2.0,
    ),
    "sparse_sign": (
        {"dimension": 30, "points": 12, "test_points": 8},
        [{"kind": "diagonal", "initial_norm": a} for a in (2.0, 5.0)],
        0.1,
    ),
    "modular_addition": (
        {"modulus": 5, "fraction": 0.6},
        [{"kind": "pair_relu", "width": 6, "scale": a} for a in (1.0, 2.0)],
        0.1,
    ),
    "matrix_completion": (
        {"size": 6, "fraction": 0.3},
        [{"kind": "matrix_factors", "scale": a} for a in (1.0, 1.5)],
        0.05,
    ),
}


def requests(kind: str, **changes: Any) -> list[RunConfig]:
    task, models, rate = CASES[kind]
    found = []
    for seed, (model, decay, schedule) in enumerate(
        product(models, [[], DECAY], ["constant", {"kind": "cyclic", "period": 7, "floor": 0.1}])
    ):
        mapping = {
            "task": {"kind": kind, **task},
            "model": model,
            "optimizer": {"kind": "sgd", "lr": rate * (1 + 0.1 * seed)},
            "schedule": schedule,
            "interventions": decay,
            "seed": seed % 3,
            "budget": 230,
            "metrics": {"names": ["loss", "relative_update", "parameter_norm"], "every": 23},
            **changes,
        }
        found.append(RunConfig.from_mapping(mapping))
    return found


def alone(config: RunConfig) -> tuple[SupervisedRun, list[Row]]:
    session = MemorySession()
    run = SupervisedRun(config)
    run.train(session)
    return run, session.rows


@pytest.mark.parametrize("kind", CASES)
def test_side_by_side_is_as_alone(kind: str) -> None:
    configs = requests(kind, precision="float64")
    keys = {batch_key(config) for config in configs}
    assert len(keys) == (3 if kind == "sparse_sign" else 1), "one per data set, or one for all"
    batched, sessions = BatchedRun(configs), [MemorySession() for _ in configs]
    assert batched.train(sessions) == [None] * len(configs)
    for config, run, session in zip(configs, batched.runs, sessions, strict=True):
        single, rows = alone(config)
        for mine, theirs in zip(run.model.parameters(), single.model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
        assert [r[:2] + r[3:5] for r in session.rows] == [r[:2] + r[3:5] for r in rows]
        for row, other in zip(session.rows, rows, strict=True):
            assert row.value == pytest.approx(other.value, rel=1e-5, abs=1e-9), row


def test_runs_that_were_cut_at_different_steps_are_joined(tmp_path: Path) -> None:
    configs = requests("quadratic_regression", precision="float64")[:3]
    whole = BatchedRun(configs)
    whole.train([MemorySession() for _ in configs])
    for stop, config, name in zip((100, 200), configs, "ab", strict=False):
        SupervisedRun(config).train(Saving(tmp_path / name, stop))
    rest = BatchedRun(configs)
    sessions = [Saving(tmp_path / name) for name in "abc"]
    assert rest.train(sessions) == [None] * 3
    for mine, theirs in zip(rest.runs, whole.runs, strict=True):
        assert mine.step == 230
        for p, q in zip(mine.model.parameters(), theirs.model.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
    first = [session.rows[0].step for session in sessions]
    assert first == [115, 207, 0]


def test_a_run_that_diverges_leaves_the_others_alone() -> None:
    configs = requests("quadratic_regression", precision="float64")[:3]
    wild = configs[1].model_copy(
        update={"optimizer": configs[1].optimizer.model_copy(update={"lr": 1e6})}
    )
    batched = BatchedRun([configs[0], wild, configs[2]])
    ended = batched.train([MemorySession() for _ in range(3)])
    assert [error is None for error in ended] == [True, False, True]
    assert "at gradient step" in str(ended[1])
    single, _ = alone(configs[2])
    for p, q in zip(batched.runs[2].model.parameters(), single.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_what_cannot_be_trained_at_once_is_trained_alone() -> None:
    (config, *_) = requests("quadratic_regression")
    assert batch_key(config) is not None

    def key(**changes: Any) -> Any:
        return batch_key(requests("quadratic_regression", **changes)[0])

    assert key(optimizer={"kind": "adam", "lr": 0.1}) is None
    assert key(optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.9}) is None
    assert key(interventions=[{"kind": "nap", "which": "matrices"}]) is None
    assert key(model={"kind": "mlp"}) is None
    assert key(model={"kind": "linearised", "inner": {"kind": "mlp"}}) is None
    assert key(budget=240) != batch_key(config)
    assert key(model={"kind": "committee", "width": 7}) != batch_key(config)


def test_groups_keep_the_order_and_the_bound() -> None:
    configs = requests("quadratic_regression")
    other = requests("quadratic_regression", model={"kind": "mlp"})[0]
    groups = chunks([*configs, other], slots=3)
    assert groups[0] == [other]
    assert groups[1:] == [configs[:3], configs[3:6], configs[6:]]


def test_each_run_ends_when_its_own_measurements_say_enough() -> None:
    stop = {"metric": "loss", "layer": "train", "below": 0.05, "hold": 2}
    configs = requests("quadratic_regression", stop=stop, precision="float64")
    batched, sessions = BatchedRun(configs), [MemorySession() for _ in configs]
    batched.train(sessions)
    ends = []
    for config, run, session in zip(configs, batched.runs, sessions, strict=True):
        single, rows = alone(config)
        assert run.done
        assert run.step == single.step
        assert [r[:2] + r[3:5] for r in session.rows] == [r[:2] + r[3:5] for r in rows]
        ends.append(run.step)
    assert len(set(ends)) > 1, "the test shows nothing if all end together"


@pytest.mark.parametrize("kind", CASES)
def test_an_update_can_be_recorded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording stands for the function if that changes nothing but tensors, in place."""
    configs = [c for c in requests(kind) if c.seed == 0]
    plain, recorded = (Descent([SupervisedRun(c) for c in configs]) for _ in range(2))
    made: list[Any] = []

    class Graph:
        def replay(self) -> None:
            before = dict(vars(recorded))
            recorded._descend()
            assert all(vars(recorded)[name] is value for name, value in before.items())

    def record(function: Any) -> Graph:
        made.append(function)
        return Graph()

    monkeypatch.setattr(cuda_graph, "record", record)
    recorded._update = cuda_graph.Replayed(recorded._descend, torch.device("cuda"))
    for descent in (plain, recorded):
        descent.plan(0, 10)
        addresses = {name: p.data_ptr() for name, p in descent.parameters.items()}
        for _ in range(10):
            descent.update()
        assert addresses == {name: p.data_ptr() for name, p in descent.parameters.items()}
    assert len(made) == 1
    assert torch.equal(plain._losses, recorded._losses)
    assert plain._losses.unique().numel() > 10
    for name, value in plain.parameters.items():
        assert torch.equal(value, recorded.parameters[name])
