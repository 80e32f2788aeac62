"""Every registered metric, on what a smoke run of every supervised task shows it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from examples import equal, tasks
from torch import nn

from suite.metrics.base import METRICS, Need, Observation
from suite.ranges import ANY, MAGNITUDE, SHARE
from suite.rows import RECORDED
from suite.run_config import RunConfig
from suite.tasks.base import TASKS
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Look = tuple[Observation, nn.Module]


@pytest.fixture
def look(smoke: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Look]:
    """Return a function that trains a smoke run and returns its last observation and its model."""
    seen: list[Observation] = []

    def keep(**fields: Any) -> Observation:
        seen.append(Observation(**fields))
        return seen[-1]

    def train(task: str) -> Look:
        metrics = {"names": sorted(METRICS.entries()), "every": 3}
        run = SupervisedRun(smoke(task, metrics=metrics))
        run.train(MemorySession())
        assert seen[-1].step == run.clock.total
        return seen[-1], run.model

    monkeypatch.setattr("suite.training.observer.Observation", keep)
    return train


def _plain(seen: Observation) -> dict[str, Any]:
    """Return all of an observation but the problem; of the network what it holds."""
    values = {k: v for k, v in vars(seen).items() if k != "task"}
    return {**values, "model": seen.model.state_dict() if seen.model else None}


def test_names_units_and_needs() -> None:
    for name, metric in METRICS.entries().items():
        assert metric.name == name
        assert metric.unit.strip()
        assert metric.needs
        assert metric.needs <= set(get_args(Need))
        assert metric.unit != "share" or metric.range == SHARE
        assert (metric.function.__doc__ or "").strip(), f"{name} does not say what it is"


@pytest.mark.parametrize("name", sorted(METRICS.entries()))
def test_values_are_finite_scalars_by_layer_of_what_is_needed_alone(
    name: str, look: Callable[..., Look]
) -> None:
    metric, measured = METRICS[name], 0
    for task in tasks("supervised"):
        seen, model = look(task)
        kept = copy.deepcopy(_plain(seen))
        gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
        generator = torch.get_rng_state()
        with torch.no_grad():
            values = metric.function(seen)
            again = metric.function(seen)
        assert equal(again, values)
        assert torch.equal(torch.get_rng_state(), generator)
        assert equal(_plain(seen), kept)  # whose parameters are the model's own
        assert equal({n: p.grad for n, p in model.named_parameters()}, gradients)
        possible = TASKS[task].model_validate(TASKS[task].smoke["task"]).ranges
        for layer, value in values.items():
            assert isinstance(layer, str)
            assert value.ndim == 0
            assert torch.isfinite(value), layer
            assert not possible.get(name, metric.range).outside([float(value)]), (task, layer)
        always = ("step", "parameters", "roles", "rates", "interval", "criterion")
        always += ("model", "task", "splits")
        bare = Observation(**{key: getattr(seen, key) for key in {*always, *metric.needs}})
        assert equal(metric.function(bare), values)
        measured += len(values)
    assert measured, f"no smoke run shows {name!r} anything to measure"


@pytest.mark.parametrize("task", tasks("supervised"))
def test_rows_beside_metrics_are_declared_and_in_range(
    task: str, smoke: Callable[..., RunConfig]
) -> None:
    run = smoke(task)
    session = MemorySession()
    SupervisedRun(run).train(session)
    for row in session.rows:
        possible = run.ranges.get(row.metric) or RECORDED[row.metric]
        assert math.isnan(row.value) or not possible.outside([row.value]), row


def test_the_logarithm_of_a_loss_may_be_negative(smoke: Callable[..., RunConfig]) -> None:
    assert smoke("modular_addition").ranges["loss"] == MAGNITUDE
    assert smoke("modular_log_loss").ranges["loss"] == ANY


@pytest.mark.parametrize("name", sorted(METRICS.entries()))
@pytest.mark.parametrize("task", tasks("supervised"))
def test_measuring_changes_nothing(name: str, task: str, smoke: Callable[..., RunConfig]) -> None:
    """A run with the metric ends as one without; its rows are there at every measuring step."""
    plain = SupervisedRun(smoke(task, metrics={"names": []}))
    plain.train(MemorySession())
    session = MemorySession()
    measured = SupervisedRun(smoke(task, metrics={"names": [name], "every": 2}))
    measured.train(session)
    assert equal(measured.model.state_dict(), plain.model.state_dict())
    assert equal(measured.optimizer.state_dict(), plain.optimizer.state_dict())
    steps = {row.step for row in session.rows if row.metric == name}
    last = measured.clock.total
    assert steps in (set(), set(range(0, last + 1, 2)), set(range(2, last + 1, 2)))
