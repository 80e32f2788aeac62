"""The perceptron on pairs: its two codes, its invariant weights, what it is refused for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from suite.errors import ConfigError
from suite.invariance.scale_invariance import scale_invariant
from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.inputs import Floats, IntegerPairs
from suite.models.pair_mlp import PairMlp
from suite.params import classify

P = 7
PAIRS = torch.cartesian_prod(torch.arange(P), torch.arange(P))


def make(**keys: Any) -> PairMlp:
    config = MODELS["pair_mlp"].from_mapping({"kind": "pair_mlp", "width": 16, **keys})
    model = build_model(config, ModelSpec(IntegerPairs(P), P), 0).double()
    assert isinstance(model, PairMlp)
    return model


@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_picking_columns_equals_a_product_with_one_hot_codes(norm: str) -> None:
    model = make(embedding=None, norm=norm)
    codes = torch.nn.functional.one_hot(PAIRS, P).flatten(1).double()
    expected = model.decoder(model.hidden(model.first(codes)))
    torch.testing.assert_close(model(PAIRS), expected)
    ours = torch.autograd.grad(model(PAIRS).square().sum(), model.first.weight)[0]
    theirs = torch.autograd.grad(expected.square().sum(), model.first.weight)[0]
    torch.testing.assert_close(ours, theirs)


def test_operands_share_a_table() -> None:
    model: Any = make(embedding=4, depth=2)
    table = model.tokens.weight
    by_hand = torch.cat([table[PAIRS[:, 0]], table[PAIRS[:, 1]]], 1) @ model.first.weight.T
    by_hand = by_hand.relu() @ model.hidden[1].weight.T
    torch.testing.assert_close(model(PAIRS), by_hand.relu() @ model.decoder.weight.T)


@pytest.mark.parametrize("embedding", [None, 4])
def test_activations_start_at_the_order_of_one(embedding: int | None) -> None:
    model = make(embedding=embedding, width=4096)
    torch.manual_seed(0)
    first: dict[str, torch.Tensor] = {}
    model.hidden.register_forward_hook(lambda m, i, o: first.update(at=i[0]))
    model(PAIRS)
    assert 0.5 < first["at"].std().item() < 2


@pytest.mark.parametrize("depth", [1, 3])
def test_with_norm_layers_all_hidden_maps_are_scale_invariant(depth: int) -> None:
    model = make(norm="rms", depth=depth)
    names = list(scale_invariant(model, PAIRS).names)
    weights = [n for n, role in classify(model).items() if role == "weight"]
    assert names == weights
    assert len(names) == depth
    assert scale_invariant(make(depth=depth), PAIRS).names == ()


def test_other_inputs_are_refused() -> None:
    config = MODELS["pair_mlp"].from_mapping({"kind": "pair_mlp"})
    with pytest.raises(ConfigError, match="a model for arrays of floats"):
        config.build(ModelSpec(Floats((5,)), 3))
