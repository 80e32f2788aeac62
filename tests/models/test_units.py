from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.models.base import MODELS, ModelSpec, build_model
from suite.models.head_spec import HeadSpec
from suite.models.inputs import Frames, IntegerPairs
from suite.models.noisy import NoisyLinear
from suite.models.units import activity, hidden_layers, unit_axis


def _layers(net: nn.Module, probe: Tensor) -> list[tuple[str, list[str], str, list[str], int]]:
    found = hidden_layers(net, lambda: net(probe))
    return [(x.incoming, x.norms, x.name, x.outgoing, len(x.activity)) for x in found]


def test_both_streams_of_a_dueling_head_read_the_torso() -> None:
    spec = ModelSpec(Frames((4, 84, 84)), 3, head=HeadSpec(dueling=True, noisy=0.5))
    config = MODELS["nature_cnn"].from_mapping({"kind": "nature_cnn", "norm": "layer", "hidden": 8})
    net = build_model(config, spec, 0)
    probe = torch.randint(0, 256, (2, 4, 84, 84), dtype=torch.uint8)
    streams = [f"head.{name}" for name in ("advantage", "value")]
    assert _layers(net, probe) == [
        ("torso.conv1", ["torso.norm1"], "torso.relu1", ["torso.conv2"], 32),
        ("torso.conv2", ["torso.norm2"], "torso.relu2", ["torso.conv3"], 64),
        ("torso.conv3", ["torso.norm3"], "torso.relu3", [f"{s}.hidden" for s in streams], 64),
        *((f"{s}.hidden", [f"{s}.norm.0"], f"{s}.relu", [f"{s}.output"], 8) for s in streams),
    ]


def test_of_a_transformer_the_units_of_the_mlp_are_seen() -> None:
    config = MODELS["transformer"].from_mapping({"kind": "transformer", "hidden": 16})
    net = build_model(config, ModelSpec(IntegerPairs(7), 7), 0)
    probe = torch.randint(0, 7, (5, 2))
    assert _layers(net, probe) == [("up", [], "relu", ["down"], 16)]


@pytest.mark.parametrize("inplace", [False, True])
def test_activity_is_the_mean_size_behind_the_nonlinearity(inplace: bool) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.ReLU(inplace=inplace), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2, 1)
    ).double()
    probe = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    (layer,) = hidden_layers(net, lambda: net(probe))
    assert (layer.name, layer.outgoing, layer.channels) == ("1", ["4"], True)
    torch.testing.assert_close(layer.activity, net[:2](probe).mean((0, 2, 3)).detach())
    assert not layer.activity.requires_grad


class Net(nn.Module):
    """A network of two maps whose `forward` is a test's."""

    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.first, self.relu, self.tanh = nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Tanh()
        self.second, self.third, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.LayerNorm(3)
        self.soft = nn.Softmax(1)
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.run(self, x)
        return out


def residual(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    out: Tensor = y + net.second(net.tanh(y))
    return out


def two_maps(net: Any, x: Tensor) -> Tensor:
    y = net.relu(net.first(x))
    out: Tensor = net.second(y) + net.third(y)
    return out


def map_before(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    out: Tensor = net.second(y) + net.third(net.tanh(y))
    return out


def map_before_in_place(net: Any, x: Tensor) -> Tensor:
    y = net.first(x)
    z = net.second(y)
    out: Tensor = z + net.third(net.relu(y))
    return out


def other_module(net: Any, x: Tensor) -> Tensor:
    y = net.tanh(net.norm(net.first(x)))
    out: Tensor = net.second(y) * net.soft(y)
    return out


def shape_alone(net: Any, x: Tensor) -> Tensor:
    y = net.relu(net.first(x))
    assert y.shape[0] == y.size(0) == len(y)
    out: Tensor = net.second(y)
    return out


@pytest.mark.parametrize(
    ("forward", "outgoing", "others"),
    [
        (residual, ["second"], ["add"]),
        (two_maps, ["second", "third"], []),
        (map_before, ["third"], ["second", "tanh"]),
        (map_before_in_place, ["third"], ["second", "relu"]),
        (other_module, ["second"], ["soft"]),
        (shape_alone, ["second"], []),
    ],
)
def test_readers_that_are_no_linear_maps_are_told(
    forward: Any, outgoing: list[str], others: list[str]
) -> None:
    net = Net(forward)
    (layer,) = hidden_layers(net, lambda: net(torch.randn(2, 3)))
    assert (layer.outgoing, layer.others) == (outgoing, others)


def test_shapes_of_features() -> None:
    features = torch.arange(24.0).view(2, 3, 4) - 12
    torch.testing.assert_close(activity(features, channels=True), features.abs().mean((0, 2)))
    torch.testing.assert_close(activity(features, channels=False), features.abs().mean((0, 1)))


@pytest.mark.parametrize(
    ("module", "axis"),
    [
        (nn.Linear(2, 3), 0),
        (NoisyLinear(2, 3), 1),
        (nn.Conv1d(2, 3, 1), 0),
        (nn.Conv2d(2, 3, 1), 0),
    ],
)
def test_units_and_inputs_lie_side_by_side(module: Any, axis: int) -> None:
    assert unit_axis(module.weight, isinstance(module, nn.Conv1d | nn.Conv2d)) == axis
    assert module.weight.shape[axis : axis + 2] == (3, 2)


def test_no_hook_stays_behind() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(RuntimeError):
        hidden_layers(net, lambda: net(torch.zeros(1, 5)))
    assert not any(m._forward_hooks for m in net.modules())
