"""Value networks for stacked frames: convolutions one after the other, plain or normalised.

Each is a chain of convolutions without padding, a hidden layer and a linear output, one value per
action. With ``norm: layer`` there is a normalisation layer before every nonlinearity and no linear
map has a bias, so that the kernels and the hidden weight are scale-invariant (Lyle et al. 2024,
section 2).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from suite.models.base import MODELS, ModelConfig, ModelSpec, channels_last, frames_of
from suite.models.normalize import norm_2d
from suite.models.pixels import Pixels
from suite.models.q_head import value_network


class ConvolutionsConfig(ModelConfig):
    """Base of the chains of convolutions.

    Attributes:
        layers: channels, kernel and stride of each convolution.
    """

    layers: ClassVar[tuple[tuple[int, int, int], ...]]
    hidden: Annotated[int, Field(ge=1)] = 512
    norm: Literal["none", "layer"] = "none"

    def images(self, spec: ModelSpec) -> tuple[int, ...]:
        """Return the shape of inputs: channels, height, width.

        Raises:
            ConfigError: if they are no images that the convolutions can take.
        """
        return frames_of(self, spec)

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs), outputs (batch, actions)."""
        shape = self.images(spec)
        torso: OrderedDict[str, nn.Module] = OrderedDict(pixels=Pixels())
        channels = shape[0]
        for index, (width, kernel, stride) in enumerate(self.layers, start=1):
            bias = self.norm == "none"
            torso[f"conv{index}"] = nn.Conv2d(channels, width, kernel, stride, bias=bias)
            for layer in norm_2d(self.norm, width):
                torso[f"norm{index}"] = layer
            torso[f"relu{index}"] = nn.ReLU(inplace=True)
            channels = width
        torso["flatten"] = nn.Flatten()
        with torch.no_grad():
            units = nn.Sequential(torso)(torch.zeros(1, *shape)).shape[1]
        return channels_last(value_network(torso, units, self.hidden, spec, self.norm))


@MODELS.register("nature_cnn")
class NatureCnnConfig(ConvolutionsConfig):
    """Value network of DQN: three convolutions, one hidden layer (Mnih et al. 2015).

    In the paper `hidden` is 512 and there is no norm layer.
    """

    layers = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    kind: Literal["nature_cnn"] = "nature_cnn"


@MODELS.register("data_efficient_cnn")
class DataEfficientCnnConfig(ConvolutionsConfig):
    """Small value network of data-efficient Rainbow (van Hasselt et al. 2019, appendix E)."""

    layers = ((32, 5, 5), (64, 5, 5))
    kind: Literal["data_efficient_cnn"] = "data_efficient_cnn"
    hidden: Annotated[int, Field(ge=1)] = 256
