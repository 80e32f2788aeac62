"""The network for signals against its formula, and what it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_images import ACTS, plain_cnn_1d
from torch import nn

from suite.errors import ConfigError
from suite.models.base import ModelSpec, build_model
from suite.models.cnn_1d import Cnn1dConfig
from suite.models.inputs import Floats

SPEC = ModelSpec(Floats((1, 40)), 10)


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("shape", [(1, 40), (3, 17), (2, 3)])
@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_outputs_are_those_of_the_formula(norm: Any, name: Any, shape: tuple[int, ...]) -> None:
    config = Cnn1dConfig(channels=6, norm=norm, activation=name)
    net = build_model(config, ModelSpec(Floats(shape), 4), seed=0).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    inputs = torch.randn(5, *shape, dtype=torch.float64)
    expected = plain_cnn_1d(net.parameters(), inputs, norm, ACTS[name])
    torch.testing.assert_close(net(inputs), expected, rtol=1e-10, atol=1e-10)


def test_number_of_parameters() -> None:
    plain, normed = Cnn1dConfig(norm="none"), Cnn1dConfig()
    assert _size(build_model(plain, SPEC, 0)) == 5210  # as notebooks/models.py of mnist1d
    kernels = 25 * 5 + 2 * 25 * 25 * 3
    assert _size(build_model(normed, SPEC, 0)) == kernels + 3 * 2 * 25 + 125 * 10
    doubled = Cnn1dConfig(activation="crelu")
    assert _size(build_model(doubled, SPEC, 0)) == 25 * 5 + 4 * 25 * 25 * 3 + 150 + 2500


def test_a_vector_is_a_signal_of_one_channel() -> None:
    one, other = (
        build_model(Cnn1dConfig(), ModelSpec(Floats(shape), 10), 0) for shape in ((40,), (1, 40))
    )
    x = torch.randn(3, 40)
    assert torch.equal(one(x), other(x.unsqueeze(1)))


@pytest.mark.parametrize("shape", [(1, 2), (2,), (3, 8, 8), ()])
def test_inputs_that_are_no_signals_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        Cnn1dConfig().build(ModelSpec(Floats(shape), 10))
    wanted = f"a model for inputs of shape {shape}; cnn_1d is for signals of shape (length,) or "
    wanted += "(channels, length), with a length of at least 3"
    assert str(caught.value) == f"model.kind: got 'cnn_1d'; expected {wanted}"
