"""Residual networks against their formula, their sizes, and batch norm's two modes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from plain_images import ACTS, plain_resnet
from torch import nn

from suite.errors import ConfigError
from suite.models.base import ModelSpec, build_model
from suite.models.inputs import Floats
from suite.models.predict import evaluating, predict
from suite.models.resnet import STAGES, ResNetConfig
from suite.models.units import hidden_layers

CIFAR = ModelSpec(Floats((3, 32, 32)), 10)
SMALL = ModelSpec(Floats((2, 9, 8)), 3)


def _size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("depth", "norm", "name"),
    [
        (8, "batch", "relu"),
        (8, "layer", "gelu"),
        (8, "group", "leaky_relu"),
        (8, "none", "relu"),
        (18, "layer", "relu"),
        (50, "batch", "relu"),
        (50, "none", "gelu"),
        (50, "group", "relu"),
    ],
)
def test_outputs_are_those_of_the_formula(depth: Any, norm: Any, name: Any) -> None:
    config = ResNetConfig(depth=depth, width=8, norm=norm, groups=2, activation=name)
    net = build_model(config, SMALL, seed=0).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.1, 0.3 if norm != "none" else 0.1, generator)
    inputs = torch.randn(6, *SMALL.inputs.shape, dtype=torch.float64, generator=generator)
    groups = 2 if norm == "group" else 1
    expected = plain_resnet(
        net.parameters(), inputs, STAGES[depth], depth >= 50, norm, groups, ACTS[name]
    )
    torch.testing.assert_close(net(inputs), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("depth", [8, 18, 50, 101])
def test_number_of_parameters(depth: Any, width: int) -> None:
    def norm(channels: int) -> int:
        return 2 * channels

    size, given = 27 * width + norm(width), width
    for stage, count in enumerate(STAGES[depth]):
        c = width * 2**stage
        for _ in range(count):
            if depth < 50:
                size += 9 * c * (given + c) + 2 * norm(c)
                end = c
            else:
                end = 4 * c
                size += given * c + 9 * c * c + c * end + 2 * norm(c) + norm(end)
            size += 0 if given == end else given * end + norm(end)
            given = end
    with torch.device("meta"):
        net = ResNetConfig(depth=depth, width=width).build(CIFAR)
    assert _size(net) == size + 10 * given
    published = {18: 11_173_962, 50: 23_520_842, 101: 42_512_970}  # with ten biases at the end
    if width == 64 and depth in published:
        assert _size(net) + 10 == published[depth]


def test_a_plain_network_has_biases_in_place_of_norms() -> None:
    net = build_model(ResNetConfig(depth=8, width=8, norm="none"), SMALL, 0)
    maps = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(maps) == 1 + 3 * 2 + 2 + 1
    assert all(m.bias is not None for m in maps)


def test_measurements_use_running_statistics_and_leave_them() -> None:
    net = build_model(ResNetConfig(depth=8, width=8), SMALL, 0)
    x = torch.randn(12, *SMALL.inputs.shape)
    net(x)
    before = copy.deepcopy(net.state_dict())
    whole = predict(net, x)
    torch.testing.assert_close(whole, copy.deepcopy(net).eval()(x))
    torch.testing.assert_close(predict(net, x[:5]), whole[:5])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not torch.allclose(net(x), whole)


def test_modes_come_back_as_they_were() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(), nn.BatchNorm1d(2).eval())
    with evaluating(net):
        assert [module.training for module in net] == [False, False, False]
    assert [module.training for module in net] == [True, True, False]


def test_units_within_the_branches_are_seen() -> None:
    net = build_model(ResNetConfig(depth=8, width=8), SMALL, 0)
    layers = hidden_layers(net, lambda: net(torch.randn(4, *SMALL.inputs.shape)))
    alone = [layer for layer in layers if not layer.others]
    assert [(x.incoming, x.outgoing) for x in alone] == [
        (f"{i}.0.branch.0", [f"{i}.0.branch.3"]) for i in (3, 4, 5)
    ]


@pytest.mark.parametrize(
    ("depth", "shape", "least"),
    [(8, (3, 3, 8), 4), (18, (3, 32, 7), 8), (50, (3, 7, 7), 8), (8, (12,), 4)],
)
def test_small_images_are_refused(depth: Any, shape: tuple[int, ...], least: int) -> None:
    with pytest.raises(ConfigError) as caught:
        ResNetConfig(depth=depth).build(ModelSpec(Floats(shape), 10))
    wanted = f"inputs of shape {shape}; images, sides of at least {least} at depth {depth}"
    assert str(caught.value) == f"model.kind: got 'resnet'; expected a model for {wanted}"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"norm": "group", "width": 12}, "groups: got 8; expected a divisor of width = 12"),
        (
            {"activation": "crelu"},
            "activation: got 'crelu'; expected 'relu', 'leaky_relu' or 'gelu'",
        ),
        ({"depth": 34}, "depth: got 34; expected 8, 18, 50 or 101"),
    ],
)
def test_keys_that_do_not_fit(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ResNetConfig.from_mapping({"kind": "resnet", **keys})
    assert str(caught.value) == message
