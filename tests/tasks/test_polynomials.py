"""The committee machine's problems: targets, and labels from a network's own kernel."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from suite.errors import ConfigError
from suite.models.closed_forms import quadratic_form, tangent_kernel
from suite.models.hermite import hermite
from suite.run_config import RunConfig
from suite.tasks.kernel_eigenvector import eigenvector
from suite.tasks.quadratic_regression import QuadraticRegression
from suite.training.supervised import SupervisedRun

POINTS = {"dimension": 5, "points": 12, "test_points": 9}


def run(task: dict[str, Any], model: dict[str, Any] | None = None, **keys: Any) -> SupervisedRun:
    mapping = {
        "task": {**POINTS, **task},
        "model": model or {"kind": "committee", "width": 4, "epsilon": 0.5},
        "optimizer": {"kind": "sgd", "lr": 1.0},
        "budget": 4,
        "precision": "float64",
        **keys,
    }
    return SupervisedRun(RunConfig.from_mapping(mapping))


def test_hermite_polynomials_are_numpys() -> None:
    z = np.linspace(-3, 3, 13)
    for degree in range(7):
        expected = np.polynomial.hermite_e.hermeval(z, [0] * degree + [1])
        np.testing.assert_allclose(hermite(degree, torch.from_numpy(z)).numpy(), expected)


@pytest.mark.parametrize("directions", [1, 3])
def test_targets_are_sums_of_squares(directions: int) -> None:
    asked = {"kind": "quadratic_regression", "directions": directions, "coefficient": 0.7}
    task: Any = run(asked).task
    x, y = task.batch(0)
    assert task.beta.shape == (directions, 5)
    expected = [0.7 * sum(float(b @ one) ** 2 for b in task.beta) for one in x]
    np.testing.assert_allclose(y.numpy(), expected)
    np.testing.assert_allclose(0.5 * ((x @ task.square()) * x).sum(1), expected)


def test_a_hermite_target_is_of_one_direction() -> None:
    task: Any = run({"kind": "quadratic_regression", "degree": 3}).task
    x, y = task.batch(0)
    z = x @ task.beta[0]
    torch.testing.assert_close(y, (z**3 - 3 * z) / math.sqrt(6))
    assert task.square() is None
    with pytest.raises(ConfigError, match=r"task\.degree"):
        run({"kind": "quadratic_regression", "degree": 3, "directions": 2})


@pytest.mark.parametrize("wrap", [False, True])
def test_a_start_that_is_the_solution_solves_the_task(wrap: bool) -> None:
    model = {"kind": "committee", "width": 2, "epsilon": 0.5, "towards": 1.0}
    model = {"kind": "scaled", "inner": model} if wrap else model
    found = run({"kind": "quadratic_regression"}, model)
    x, y = found.task.batch(0)
    torch.testing.assert_close(found.model(x).squeeze(1), y)
    names = {n: p for n, p in found.model.named_parameters() if p.requires_grad}
    form, task = quadratic_form(found.model, names), found.task
    assert form is not None
    assert isinstance(task, QuadraticRegression)
    (linear, square), expected = form, task.square()
    assert expected is not None
    torch.testing.assert_close(linear, torch.zeros_like(linear))
    torch.testing.assert_close(square, expected)


def test_a_start_in_between_is_the_mixture() -> None:
    weights = []
    for towards in (0.0, 0.25, 1.0):
        model = {"kind": "committee", "width": 2, "epsilon": 0.5, "towards": towards}
        found = run({"kind": "quadratic_regression"}, model).model
        weights.append(found.get_parameter("hidden.weight"))
    torch.testing.assert_close(weights[1], 0.75 * weights[0] + 0.25 * weights[2])


def test_a_start_towards_nothing_is_refused() -> None:
    model = {"kind": "committee", "towards": 0.5}
    for task in (
        {"kind": "quadratic_regression", "directions": 2},
        {"kind": "kernel_eigenvector"},
    ):
        with pytest.raises(ConfigError, match=r"model\.towards"):
            run(task, model)


def test_the_initial_scale_multiplies_the_weights() -> None:
    one, two = (
        run(
            {"kind": "quadratic_regression"}, {"kind": "committee", "width": 3, "init_scale": s}
        ).model.get_parameter("hidden.weight")
        for s in (1.0, 2.0)
    )
    torch.testing.assert_close(two, 2 * one)


def test_eigenvectors_are_in_order_and_of_the_kernel_without_its_mean() -> None:
    kernel = torch.diag(torch.tensor([1.0, 5.0, 3.0], dtype=torch.float64)) + 7.0
    shifted = kernel - kernel.mean()
    values = []
    for index in (1, 2, 3):
        v = eigenvector(kernel, index)
        value = v @ shifted @ v
        torch.testing.assert_close(shifted @ v, value * v)
        assert v.norm().item() == pytest.approx(1.0)
        assert v[v.abs().argmax()] > 0
        values.append(value.item())
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("wrap", ["", "scaled", "linearised"])
def test_labels_are_of_the_very_network_that_is_trained(wrap: str) -> None:
    network = {"kind": "committee", "width": 4, "epsilon": 0.5}
    model = {"kind": wrap, "inner": network} if wrap else network
    found = run({"kind": "kernel_eigenvector", "index": 3, "network": network}, model)
    splits = found.task.splits(0)
    x, y = (torch.cat([splits["train"][i], splits["test"][i]]) for i in (0, 1))
    names = {n: p for n, p in found.model.named_parameters() if p.requires_grad}
    kernel = tangent_kernel(found.model, names, x)
    assert kernel is not None
    shifted = kernel - kernel.mean()
    torch.testing.assert_close(shifted @ y, (y @ shifted @ y) * y, rtol=1e-4, atol=1e-5)
    assert y.norm().item() == pytest.approx(1.0)


def test_any_network_can_give_the_labels() -> None:
    network = {"kind": "mlp", "width": 4}
    found = run({"kind": "kernel_eigenvector", "network": network}, network)
    assert found.task.batch(0)[1].std() > 0
    with pytest.raises(ConfigError, match=r"task\.index"):
        run({"kind": "kernel_eigenvector", "index": 22}, network)
