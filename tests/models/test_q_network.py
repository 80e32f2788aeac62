"""The value network: shapes, bytes, and which weights are scale-invariant."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from suite.errors import ConfigError
from suite.invariance.scale_invariance import check_invariant, scale_invariant
from suite.models.base import ModelSpec, build_model
from suite.models.inputs import Floats, Frames
from suite.models.pixels import interleave
from suite.models.q_network import NatureCnnConfig

SPEC = ModelSpec(Frames((4, 84, 84)), outputs=6)


def frames(*shape: int) -> Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_outputs_and_number_of_weights(norm: Literal["none", "layer"]) -> None:
    net = build_model(NatureCnnConfig(norm=norm), SPEC, seed=0)
    assert net(frames(3, 4, 84, 84)).shape == (3, 6)
    weights = sum(p.numel() for p in net.parameters() if p.ndim > 1)
    assert weights == 4 * 32 * 64 + 32 * 64 * 16 + 64 * 64 * 9 + 3136 * 512 + 512 * 6


def test_the_normalised_network_is_invariant_to_the_scale_of_all_but_its_output() -> None:
    net = build_model(NatureCnnConfig(norm="layer"), SPEC, seed=0)
    names = list(scale_invariant(net).names)
    assert names == ["conv1.weight", "conv2.weight", "conv3.weight", "hidden.weight"]
    check_invariant(net, names, frames(8, 4, 84, 84))
    with pytest.raises(ValueError, match=r"output\.weight"):
        check_invariant(net, ["output.weight"], frames(8, 4, 84, 84))
    assert not any(
        getattr(m, "bias", None) is not None for n, m in net.named_modules() if "norm" not in n
    )


def test_the_plain_network_has_no_invariant_weights() -> None:
    assert scale_invariant(build_model(NatureCnnConfig(), SPEC, seed=0)).names == ()


def test_bytes_are_scaled_to_the_unit_interval_in_the_type_of_the_weights() -> None:
    net: Any = build_model(NatureCnnConfig(), SPEC, seed=0)
    stacks = frames(2, 5, 84, 84)[:, 1:]  # a view, as the replay gives it
    scaled = stacks.float() / 255
    assert torch.allclose(net(stacks), net(scaled), atol=1e-6)
    assert net.pixels(stacks).is_contiguous(memory_format=torch.channels_last)
    net.double()
    assert torch.allclose(net(stacks), net(stacks.double() / 255), atol=1e-7)


def test_interleaving_keeps_values() -> None:
    stacks = frames(3, 6, 11, 7)[:, 2:]
    assert torch.equal(interleave(stacks), stacks)


def test_vector_inputs_are_refused() -> None:
    with pytest.raises(ConfigError, match="a model for arrays of floats"):
        build_model(NatureCnnConfig(), ModelSpec(Floats((4,)), outputs=2), seed=0)
