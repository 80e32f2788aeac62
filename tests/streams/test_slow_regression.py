"""The slowly changing regression against its definition, one example at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.run_config import RunConfig
from suite.tasks.slow_regression import SlowRegression, SlowRegressionConfig

CPU = torch.device("cpu")


def made(seed: int = 0, **settings: Any) -> SlowRegression:
    """Return the task with 90 updates ahead of it."""
    task = {"kind": "slow_regression", "period": 30, **settings}
    run = RunConfig.from_mapping({"task": task, "model": "mlp", "seed": seed, "budget": 90})
    run.check()
    assert isinstance(run.task, SlowRegressionConfig)
    built = run.task.build(run.seeds, run.clock(), CPU)
    assert isinstance(built, SlowRegression)
    return built


def test_targets_are_those_of_the_threshold_units() -> None:
    task = made()
    for step in range(90):
        (x,), (y,) = task.batch(step)
        total = 0.0
        for w, v in zip(task.weights, task.outputs, strict=True):
            negative = sum(1 for weight in w if weight < 0)
            sum_of = sum(float(a) * float(b) for a, b in zip(w, x, strict=True))
            total += float(v) if sum_of >= 0.7 * 21 - negative else 0.0
        assert float(y) == total
        assert set(x.tolist()) <= {0.0, 1.0}
        assert float(x[-1]) == 1.0
    assert set(task.weights.unique().tolist()) == set(task.outputs.unique().tolist()) == {-1.0, 1.0}


@settings(max_examples=20)
@given(seed=st.integers(0, 50))
def test_one_slow_bit_flips_between_phases_and_none_within(seed: int) -> None:
    task = made(seed)
    phases = [
        torch.cat([task.batch(step)[0][:, :15] for step in range(k * 30, k * 30 + 30)])
        for k in range(3)
    ]
    for rows in phases:
        assert bool((rows == rows[0]).all())
    for before, after in pairwise(phases):
        assert int((before[0] != after[0]).sum()) == 1
    fast = torch.cat([task.batch(step)[0][:, 15:20] for step in range(30)])
    assert 0.2 < fast.mean() < 0.8


def test_batches_of_many_are_as_many_and_differ() -> None:
    task = made(batch_size=5)
    inputs, targets = task.batch(7)
    assert inputs.shape == (5, 21)
    assert targets.shape == (5,)
    assert len({tuple(x.tolist()) for s in range(6) for x in task.batch(s)[0]}) > 15


def test_redrawn_bits_are_those_of_the_phase_alone() -> None:
    task = made(change="redraw")
    first = [task.batch(step)[0][0, :15] for step in (0, 29, 30, 59, 60)]
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[2], first[3])
    assert not torch.equal(first[0], first[2])
    assert torch.equal(made(change="redraw").batch(60)[0][0, :15], first[4])
