"""Sharpness against dense Hessians in double precision."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from suite.losses import CROSS_ENTROPY
from suite.metrics.base import METRICS, Observation
from suite.metrics.sharpness import hessian_product, top_eigenvalue
from suite.models.normalize import NormKind
from suite.models.pair_mlp import PairMlp
from suite.models.transformer import GrokkingTransformer
from suite.params import classify


@settings(max_examples=15)
@given(st.integers(1, 8), st.integers(0, 10_000))
def test_lanczos_finds_the_largest_eigenvalue_of_a_symmetric_matrix(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(n, n, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.T
    start = torch.randn(n, generator=generator, dtype=torch.float64)
    found = top_eigenvalue(lambda v: matrix @ v, start, n)
    torch.testing.assert_close(found, torch.linalg.eigvalsh(matrix)[-1], rtol=1e-9, atol=1e-9)


def test_lanczos_stops_in_an_invariant_space_and_with_few_steps_is_near() -> None:
    torch.manual_seed(0)
    start = torch.randn(50, dtype=torch.float64)
    assert top_eigenvalue(lambda v: 3 * v, start, 20).item() == pytest.approx(3)
    assert top_eigenvalue(torch.zeros_like, start, 20).item() == 0
    spectrum = torch.cat([torch.linspace(-1, 1, 49), torch.tensor([5.0])]).double()
    found = top_eigenvalue(lambda v: spectrum * v, start, 12)
    assert found.item() == pytest.approx(5, rel=1e-6)


def test_products_are_exact_for_a_quartic() -> None:
    at = torch.tensor([1.0, -2.0], dtype=torch.float64)
    product = hessian_product(lambda w: (w**4).sum() + w[0] * w[1], at, 1e-4)
    v = torch.tensor([0.6, 0.8], dtype=torch.float64)
    expected = torch.tensor([12 * 0.6 + 0.8, 48 * 0.8 + 0.6], dtype=torch.float64)
    torch.testing.assert_close(product(v), expected, rtol=1e-6, atol=1e-6)


def _observe(model: PairMlp | GrokkingTransformer, pairs: Tensor, /, **keys: Any) -> Observation:
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    train = (pairs, pairs.sum(1) % model.modulus)
    keys = {"model": model, "splits": {"train": train}, "criterion": CROSS_ENTROPY, **keys}
    return Observation(0, parameters, classify(model), {}, **keys)


def _dense(model: PairMlp, pairs: Tensor) -> float:
    """Return the largest eigenvalue of the Hessian, by second derivatives of every pair."""
    named = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    shapes = {n: p.shape for n, p in named.items()}

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split([s.numel() for s in shapes.values()])
        own = {n: p.view(s) for (n, s), p in zip(shapes.items(), pieces, strict=True)}
        outputs = functional_call(model, own, (pairs,))
        return nn.functional.cross_entropy(outputs, pairs.sum(1) % model.modulus)

    flat = torch.cat([p.flatten() for p in named.values()])
    return float(torch.linalg.eigvalsh(hessian(loss, flat))[-1])


@pytest.mark.parametrize("norm", ["none", "rms"])
def test_it_equals_the_dense_hessians(norm: NormKind) -> None:
    torch.manual_seed(0)
    model = PairMlp(5, 3, 6, 2, norm).double()
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    found = METRICS["sharpness"].build()(_observe(model, pairs))
    assert found["train"].item() == pytest.approx(_dense(model, pairs), rel=1e-4)


def test_a_network_in_single_precision_is_looked_at_in_double_and_left_alone() -> None:
    torch.manual_seed(0)
    model = GrokkingTransformer(5, 8, 2, 8, "rms")
    before = copy.deepcopy(model.state_dict())
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    with torch.no_grad():
        found = METRICS["sharpness"].build()(_observe(model, pairs))["train"]
    double = METRICS["sharpness"].build()(_observe(copy.deepcopy(model).double(), pairs))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, double["train"])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_it_is_of_trained_parameters_and_of_tasks_with_a_training_set() -> None:
    torch.manual_seed(0)
    model = PairMlp(5, 3, 6, 1, "none").double()
    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    model.decoder.weight.requires_grad_(False)
    found = METRICS["sharpness"].build()(_observe(model, pairs))
    assert found["train"].item() == pytest.approx(_dense(model, pairs), rel=1e-4)
    assert METRICS["sharpness"].build()(_observe(model, pairs, splits={})) == {}
    assert METRICS["sharpness"].build()(_observe(model, pairs, model=None)) == {}


def test_only_part_of_a_large_training_set_is_read() -> None:
    model = PairMlp(23, 3, 6, 1, "none").double()
    pairs = torch.cartesian_prod(torch.arange(23), torch.arange(23))
    whole, part = (
        METRICS["sharpness"].build()(_observe(model, p))["train"] for p in (pairs, pairs[:256])
    )
    assert whole == part
    task = SimpleNamespace()
    assert METRICS["sharpness"].build()(_observe(model, pairs, task=task))["train"] == part
