"""The output scale: outputs, centring, roles, features."""

from typing import Any

import pytest
import torch
from torch import nn

from suite.errors import ConfigError
from suite.models.base import ACTIVATIONS, MODELS, ModelSpec, build_model, recording
from suite.models.inputs import Floats, IntegerPairs
from suite.params import classify

SPEC = ModelSpec(Floats((5,)), 3)
INNER = {"kind": "mlp", "width": 8}


def make(**keys: Any) -> nn.Module:
    config = MODELS["scaled"].from_mapping({"kind": "scaled", "inner": INNER, **keys})
    return build_model(config, SPEC, 0)


def test_outputs_are_the_inner_ones_times_the_scale() -> None:
    x = torch.randn(4, 5)
    inner = build_model(MODELS["mlp"].from_mapping(INNER), SPEC, 0)
    torch.testing.assert_close(make(alpha=3.0)(x), 3 * inner(x))


def test_a_centred_network_starts_at_zero_and_moves_like_the_plain_one() -> None:
    x = torch.randn(4, 5)
    plain, centred = make(alpha=2.0), make(alpha=2.0, centred=True)
    before = plain(x).detach()
    assert centred(x).abs().max() == 0
    for model in (plain, centred):
        for name in classify(model):
            model.get_parameter(name).data.add_(0.1)
    torch.testing.assert_close(centred(x), plain(x) - before)


def test_the_start_is_saved_but_neither_trained_nor_looked_at() -> None:
    model = make(centred=True)
    assert not any(name.startswith("start") for name in classify(model))
    assert any(name.startswith("start") for name in model.state_dict())
    with recording(model, ACTIVATIONS) as seen:
        model(torch.randn(2, 5))
    assert seen
    assert all(name.startswith("inner") for name in seen)


def test_what_the_inner_model_cannot_serve_is_refused_by_its_path() -> None:
    config = MODELS["scaled"].from_mapping({"kind": "scaled", "inner": INNER})
    with pytest.raises(ConfigError, match=r"model\.inner\.kind"):
        config.build(ModelSpec(IntegerPairs(7), 7))
