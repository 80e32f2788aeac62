"""Descent on the log of the loss, and label noise, against the formulas step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.losses import CROSS_ENTROPY, LOG_CROSS_ENTROPY, log_softplus
from suite.run_config import RunConfig
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Smoke = Callable[..., RunConfig]


@given(st.floats(-9000, 9000))
def test_log_softplus_is_exact_where_the_loss_is_not_a_float(a: float) -> None:
    expected = np.log(np.log1p(np.exp(np.longdouble(a))))
    found = log_softplus(torch.tensor(a, dtype=torch.float64)).item()
    assert found == pytest.approx(float(expected), rel=1e-13, abs=1e-13)


@given(st.floats(-800, 800))
def test_its_slope_is_finite_and_right(a: float) -> None:
    x = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    log_softplus(x).backward()
    wide = np.longdouble(a)
    expected = 1 / ((1 + np.exp(-wide)) * np.log1p(np.exp(wide)))
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(float(expected), rel=1e-8)


def test_the_log_of_the_loss_and_its_gradient_are_those_of_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 5, (9,), generator=generator)
    for size in (0.1, 3.0, 20.0):
        logits = size * torch.randn(9, 5, generator=generator, dtype=torch.float64)
        a, b = (logits.clone().requires_grad_() for _ in range(2))
        plain, log = CROSS_ENTROPY.loss(a, targets), LOG_CROSS_ENTROPY.loss(b, targets)
        torch.testing.assert_close(log, plain.log())
        plain.log().backward()
        log.backward()
        torch.testing.assert_close(b.grad, a.grad)


def test_margins_of_thousands_have_a_loss() -> None:
    logits = torch.tensor([[5000.0, 0.0, 0.0], [0.0, 4000.0, 0.0]], dtype=torch.float64)
    found = LOG_CROSS_ENTROPY.loss(logits, torch.tensor([0, 1]))
    assert found.item() == pytest.approx(-4000 + math.log(2) - math.log(2))


def test_both_regimes_and_the_time_are_those_of_the_plain_loop(smoke: Smoke) -> None:
    """The authors' procedure: a rate on L, ten times the base and then the base over L."""
    eta, boost, threshold = 0.1, 10.0, -1.0
    run = SupervisedRun(
        smoke(
            "modular_log_loss",
            task={"boost": boost, "threshold": threshold},
            optimizer={"kind": "sgd", "lr": eta},
            precision="float64",
            budget=80,
            metrics={"names": ["log_time", "loss"], "every": 1},
        )
    )
    plain = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    session = MemorySession()
    run.train(session)
    inputs, targets = run.task.batch(0)
    times, regimes = [1.0], []
    for _ in range(80):
        leaves = {n: p.requires_grad_() for n, p in plain.items()}
        logits = torch.func.functional_call(run.model, leaves, (inputs,))
        loss = torch.nn.functional.cross_entropy(logits, targets)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        early = math.log(loss.item()) > threshold
        rate = boost * eta if early else eta / loss.item()
        regimes.append(early)
        times.append(times[-1] + rate)
        plain = {
            n: (p - rate * g).detach() for (n, p), g in zip(leaves.items(), gradients, strict=True)
        }
    assert set(regimes) == {True, False}, "choose a threshold that is crossed"
    for name, parameter in run.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), plain[name], rtol=1e-6, atol=1e-8)
    found = [row.value for row in session.rows if row.metric == "log_time"]
    np.testing.assert_allclose(found, np.log(times), rtol=1e-7, atol=1e-9)


def test_its_split_and_start_are_those_of_modular_addition(smoke: Smoke) -> None:
    log = smoke("modular_log_loss")
    keys = {k: v for k, v in log.task.model_dump().items() if k not in ("boost", "threshold")}
    plain = log.model_dump(mode="json") | {"task": {**keys, "kind": "modular_addition"}}
    a, b = SupervisedRun(log), SupervisedRun(RunConfig.from_mapping(plain))
    for mine, its in zip(a.task.batch(0), b.task.batch(0), strict=True):
        assert torch.equal(mine, its)
    for mine, its in zip(a.model.parameters(), b.model.parameters(), strict=True):
        assert torch.equal(mine, its)


def _regression(**task: Any) -> SupervisedRun:
    mapping = {
        "task": {"kind": "sparse_regression", "dimension": 7, "points": 5, **task},
        "model": {"kind": "diagonal", "initial_norm": 2.0},
        "optimizer": {"kind": "sgd", "lr": 0.01},
        "budget": 6000,
        "precision": "float64",
        "metrics": {"every": 6000},
    }
    return SupervisedRun(RunConfig.from_mapping(mapping))


@pytest.mark.parametrize("size", [1, 3, None])
def test_noise_is_normal_and_examples_are_drawn_evenly(size: int | None) -> None:
    task = _regression(batch_size=size, noise=0.5, active=2).task
    train_inputs, train_targets = task.splits(0)["train"]
    torch.testing.assert_close(train_targets, train_inputs[:, :2].sum(1))
    noise, drawn = [], []
    for step in range(5000):
        inputs, targets = task.batch(step)
        assert inputs.shape == (size or 5, 7)
        noise.append(targets - inputs[:, :2].sum(1))
        drawn += [int((train_inputs == x).all(1).nonzero()[0]) for x in inputs[:1]]
    values = torch.cat(noise)
    assert values.mean().item() == pytest.approx(0, abs=0.03)
    assert values.std().item() == pytest.approx(0.5, rel=0.04)
    if size is not None:
        counts = np.bincount(drawn, minlength=5)
        assert (abs(counts - 1000) < 150).all()


def test_an_update_shrinks_u_v_by_the_square_of_its_step() -> None:
    """Step by step: u_k v_k times 1 - c_k^2 with c_k = 4 rate (f - y - xi) x_k."""
    run = _regression(active=1)
    model: Any = run.model
    with torch.no_grad():
        model.u.add_(torch.linspace(0, 0.3, 7))
    u, v = model.u.detach().clone(), model.v.detach().clone()
    x, y = run.task.batch(0)
    step = 4 * 0.01 * (x[0] @ (u**2 - v**2) - y[0]) * x[0]
    run._update()
    torch.testing.assert_close(model.u.detach(), u * (1 - step))
    torch.testing.assert_close((model.u * model.v).detach(), u * v * (1 - step**2))
