"""The networks of Kumar et al. 2024 against plain forms, and their initial weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from plain_three_token import plain_forward
from torch.nn.functional import one_hot

from suite.errors import ConfigError
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats, IntegerPairs

PAIRS = ModelSpec(IntegerPairs(7), 7)
VECTORS = ModelSpec(Floats((6,)), 3)
ALL = torch.cartesian_prod(torch.arange(7), torch.arange(7))


def make(kind: str, spec: ModelSpec, **keys: object) -> Any:
    return build_model(MODELS[kind].from_mapping({"kind": kind, **keys}), spec, 0)


@pytest.mark.parametrize(("p", "precision"), [(5, torch.float64), (31, torch.float32)])
def test_the_factored_transformer_equals_the_plain_one(p: int, precision: torch.dtype) -> None:
    spec = ModelSpec(IntegerPairs(p), p + 1)
    model = make("three_token_transformer", spec, width=32, heads=4, hidden=64).to(precision)
    with torch.no_grad():  # away from biases of 0
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1)
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    found = []
    for forward in (model, lambda x: plain_forward(model, x)):
        model.zero_grad()
        logits = forward(pairs)
        torch.nn.functional.cross_entropy(logits, pairs.sum(1) % p).backward()
        found.append([logits.detach(), *(q.grad.clone() for q in model.parameters())])
    near = 1e-11 if precision is torch.float64 else 1e-5
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=near, atol=near)


def test_the_transformer_starts_as_the_authors_does() -> None:
    spec = ModelSpec(IntegerPairs(113), 114)
    model = make("three_token_transformer", spec)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["tokens.weight"] == (114, 128)
    assert shapes["decoder.weight"] == (114, 128)
    assert [name for name in shapes if name.endswith("bias")] == ["up.bias", "down.bias"]
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 1000:
            std = 1 / math.sqrt(114 if name.startswith("decoder") else 128)
            assert parameter.std().item() == pytest.approx(std, rel=0.05), name


def test_two_columns_are_the_product_with_one_hot_codes() -> None:
    model = make("pair_quadratic", PAIRS, width=9).double()
    codes = one_hot(ALL, 7).flatten(1).double()
    h = codes @ model.hidden.weight.T
    expected = h.square() @ model.readout.weight.T / (2 * 7 * 9)
    torch.testing.assert_close(model(ALL), expected, rtol=1e-12, atol=1e-12)


def test_quadratic_weights_are_standard_normal() -> None:
    model = make("pair_quadratic", ModelSpec(IntegerPairs(23), 23), width=100)
    assert [tuple(p.shape) for p in model.parameters()] == [(100, 46), (23, 100)]
    for parameter in model.parameters():
        assert parameter.std().item() == pytest.approx(1.0, rel=0.05)


def test_the_mean_field_network_by_hand() -> None:
    model = make("mean_field_mlp", VECTORS, width=4, depth=2, init_scale=3.0).double()
    first, second, readout = model.parameters()
    x = torch.randn(5, 6, dtype=torch.float64)
    h = (x @ first.T / math.sqrt(6)).relu()
    h = (h @ second.T / 2).relu()
    torch.testing.assert_close(model(x), h @ readout.T / 4, rtol=1e-12, atol=1e-12)


def test_mean_field_weights_are_scaled_by_fan_in() -> None:
    model = make("mean_field_mlp", ModelSpec(Floats((1, 28, 28)), 10), width=200, init_scale=150.0)
    for parameter in model.parameters():
        expected = 150 * math.sqrt(2 / parameter.shape[1])
        assert parameter.std().item() == pytest.approx(expected, rel=0.05)


def test_tanh_students_start_as_scaled_copies() -> None:
    one, two = (make("tanh_mlp", VECTORS, width=8, init_scale=s) for s in (1.0, 2.0))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(2 * a, b)
    reach = [float(p.detach().abs().max()) for p in one.parameters()]
    bounds = [1 / math.sqrt(f) for f in (6, 6, 8, 8, 8, 8)]
    assert all(r <= b for r, b in zip(reach, bounds, strict=True))
    x = torch.randn(4, 6)
    w1, b1, w2, b2, w3, b3 = one.parameters()
    expected = ((x @ w1.T + b1).tanh() @ w2.T + b2).tanh() @ w3.T + b3
    torch.testing.assert_close(one(x), expected)
    bare = make("tanh_mlp", VECTORS, width=300, biases=False, start="normal")
    assert len(list(bare.parameters())) == 3
    assert all(p.std().item() == pytest.approx(1, rel=0.1) for p in bare.parameters())


def test_networks_refuse_what_they_cannot_serve() -> None:
    for kind in ("pair_quadratic", "three_token_transformer"):
        with pytest.raises(ConfigError, match=r"model\.kind"):
            make(kind, VECTORS)
    for kind in ("tanh_mlp", "mean_field_mlp"):
        with pytest.raises(ConfigError, match=r"model\.kind"):
            make(kind, PAIRS)
    with pytest.raises(ConfigError, match=r"model\.kind"):  # as many logits as operands alone
        make("transformer", ModelSpec(IntegerPairs(7), 8))
    with pytest.raises(ConfigError, match="divisor"):
        make("three_token_transformer", PAIRS, width=6, heads=4)
