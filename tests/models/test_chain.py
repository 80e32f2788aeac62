"""Chains of layers of many runs against autograd of each network alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import nn

from suite.models.activations import CRelu
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.chain import Chain, chain_layers
from suite.models.inputs import Floats

SHAPE = (1, 3, 2)
KINDS = [
    *(
        {"kind": "mlp", "norm": norm, "activation": name}
        for norm, name in product(
            ("none", "layer", "rms"), ("relu", "leaky_relu", "gelu", "crelu", "fourier")
        )
    ),
    {"kind": "tanh_mlp", "biases": True},
    {"kind": "tanh_mlp", "biases": False},
]


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: "-".join(map(str, k.values())))
def test_outputs_and_gradients_are_autograd_s(kind: dict[str, object]) -> None:
    config = MODELS[str(kind["kind"])].from_mapping({**kind, "width": 5, "depth": 2})
    spec = ModelSpec(Floats(SHAPE), 3)
    models = [build_model(config, spec, seed) for seed in range(4)]
    for model in models:  # gains and offsets that differ from 1 and 0
        for p in model.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
    named = [dict(model.named_parameters()) for model in models]
    parameters = {n: torch.stack([of[n].detach() for of in named]) for n in named[0]}
    layers = chain_layers(models[0])
    assert layers is not None
    chain = Chain(layers, parameters)
    inputs, weights = torch.randn(4, 7, *SHAPE), torch.randn(4, 7, 3)
    for _ in range(2):  # the second call overwrites the first one's gradients
        outputs, context = chain.forward(parameters, inputs)
        gradients = chain.backward(parameters, inputs, weights, context)
    for run, model in enumerate(models):
        of = {n: p.detach() for n, p in named[run].items()}
        alone = Chain(layers, of)
        flat = inputs[run].flatten(1)
        own, context = alone.forward(of, flat)
        alone.backward(of, flat, weights[run], context)
        torch.testing.assert_close(own, outputs[run], rtol=1e-12, atol=1e-12)
        for name, gradient in alone.gradients.items():
            torch.testing.assert_close(gradient, gradients[name][run], rtol=1e-10, atol=1e-12)
        expected = model(inputs[run])
        torch.testing.assert_close(outputs[run], expected, rtol=1e-12, atol=1e-12)
        (expected * weights[run]).sum().backward()
        for name, p in named[run].items():
            torch.testing.assert_close(gradients[name][run], p.grad, rtol=1e-10, atol=1e-12)


def test_a_chain_may_begin_with_what_has_no_parameters() -> None:
    model = nn.Sequential(nn.Flatten(), CRelu(), nn.Linear(12, 2), nn.Sequential(nn.Tanh()))
    layers = chain_layers(model)
    assert layers is not None
    parameters = {n: p.detach().unsqueeze(0) for n, p in model.named_parameters()}
    chain, inputs = Chain(layers, parameters), torch.randn(1, 4, *SHAPE)
    outputs, context = chain.forward(parameters, inputs)
    found = chain.backward(parameters, inputs, torch.ones_like(outputs), context)
    model(inputs[0]).sum().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name][0], p.grad)


def test_other_networks_are_no_chains() -> None:
    class Odd(nn.Linear):
        pass

    tied = nn.Linear(2, 2)
    for model in (
        nn.Linear(2, 2),
        nn.Sequential(Odd(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)),
        nn.Sequential(nn.Flatten(0), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.LayerNorm((2, 2))),
        nn.Sequential(tied, nn.ReLU(), tied),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))),
    ):
        assert chain_layers(model) is None, model
