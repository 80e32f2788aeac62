"""The residual value network of Impala (Espeholt et al. 2018, figure 3), plain or normalised.

Three sections, each a 3x3 convolution, a 3x3 max-pooling of stride 2 and two residual units
``x + conv(relu(conv(relu(x))))``; then a nonlinearity, a hidden layer and a linear output.

With ``norm: layer`` a normalisation layer follows every convolution directly, before the pooling
or the addition, and no linear map has a bias: all kernels and the hidden weight are
scale-invariant. Lyle et al. 2024 ask that the output of each linear map be normalised before its
nonlinearity and leave the place, before or after an addition, free; before it, the scale of no
kernel leaks into the sum.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, ModelConfig, ModelSpec, channels_last, frames_of
from suite.models.normalize import norm_2d
from suite.models.pixels import Pixels
from suite.models.q_head import value_network

CHANNELS = (16, 32, 32)
"""Of the three sections, before `width`."""

UNITS = 2
"""Residual units of a section."""


def convolution(inputs: int, outputs: int, kind: Literal["none", "layer"]) -> list[nn.Module]:
    """Return a 3x3 convolution that keeps the size, and its norm layer if asked for."""
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=kind == "none"),
        *norm_2d(kind, outputs),
    ]


class Residual(nn.Module):
    """``x + branch(x)``; the branch's first nonlinearity leaves `x` as it is."""

    def __init__(self, channels: int, kind: Literal["none", "layer"]) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.ReLU(),
            *convolution(channels, channels, kind),
            nn.ReLU(inplace=True),
            *convolution(channels, channels, kind),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, height, width), as given."""
        y: Tensor = x + self.branch(x)
        return y


@MODELS.register("impala_cnn")
class ImpalaCnnConfig(ModelConfig):
    """The network of Espeholt et al. 2018; `width` multiplies its channels 16, 32 and 32."""

    kind: Literal["impala_cnn"] = "impala_cnn"
    hidden: Annotated[int, Field(ge=1)] = 256
    width: Annotated[int, Field(ge=1)] = 1
    norm: Literal["none", "layer"] = "none"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs) bytes, outputs (batch, actions)."""
        shape = frames_of(self, spec)
        torso: OrderedDict[str, nn.Module] = OrderedDict(pixels=Pixels())
        channels = shape[0]
        for index, base in enumerate(CHANNELS, start=1):
            outputs = base * self.width
            units = [Residual(outputs, self.norm) for _ in range(UNITS)]
            pool = nn.MaxPool2d(3, stride=2, padding=1)
            torso[f"section{index}"] = nn.Sequential(
                *convolution(channels, outputs, self.norm), pool, *units
            )
            channels = outputs
        torso["relu"] = nn.ReLU(inplace=True)
        torso["flatten"] = nn.Flatten()
        with torch.no_grad():
            features = nn.Sequential(torso)(torch.zeros(1, *shape)).shape[1]
        return channels_last(value_network(torso, features, self.hidden, spec, self.norm))
