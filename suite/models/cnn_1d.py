"""The convolutional network of Greydanus 2020 for signals, plain or normalised.

As the network of MNIST-1D: three convolutions of 25 channels with kernels 5, 3, 3, stride 2 and one
place of padding on each side (also for the kernel of 5), then a linear output. Without norm layers
and with ReLU it is that network: 5,210 parameters for 40 samples and ten classes.

References:
    Greydanus 2020, Scaling Down Deep Learning; notebooks/models.py of greydanus/mnist1d.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.activations import ActivationName, activation, copies_of
from suite.models.base import MODELS, ModelConfig, ModelSpec
from suite.models.inputs import Floats
from suite.models.normalize import norm_2d

KERNELS = (5, 3, 3)
"""Samples that a convolution sees."""

SHORTEST = 3
"""Samples of a signal that leave one position behind each convolution."""


class Signals(nn.Module):
    """Gives signals their axis of channels if they come without one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, length), as given; of one channel (batch, length) will do."""
        return x.reshape(len(x), self.channels, -1)


@MODELS.register("cnn_1d")
class Cnn1dConfig(ModelConfig):
    """Three convolutions over a signal (5, 3, 3, stride 2) and a linear output (Greydanus 2020).

    With ``norm: layer`` a norm layer (one group: channels and positions of a signal) stands before
    each nonlinearity and nothing has a bias: all kernels are scale-invariant.

    Attributes:
        channels: of each convolution.
        norm: norm layers.
        activation: nonlinearity; the doubling ones double what the next map takes.
    """

    kind: Literal["cnn_1d"] = "cnn_1d"
    channels: Annotated[int, Field(ge=1)] = 25
    norm: Literal["none", "layer"] = "layer"
    activation: ActivationName = "relu"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, channels, length) or (batch, length) float.

        Raises:
            ConfigError: if they are not the task's, or too short.
        """
        shape = self.take(spec, Floats).shape
        if len(shape) not in (1, 2) or shape[-1] < SHORTEST:
            wanted = f"a model for inputs of shape {shape}; cnn_1d is for signals of shape "
            wanted += f"(length,) or (channels, length), with a length of at least {SHORTEST}"
            raise ConfigError("model.kind", self.kind, wanted)
        bias = self.norm == "none"
        channels = shape[0] if len(shape) == 2 else 1
        layers: list[nn.Module] = [Signals(channels)]
        for kernel in KERNELS:
            nonlinearity = activation(self.activation)
            layers += [
                nn.Conv1d(channels, self.channels, kernel, stride=2, padding=1, bias=bias),
                *norm_2d(self.norm, self.channels),
                nonlinearity,
            ]
            channels = self.channels * copies_of(nonlinearity)
        torso = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            features = torso(torch.zeros(1, *shape)).shape[1]
        return nn.Sequential(*torso, nn.Linear(features, spec.outputs, bias=bias))
