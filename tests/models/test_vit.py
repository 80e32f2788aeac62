"""The vision transformer against its formula, and what it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from plain_images import plain_vit
from torch import nn

from suite.errors import ConfigError
from suite.invariance.scale_invariance import scale_invariant
from suite.models.base import ModelSpec, build_model
from suite.models.inputs import Floats
from suite.models.units import hidden_layers
from suite.models.vit import VitConfig
from suite.params import ParamRole, classify

SPEC = ModelSpec(Floats((3, 8, 12)), 5)
SMALL: dict[str, Any] = {"width": 12, "depth": 2, "heads": 3, "hidden": 10}


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("branch_norm", [False, True])
def test_outputs_are_those_of_the_formula(norm: Any, branch_norm: bool) -> None:
    config = VitConfig(**SMALL, norm=norm, branch_norm=branch_norm)
    net = build_model(config, SPEC, seed=0).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.2, 0.5)
    x = torch.randn(3, *SPEC.inputs.shape, dtype=torch.float64)
    expected = plain_vit(dict(net.named_parameters()), x, 4, 3, 2, norm, branch_norm)
    torch.testing.assert_close(net(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("branch_norm", [False, True])
def test_number_of_parameters(norm: Any, branch_norm: bool) -> None:
    net = build_model(VitConfig(norm=norm, branch_norm=branch_norm), SPEC, 0)
    width, hidden, tokens = 192, 768, 2 * 3
    vectors = 2 if norm == "layer" else 1
    block = 4 * width**2 + 2 * width * hidden + 2 * 64 + vectors * (2 * width + hidden)
    size = 6 * block + 48 * width + tokens * width + vectors * width + width * 5
    size += branch_norm * vectors * width * 13
    assert sum(p.numel() for p in net.parameters()) == size


@pytest.mark.parametrize("branch_norm", [False, True])
def test_weights_before_norm_layers_are_invariant(branch_norm: bool) -> None:
    net = build_model(VitConfig(**SMALL, branch_norm=branch_norm), SPEC, 0)
    names = scale_invariant(net, torch.randn(6, *SPEC.inputs.shape)).names
    of_block = ["query", "key", "up"]
    if branch_norm:
        of_block = ["query", "key", "value", "mix", "up", "down"]
    expected = ["patches"] * branch_norm + [f"blocks.{i}.{n}" for i in (0, 1) for n in of_block]
    assert list(names) == [f"{name}.weight" for name in expected]


def test_roles() -> None:
    net = build_model(VitConfig(**SMALL), SPEC, 0)
    roles = classify(net)
    assert roles["places"] is ParamRole.EMBEDDING
    assert [n for n, r in roles.items() if r is ParamRole.OUTPUT] == ["head.weight"]
    assert ParamRole.BIAS not in roles.values()
    assert roles["blocks.0.norm_query.0.weight"] is ParamRole.GAIN


def test_units_of_the_mlps_are_seen() -> None:
    net = build_model(VitConfig(**SMALL), SPEC, 0)
    layers = hidden_layers(net, lambda: net(torch.randn(4, *SPEC.inputs.shape)))
    found = [(x.incoming, x.norms, x.name, x.outgoing, x.others, len(x.activity)) for x in layers]
    assert found == [
        (f"{b}.up", [f"{b}.norm_hidden.0"], f"{b}.gelu", [f"{b}.down"], [], 10)
        for b in ("blocks.0", "blocks.1")
    ]


@pytest.mark.parametrize(("shape", "patch"), [((3, 8, 10), 4), ((3, 4, 4), 4), ((1, 2, 2), 4)])
def test_images_that_do_not_divide_into_patches_are_refused(
    shape: tuple[int, int, int], patch: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        VitConfig(patch=patch).build(ModelSpec(Floats(shape), 10))
    wanted = f"images of {shape[1]} x {shape[2]} into patches, two or more"
    assert str(caught.value) == f"model.patch: got 4; expected a side that divides {wanted}"


def test_other_inputs_and_heads_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.kind: got 'vit'; expected .* shape \(12,\)"):
        VitConfig().build(ModelSpec(Floats((12,)), 10))
    with pytest.raises(ConfigError, match=r"^heads: got 5; expected a divisor of width = 192$"):
        VitConfig.from_mapping({"kind": "vit", "heads": 5})
