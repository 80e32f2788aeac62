"""The convolutional network of Lyle et al. 2025, section 5 and A.2, for small images."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from suite.errors import ConfigError
from suite.models.activations import ActivationName, activation, copies_of
from suite.models.base import MODELS, ModelConfig, ModelSpec, channels_last
from suite.models.inputs import Floats
from suite.models.normalize import norm, norm_2d

Stride = Annotated[int, Field(ge=1, le=1000)]


@MODELS.register("cnn")
class CnnConfig(ModelConfig):
    """Three convolutions of 32 channels (5x5, 3x3, 3x3), one hidden layer, a linear output.

    The paper gives kernels and channels; strides, padding and the hidden width are ours.

    Attributes:
        channels: of each convolution.
        strides: of the three convolutions.
        hidden: units of the hidden layer.
        norm: norm layers before the nonlinearities.
        activation: nonlinearity; the doubling ones double what the next map takes.
    """

    later: ClassVar[frozenset[str]] = frozenset({"activation"})
    kind: Literal["cnn"] = "cnn"
    channels: Annotated[int, Field(ge=1)] = 32
    strides: Annotated[tuple[Stride, Stride, Stride], Field(strict=False)] = (2, 2, 1)
    hidden: Annotated[int, Field(ge=1)] = 256
    norm: Literal["none", "layer"] = "layer"
    activation: ActivationName = "relu"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, channels, height, width) float.

        Raises:
            ConfigError: if they are not the task's.
        """
        shape = self.take(spec, Floats).shape
        if len(shape) != 3:
            raise ConfigError("model.kind", "cnn", f"a model for inputs of shape {shape}")
        bias = self.norm == "none"
        layers: list[nn.Module] = []
        channels = shape[0]
        hidden = activation(self.activation)
        copies = copies_of(hidden)
        for kernel, stride in zip((5, 3, 3), self.strides, strict=True):
            layers += [
                nn.Conv2d(channels, self.channels, kernel, stride, kernel // 2, bias=bias),
                *norm_2d(self.norm, self.channels),
                activation(self.activation),
            ]
            channels = self.channels * copies
        torso = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            width = torso(torch.zeros(1, *shape)).shape[1]
        model = nn.Sequential(
            *torso,
            nn.Linear(width, self.hidden, bias=bias),
            *norm(self.norm, self.hidden),
            hidden,
            nn.Linear(self.hidden * copies, spec.outputs, bias=bias),
        )
        return channels_last(model)
