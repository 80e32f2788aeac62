"""The residual value network against its formula, and which of its weights are scale-invariant."""

from collections.abc import Iterable
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from suite.invariance.scale_invariance import check_invariant, scale_invariant
from suite.models.base import ModelSpec, build_model
from suite.models.head_spec import HeadSpec
from suite.models.impala_cnn import ImpalaCnnConfig
from suite.models.inputs import Frames
from suite.models.units import hidden_layers

SPEC = ModelSpec(Frames((4, 84, 84)), outputs=6)
SMALL = ModelSpec(Frames((4, 40, 36)), outputs=3)


def frames(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def slow(parameters: Iterable[Tensor], x: Tensor, norm: bool) -> Tensor:
    """The network written out; parameters are taken in the order of their registration."""
    left = iter(parameters)

    def conv(x: Tensor) -> Tensor:
        w = next(left)
        bias = None if norm else next(left)
        y = F.conv2d(x, w, bias, padding=1)
        if not norm:
            return y
        gain, offset = next(left), next(left)
        mean = y.mean((1, 2, 3), keepdim=True)
        var = ((y - mean) ** 2).mean((1, 2, 3), keepdim=True)
        y = (y - mean) / (var + 1e-5).sqrt()
        return y * gain[:, None, None] + offset[:, None, None]

    x = x.double() * torch.tensor(1 / 255)  # rounded to fp32, as the network has it
    for _ in range(3):
        x = F.max_pool2d(conv(x), 3, 2, 1)
        for _ in range(2):
            x = x + conv(conv(x.clamp(min=0)).clamp(min=0))
    x = x.clamp(min=0).flatten(1)
    x = x @ next(left).T + (0 if norm else next(left))
    if norm:
        gain, offset = next(left), next(left)
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        x = x * gain + offset
    x = x.clamp(min=0) @ next(left).T + (0 if norm else next(left))
    assert next(left, None) is None
    return x


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_outputs_are_those_of_the_formula(norm: Literal["none", "layer"]) -> None:
    net = build_model(ImpalaCnnConfig(norm=norm, hidden=16), SMALL, seed=0).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    inputs = frames(3, *SMALL.inputs.shape)
    expected = slow(net.parameters(), inputs, norm == "layer")
    torch.testing.assert_close(net(inputs), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("width", [1, 2])
def test_number_of_weights(width: int) -> None:
    net = build_model(ImpalaCnnConfig(width=width), SPEC, seed=0)
    a, b = 16 * width, 32 * width
    kernels = 9 * (4 * a + 4 * a * a + a * b + 4 * b * b + b * b + 4 * b * b)
    weights = sum(p.numel() for p in net.parameters() if p.ndim > 1)
    assert weights == kernels + 11 * 11 * b * 256 + 256 * 6


@pytest.mark.parametrize("head", [HeadSpec(), HeadSpec(dueling=True, atoms=5)])
def test_all_but_the_outputs_is_invariant_when_normalised(head: HeadSpec) -> None:
    spec = ModelSpec(SMALL.inputs, 3, head=head)
    net = build_model(ImpalaCnnConfig(norm="layer", hidden=16), spec, seed=0)
    names = scale_invariant(net, frames(4, *SMALL.inputs.shape)).names
    assert sum("section" in name for name in names) == 15
    assert sum("hidden" in name for name in names) == 1 + head.dueling
    check_invariant(net, names, frames(8, *SMALL.inputs.shape))
    assert not any(
        getattr(m, "bias", None) is not None
        for m in net.modules()
        if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    )


def test_the_plain_network_has_no_invariant_weights() -> None:
    assert scale_invariant(build_model(ImpalaCnnConfig(), SMALL, seed=0)).names == ()


def test_units_within_the_residual_branches_are_seen() -> None:
    net = build_model(ImpalaCnnConfig(norm="layer", hidden=16), SMALL, seed=0)
    probe = frames(2, *SMALL.inputs.shape)
    pairs = [(x.incoming, *x.outgoing) for x in hidden_layers(net, lambda: net(probe))]
    inner = [
        (f"section{s}.{u}.branch.1", f"section{s}.{u}.branch.4") for s in (1, 2, 3) for u in (3, 4)
    ]
    assert set(inner) <= set(pairs)
    assert ("hidden", "output") in pairs
