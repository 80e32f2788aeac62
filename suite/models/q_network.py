"""The value network of DQN for stacked frames (Mnih et al. 2015), plain or normalised.

Three convolutions (32 of 8x8 stride 4, 64 of 4x4 stride 2, 64 of 3x3 stride 1, no padding), a
hidden layer of 512 and a linear output, one value per action. With ``norm: layer`` a normalisation
layer stands before every nonlinearity and no linear map has a bias, so that the three kernels and
the hidden weight are scale-invariant (Lyle et al. 2024, section 2).

Frames come as bytes: they are moved to channels-last order and scaled to [0, 1] here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.base import MODELS, ModelConfig, ModelSpec, channels_last
from suite.models.head_spec import PLAIN
from suite.models.normalize import norm, norm_2d
from suite.models.q_head import with_head

LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Channels, kernel and stride of each convolution."""


def interleave(planes: Tensor) -> Tensor:
    """Return four byte planes in channels-last order; values and shape stay.

    The four bytes of a position are put together as one 32-bit integer: on a CPU this takes half
    the time of a strided copy.

    Args:
        planes: (batch, 4, height, width) bytes, on a little-endian machine.

    >>> x = torch.arange(8, dtype=torch.uint8).view(1, 4, 1, 2)
    >>> torch.equal(interleave(x), x), interleave(x).stride()
    (True, (8, 1, 8, 4))
    """
    batch, _, height, width = planes.shape
    packed = planes[:, 3].to(torch.int32)
    for index in (2, 1, 0):
        packed.bitwise_left_shift_(8).bitwise_or_(planes[:, index])
    return packed.view(torch.uint8).view(batch, height, width, 4).permute(0, 3, 1, 2)


class Pixels(nn.Module):
    """Bytes (batch, channels, height, width) to numbers in [0, 1], channels last.

    Anything but bytes passes as it is.
    """

    unit: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unit", torch.tensor(1 / 255), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the scaled frames, of the type of the network's weights."""
        if frames.dtype != torch.uint8:
            return frames
        if frames.device.type == "cpu" and frames.shape[1] == 4:
            frames = interleave(frames)
        else:
            frames = frames.contiguous(memory_format=torch.channels_last)
        return frames.to(self.unit.dtype).mul_(self.unit)


@MODELS.register("nature_cnn")
class NatureCnnConfig(ModelConfig):
    """The network of Mnih et al. 2015; `hidden` is 512 there and nothing is normalised."""

    kind: Literal["nature_cnn"] = "nature_cnn"
    hidden: Annotated[int, Field(ge=1)] = 512
    norm: Literal["none", "layer"] = "none"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs) bytes, outputs (batch, actions)."""
        if len(spec.inputs) != 3 or min(spec.inputs[1:]) < 36:
            raise ConfigError(
                "model.kind", "nature_cnn", f"a model for inputs of shape {spec.inputs}"
            )
        bias = self.norm == "none"
        torso: OrderedDict[str, nn.Module] = OrderedDict(pixels=Pixels())
        channels = spec.inputs[0]
        for index, (width, kernel, stride) in enumerate(LAYERS, start=1):
            torso[f"conv{index}"] = nn.Conv2d(channels, width, kernel, stride, bias=bias)
            for layer in norm_2d(self.norm, width):
                torso[f"norm{index}"] = layer
            torso[f"relu{index}"] = nn.ReLU(inplace=True)
            channels = width
        torso["flatten"] = nn.Flatten()
        with torch.no_grad():
            units = nn.Sequential(torso)(torch.zeros(1, *spec.inputs)).shape[1]
        if spec.head != PLAIN:
            network = with_head(nn.Sequential(torso), units, self.hidden, spec, self.norm)
            return channels_last(network)
        torso["hidden"] = nn.Linear(units, self.hidden, bias=bias)
        for layer in norm(self.norm, self.hidden):
            torso["norm_hidden"] = layer
        torso["relu_hidden"] = nn.ReLU(inplace=True)
        torso["output"] = nn.Linear(self.hidden, spec.outputs, bias=bias)
        return channels_last(nn.Sequential(torso))
