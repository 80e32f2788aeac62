"""Margins, turning, largest L2 margin, true coordinates and completion against independent ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.svm import SVC

from suite.losses import CROSS_ENTROPY, LOGISTIC, SQUARED
from suite.metrics.base import METRICS, Observation
from suite.metrics.completion import least_nuclear_norm, observed
from suite.metrics.margin import smallest_margin
from suite.metrics.max_margin import max_margin
from suite.metrics.start_cosine import cosine
from suite.models.diagonal import DiagonalNetwork

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def look(**fields: Any) -> Observation:
    return Observation(**{"step": 0, "parameters": {}, "roles": {}, "rates": {}, **fields})


def test_margins_are_those_of_loops() -> None:
    logits, classes = normal(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    rows = zip(logits.tolist(), classes.tolist(), strict=True)
    slow = min(f[y] - max(f[:y] + f[y + 1 :]) for f, y in rows)
    assert smallest_margin(CROSS_ENTROPY, logits, classes) == pytest.approx(slow)
    outputs, labels = normal(5, 1), torch.tensor([1.0, -1, -1, 1, 1], dtype=torch.float64)
    slow = min(f * y for f, y in zip(outputs[:, 0].tolist(), labels.tolist(), strict=True))
    assert smallest_margin(LOGISTIC, outputs, labels) == pytest.approx(slow)
    assert smallest_margin(SQUARED, outputs, labels) is None


def test_the_normalised_margin_does_not_know_the_size_of_parameters() -> None:
    model = DiagonalNetwork(4, 3.0).double()
    with torch.no_grad():
        model.u.add_(normal(4).abs())
    inputs, labels = normal(5, 4), torch.ones(5, dtype=torch.float64)
    found = []
    for _ in range(2):
        parameters = {n: p.detach().clone() for n, p in model.named_parameters()}
        predictions = {"train": (model(inputs).detach(), labels)}
        seen = look(parameters=parameters, predictions=predictions, criterion=LOGISTIC, model=model)
        found.append(METRICS["normalised_margin"].build()(seen)["train"].item())
        with torch.no_grad():
            model.u.mul_(3)
            model.v.mul_(3)
    assert found[1] == pytest.approx(found[0])
    norm = sum(float(p.square().sum()) for p in parameters.values())
    assert found[1] == pytest.approx(float(predictions["train"][0].min()) / norm)


def test_cosines_with_the_start() -> None:
    assert cosine(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])) == pytest.approx(0.5**0.5)
    assert cosine(torch.zeros(2), torch.ones(2)) == 0
    now = {"w": normal(3, 2), "b": normal(2)}
    then = {"w": normal(3, 2), "b": torch.zeros(2, dtype=torch.float64)}
    values = METRICS["start_cosine"].build()(look(parameters=now, initial=then))
    assert set(values) == {"w", "all"}, "a start at 0 has no direction"
    a = np.concatenate([now["w"].numpy().ravel(), now["b"].numpy()])
    b = np.concatenate([then["w"].numpy().ravel(), np.zeros(2)])
    assert values["all"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_margin_is_that_of_a_support_vector_machine(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(9, 12, generator=generator, dtype=torch.float64)
    y = torch.randn(9, generator=generator, dtype=torch.float64).sign()
    found = max_margin(x, y).numpy()
    # With every example and its mirror image the best offset is 0.
    machine = SVC(kernel="linear", C=1e9, tol=1e-8)
    machine.fit(np.concatenate([x.numpy(), -x.numpy()]), np.concatenate([y.numpy(), -y.numpy()]))
    np.testing.assert_allclose(found, machine.coef_[0], rtol=1e-3, atol=1e-4)
    assert (y.numpy() * (x.numpy() @ found)).min() == pytest.approx(1, abs=1e-6)


@torch.no_grad()
def test_shares_on_the_true_coordinates() -> None:
    model = DiagonalNetwork(4, 1.0)
    with torch.no_grad():
        model.u.copy_(torch.tensor([1.0, 0.0, 2.0, 0.0]))
        model.v.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    measure = METRICS["true_coordinates"].build()
    sparse = SimpleNamespace(direction=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert measure(look(model=model, task=sparse))[""] == pytest.approx(2 / 6)
    assert measure(look(model=model, task=SimpleNamespace(direction=torch.ones(4)))) == {}
    assert measure(look(model=model, task=None)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_least_nuclear_norm_is_that_of_a_search(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    truth = truth + truth.T
    pairs = torch.tensor([[0, 1], [1, 1], [0, 2], [3, 2], [3, 3]])
    mask, known = observed(pairs, truth[pairs[:, 0], pairs[:, 1]], 4)
    assert mask.sum() == 8
    torch.testing.assert_close(known[mask], truth[mask])
    found = least_nuclear_norm(mask, known)
    torch.testing.assert_close(found[mask], truth[mask])
    assert torch.equal(found, found.T)
    free = np.argwhere(np.triu(~mask.numpy()))

    def norm(values: np.ndarray) -> float:
        matrix = known.numpy().copy()
        for (i, j), value in zip(free, values, strict=True):
            matrix[i, j] = matrix[j, i] = value
        return float(np.abs(np.linalg.eigvalsh(matrix)).sum())

    options: Any = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-9, "fatol": 1e-12}
    best = min(
        minimize(norm, start * np.ones(len(free)), method="Nelder-Mead", options=options).fun
        for start in (0.0, 1.0)
    )
    mine = norm(np.array([found[i, j] for i, j in free]))
    assert mine <= best + 1e-6
