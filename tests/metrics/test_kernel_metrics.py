"""Kernels, their metrics and the terms of the loss against slow references in double precision."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from suite.losses import SQUARED
from suite.metrics.base import METRICS, Observation
from suite.metrics.kernel_regression import regression
from suite.metrics.loss_terms import loss_terms
from suite.metrics.ntk_alignment import alignment, one_sided_alignment
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.closed_forms import derivatives, quadratic_form, tangent_kernel
from suite.models.inputs import Floats
from suite.params import classify

SPEC = ModelSpec(Floats((4,)), 1)
NETWORKS = {
    "committee": {"kind": "committee", "width": 6, "epsilon": 0.5},
    "readout": {"kind": "committee", "width": 6, "epsilon": 0.5, "trained_readout": True},
    "hermite": {"kind": "committee", "width": 6, "epsilon": 0.5, "hermite": 3},
    "both": {"kind": "committee", "width": 3, "hermite": 4, "trained_readout": True},
}


def scaled(inner: dict[str, Any], centred: bool = True) -> dict[str, Any]:
    return {"kind": "scaled", "alpha": 3.0, "centred": centred, "inner": inner}


CASES = {
    **NETWORKS,
    "scaled": scaled(NETWORKS["committee"]),
    "uncentred": scaled(NETWORKS["readout"], centred=False),
    "linearised": {"kind": "linearised", "inner": NETWORKS["readout"]},
    "scaled linearised": scaled({"kind": "linearised", "inner": NETWORKS["committee"]}),
}


def make(
    config: dict[str, Any], moved: float = 0.4, seed: int = 0
) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """Return a network away from its start, and its trainable tensors there and at the start."""
    model = build_model(MODELS[config["kind"]].from_mapping(config), SPEC, seed).double()
    names = list(classify(model))
    first = {n: model.get_parameter(n).detach().clone() for n in names}
    generator = torch.Generator().manual_seed(1)
    for n in names:
        p = model.get_parameter(n)
        p.data += moved * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return model, {n: model.get_parameter(n).detach() for n in names}, first


def kernel_of(model: nn.Module, parameters: Mapping[str, Tensor], *inputs: Tensor) -> Tensor:
    """The tangent kernel, which is not too large here."""
    kernel = tangent_kernel(model, parameters, *inputs)
    assert kernel is not None
    return kernel


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_is_the_product_of_derivatives(name: str) -> None:
    model, now, first = make(CASES[name])
    x, y = torch.randn(5, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    for parameters in (now, first):
        of_x, of_y = (derivatives(model, parameters, z) for z in (x, y))
        found = tangent_kernel(model, parameters, x, y)
        torch.testing.assert_close(found, of_x @ of_y.T, rtol=1e-10, atol=1e-12)
    own = []
    for one in x:
        own.append(
            torch.autograd.grad(model(one[None]).sum(), [model.get_parameter(n) for n in now])
        )
    slow = torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in own])
    torch.testing.assert_close(tangent_kernel(model, now, x), slow @ slow.T)


def test_the_kernel_of_a_wide_start_is_the_papers() -> None:
    """``x . y + epsilon^2 (x . y)^2`` for infinitely many units, N times smaller derivatives."""
    config = {"kind": "committee", "width": 200_000, "epsilon": 0.5}
    model, _, first = make(config)
    x = torch.randn(4, 4, dtype=torch.float64)
    products = x @ x.T
    found = 200_000 * kernel_of(model, first, x)
    torch.testing.assert_close(found, products + 0.25 * products**2, rtol=0.05, atol=0.05)


def test_a_kernel_of_too_many_numbers_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.models.closed_forms.LARGEST", 10)
    model = torch.nn.Linear(4, 1).double()
    parameters = dict(model.named_parameters())
    assert tangent_kernel(model, parameters, torch.randn(3, 4, dtype=torch.float64)) is None


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("hermite", "both")])
def test_the_quadratic_form_is_the_network(name: str) -> None:
    model, now, _ = make(CASES[name])
    x = torch.randn(7, 4, dtype=torch.float64)
    form = quadratic_form(model, now)
    assert form is not None
    linear, square = form
    torch.testing.assert_close(square, square.T)
    found = x @ linear + 0.5 * ((x @ square) * x).sum(1)
    # An uncentred expansion of a bilinear network is one too, for its start has no constant.
    torch.testing.assert_close(found, model(x).squeeze(1))


def test_other_networks_have_no_quadratic_form() -> None:
    model, now, _ = make(scaled({"kind": "linearised", "inner": NETWORKS["hermite"]}))
    assert quadratic_form(model, now) is None


def test_the_terms_add_up_to_the_expected_loss_and_are_the_papers() -> None:
    rng = np.random.default_rng(0)
    size, alpha, epsilon = 4, 1.5, 0.5
    w, beta = rng.standard_normal((6, size)), rng.standard_normal(size)
    mean, moment = w.mean(0), w.T @ w / 6
    target = torch.from_numpy(np.outer(beta, beta))
    terms = loss_terms(
        alpha * torch.from_numpy(mean), alpha * epsilon * torch.from_numpy(moment), target
    )
    paper = {
        "variance": (beta @ beta / size - alpha * epsilon / size * np.trace(moment)) ** 2 / 4,
        "misalignment": np.sum((alpha * epsilon * moment - np.outer(beta, beta)) ** 2)
        / (2 * size**2),
        "linear": alpha**2 / size * mean @ mean,
    }
    for name, value in paper.items():
        assert terms[name].item() == pytest.approx(value)
    x = rng.standard_normal((400_000, size)) / np.sqrt(size)
    outputs = alpha * (x @ w.T + epsilon / 2 * (x @ w.T) ** 2).mean(1)
    sampled = np.mean((outputs - 0.5 * (x @ beta) ** 2) ** 2)
    assert terms["total"].item() == pytest.approx(sampled, rel=0.02)


@settings(max_examples=25)
@given(st.integers(2, 7), st.integers(0, 2**31))
def test_alignments_equal_their_definitions(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    factor, y = rng.standard_normal((n, 3)), rng.standard_normal(n)
    kernel = factor @ factor.T

    def reference(k: NDArray[Any], y: NDArray[Any]) -> float:
        top = sum(y[i] * k[i, j] * y[j] for i in range(n) for j in range(n))
        return float(top / (np.sqrt(sum(v * v for row in k for v in row)) * sum(v * v for v in y)))

    found = alignment(torch.from_numpy(kernel), torch.from_numpy(y)).item()
    assert found == pytest.approx(reference(kernel, y), rel=1e-9)
    assert -1e-12 <= found <= 1 + 1e-12
    centred = np.array([[kernel[i, j] - kernel[:, j].mean() for j in range(n)] for i in range(n)])
    found = one_sided_alignment(torch.from_numpy(kernel), torch.from_numpy(y)).item()
    assert found == pytest.approx(reference(centred, y - y.mean()), rel=1e-6, abs=1e-9)


def test_alignment_is_one_for_the_kernel_of_the_targets() -> None:
    y = torch.randn(5, dtype=torch.float64)
    assert alignment(3 * torch.outer(y, y), y).item() == pytest.approx(1.0)


def test_regression_interpolates_and_takes_the_least_norm() -> None:
    """Also where there are more points than weights: then it is least squares."""
    x = torch.randn(9, 3, dtype=torch.float64)
    y, x_test = torch.randn(9, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    expected = x_test @ torch.linalg.lstsq(x, y.unsqueeze(1)).solution.squeeze(1)
    torch.testing.assert_close(regression(x @ x.T, x_test @ x.T, y), expected, rtol=1e-4, atol=1e-4)
    few = x[:2]
    found = regression(few @ few.T, few @ few.T, y[:2])
    torch.testing.assert_close(found, y[:2], rtol=1e-6, atol=1e-6)


def observe(config: dict[str, Any], moved: float = 0.4) -> Observation:
    model, now, first = make(config, moved)
    x, y = torch.randn(12, 4, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    return Observation(
        step=3,
        parameters=now,
        roles=classify(model),
        rates=dict.fromkeys(now, 0.1),
        initial=first,
        criterion=SQUARED,
        model=model,
        splits={"train": (x[:5], y[:5]), "test": (x[5:], y[5:])},
    )


def test_the_metrics_read_the_observation() -> None:
    seen = observe(CASES["scaled"])
    x, y = seen.splits["test"]
    assert seen.model is not None
    now, then = (kernel_of(seen.model, p, x) for p in (seen.parameters, seen.initial))
    values = {name: METRICS[name].build()(seen) for name in METRICS.entries() if "kernel" in name}
    drift = ((now - then).norm() / then.norm()).item()
    assert values["kernel_drift"]["test"].item() == pytest.approx(drift)
    aligned = METRICS["ntk_alignment"].build()(seen)
    assert aligned["plain"].item() == pytest.approx((y @ now @ y / now.norm() / (y @ y)).item())
    lines = values["kernel_regression"]
    assert lines["test"].item() == pytest.approx(lines["limit"].item()), "the start is zero"
    still = observe(CASES["scaled"], moved=0.0)
    assert METRICS["kernel_drift"].build()(still)["test"].item() == 0


def test_the_limit_of_an_uncentred_network_begins_at_its_start() -> None:
    seen = observe(CASES["committee"])
    (x, y), (x_test, y_test) = seen.splits["train"], seen.splits["test"]
    start, _, first = make(CASES["committee"], moved=0.0)
    kernel, cross = (kernel_of(start, first, z, x) for z in (x, x_test))
    left = torch.linalg.solve(kernel, y - start(x).squeeze(1))
    limit = start(x_test).squeeze(1) + cross @ left
    plain = cross @ torch.linalg.solve(kernel, y)
    found = METRICS["kernel_regression"].build()(seen)
    assert found["limit"].item() == pytest.approx((limit - y_test).square().mean().item(), rel=1e-5)
    assert found["test"].item() == pytest.approx((plain - y_test).square().mean().item(), rel=1e-5)


def test_movement_is_relative_to_the_start() -> None:
    seen = observe(CASES["committee"])
    name = "hidden.weight"
    expected = (seen.parameters[name] - seen.initial[name]).norm() / seen.initial[name].norm()
    found = METRICS["relative_movement"].build()(seen)
    assert found["all"].item() == pytest.approx(expected.item())
    zero = replace(seen, initial={name: torch.zeros_like(seen.initial[name])})
    assert METRICS["relative_movement"].build()(zero) == {}


def test_classifiers_and_other_problems_have_none() -> None:
    seen = replace(observe(CASES["committee"]), splits={})
    for name in ("ntk_alignment", "kernel_drift", "kernel_regression", "loss_terms"):
        assert METRICS[name].build()(seen) == {}
