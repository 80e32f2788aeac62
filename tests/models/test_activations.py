"""Nonlinearities by name: values, doubled widths, units, and invariance under projection."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from plain_images import ACTS
from torch import Tensor, nn

from suite.config import Config
from suite.errors import ConfigError
from suite.interventions.normalize_project import Projection
from suite.interventions.redo import along, outgoing
from suite.invariance.scale_invariance import scale_invariant
from suite.models.activations import activation, copies_of
from suite.models.base import ACTIVATIONS, MODELS, ModelSpec, build_model, recording
from suite.models.head_spec import HeadSpec
from suite.models.inputs import Floats
from suite.models.units import hidden_layers
from suite.params import ParamRole, classify

SPECS = {
    "mlp": ModelSpec(Floats((6,)), 3),
    "cnn": ModelSpec(Floats((2, 8, 8)), 3),
    "cnn_1d": ModelSpec(Floats((2, 20)), 3),
    "resnet": ModelSpec(Floats((2, 8, 8)), 3),
    "vit": ModelSpec(Floats((2, 8, 8)), 3),
}
NORMED: list[dict[str, Any]] = [
    *(
        {"kind": k, "norm": "layer", "activation": a}
        for k in ("mlp", "cnn", "cnn_1d")
        for a in ACTS
    ),
    {"kind": "mlp", "norm": "rms", "activation": "fourier"},
    *(
        {
            "kind": "resnet",
            "depth": depth,
            "width": 8,
            "norm": norm,
            "activation": name,
        }
        for depth, norm, name in [
            (8, "batch", "relu"),
            (8, "layer", "relu"),
            (8, "group", "gelu"),
            (8, "batch", "leaky_relu"),
            (18, "batch", "relu"),
            (50, "batch", "gelu"),
            (50, "layer", "relu"),
        ]
    ),
    *(
        {"kind": "vit", "width": 12, "depth": 2, "hidden": 16, "norm": n, "branch_norm": b}
        for n in ("layer", "rms")
        for b in (False, True)
    ),
]


def _net(keys: dict[str, Any], seed: int = 0) -> tuple[nn.Module, Tensor]:
    spec = SPECS[keys["kind"]]
    net = build_model(MODELS[keys["kind"]].from_mapping(keys), spec, seed)
    return net, spec.inputs.draw(7, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ACTS)
def test_values_and_derivatives(name: Any) -> None:
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    module = activation(name)
    found = module(x + 0)
    torch.testing.assert_close(found, ACTS[name](x))
    assert isinstance(module, ACTIVATIONS)
    assert found.shape == (4, 3 * copies_of(module), 5)
    assert torch.autograd.gradcheck(lambda x: module(x + 0), x.detach().requires_grad_())


def test_at_zero_a_crelu_is_flat_as_a_relu_is() -> None:
    x = torch.zeros(1, 2, requires_grad=True)
    activation("crelu")(x).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()


@pytest.mark.parametrize("keys", NORMED, ids=lambda keys: "-".join(map(str, keys.values())))
def test_a_projection_leaves_the_outputs_as_they_are(keys: dict[str, Any]) -> None:
    """In training mode, from weights of any size; gains and offsets are any too."""
    net, x = _net(keys)
    net, x = net.double(), x.double()
    for module in net.modules():
        if isinstance(module, nn.LayerNorm | nn.RMSNorm | nn.GroupNorm | nn.BatchNorm2d):
            module.eps = 1e-30
    names = scale_invariant(net, x).names
    hidden = [n for n, role in classify(net).items() if role is ParamRole.WEIGHT]
    if keys["kind"] != "vit" or keys["branch_norm"]:
        assert list(names) == hidden
    projection = Projection(net, probe=x)
    assert projection.names == names
    with torch.no_grad():
        for index, (name, parameter) in enumerate(net.named_parameters()):
            if name in names:
                parameter.mul_(0.25 + index % 5)
            elif parameter.ndim < 2:
                parameter.add_(0.3 * torch.randn_like(parameter))
    before = net(x)
    projection.project()
    assert net.training
    torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("name", ["crelu", "fourier"])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "cnn_1d"])
def test_doubling_doubles_the_inputs_of_the_next_map(kind: str, name: str, norm: str) -> None:
    plain, x = _net({"kind": kind, "norm": norm})
    doubled, _ = _net({"kind": kind, "norm": norm, "activation": name})
    shapes = {name: list(p.shape) for name, p in plain.named_parameters()}
    for wide in [shape for shape in shapes.values() if len(shape) > 1][1:]:
        wide[1] *= 2
    assert {name: list(p.shape) for name, p in doubled.named_parameters()} == shapes
    with recording(plain, ACTIVATIONS) as few, recording(doubled, ACTIVATIONS) as many:
        plain(x), doubled(x)
    assert list(few) == list(many)
    assert all(many[n].shape[1] == 2 * few[n].shape[1] for n in few)


@pytest.mark.parametrize("name", ["crelu", "fourier"])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "cnn_1d"])
def test_units_are_those_of_the_map(kind: str, name: str) -> None:
    net, x = _net({"kind": kind, "norm": "layer", "activation": name})
    net.double()
    layers = hidden_layers(net, lambda: net(x.double()))
    assert not any(layer.others for layer in layers)
    for layer in layers:
        units = len(net.get_parameter(f"{layer.incoming}.weight"))
        assert (layer.copies, len(layer.activity)) == (2, units)
    with recording(net, ACTIVATIONS) as seen:
        net(x.double())
    features = seen[layers[0].name]
    own = [features[:, [j, j + len(layers[0].activity)]].abs().mean() for j in range(3)]
    torch.testing.assert_close(layers[0].activity[:3], torch.stack(own))


@pytest.mark.parametrize("name", ["relu", "crelu", "fourier"])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "cnn_1d"])
def test_silenced_weights_are_those_that_read_all_features_of_a_unit(kind: str, name: str) -> None:
    net, x = _net({"kind": kind, "activation": name})
    for layer in hidden_layers(net, lambda: net(x)):
        mask = torch.zeros(len(layer.activity), dtype=torch.bool)
        mask[[1, 4]] = True
        features = mask.repeat(layer.copies)

        def silence(module: nn.Module, given: object, out: Tensor, dead: Tensor) -> Tensor:
            return out * ~along(dead, out, 1)

        module = net.get_submodule(layer.name)
        handle = module.register_forward_hook(partial(silence, dead=features))
        expected = net(x)
        handle.remove()
        other = copy.deepcopy(net)
        for weight, dead in outgoing(other, layer, mask):
            other.get_parameter(weight).data.masked_fill_(dead, 0.0)
        torch.testing.assert_close(other(x), expected)


def test_ids_at_the_default_stay() -> None:
    for kind in ("mlp", "cnn"):
        plain: Config = MODELS[kind].from_mapping({"kind": kind})
        assert "activation" not in plain.canonical()
        other = MODELS[kind].from_mapping({"kind": kind, "activation": "gelu"})
        assert '"activation":"gelu"' in other.canonical()


def test_agents_have_relu() -> None:
    config = MODELS["mlp"].from_mapping({"kind": "mlp", "activation": "crelu"})
    with pytest.raises(ConfigError, match=r"^model\.activation: got 'crelu'; expected 'relu'"):
        config.build(ModelSpec(Floats((4,)), 2, head=HeadSpec(dueling=True)))


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match=r"^activation: got 'sine'; expected 'relu', "):
        MODELS["mlp"].from_mapping({"kind": "mlp", "activation": "sine"})
