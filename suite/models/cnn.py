"""Convolutional networks for small images: of Lyle et al. 2025, and of Lyle et al. 2024, Fig. 1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from suite.errors import ConfigError
from suite.models.activations import ActivationName, activation, copies_of
from suite.models.base import MODELS, ModelConfig, ModelSpec, channels_last
from suite.models.inputs import Floats
from suite.models.normalize import NormKind, NormPlace, check_place, norm, norm_2d, with_norm

Stride = Annotated[int, Field(ge=1, le=1000)]
Channels = Annotated[int, Field(ge=1)]

PER_BLOCK = 2
"""Convolutions of a block."""


@MODELS.register("cnn")
class CnnConfig(ModelConfig):
    """Three convolutions of 32 channels (5x5, 3x3, 3x3), one hidden layer, a linear output.

    As in Lyle et al. 2025, section 5 and A.2, who give kernels and channels; strides, padding and
    the hidden width are ours. With `blocks` there are blocks of two 3x3 convolutions and a max-pool
    of 2x2 instead: ``blocks: [32, 64], hidden: 512`` is the network of Lyle et al. 2024, Fig. 1, as
    we read "two blocks of two layers with 32 and 64 channels"; kernels and pools are ours.

    Attributes:
        channels: of each of the three convolutions.
        strides: of the three convolutions.
        hidden: units of the hidden layer.
        norm: norm layers at the nonlinearities.
        activation: nonlinearity; the doubling ones double what the next map takes.
        norm_place: ``before`` the nonlinearities or ``after``.
        blocks: channels of each block, in place of the three convolutions; none by default.
    """

    later: ClassVar[frozenset[str]] = frozenset({"activation", "norm_place", "blocks"})
    kind: Literal["cnn"] = "cnn"
    channels: Channels = 32
    strides: Annotated[tuple[Stride, Stride, Stride], Field(strict=False)] = (2, 2, 1)
    hidden: Annotated[int, Field(ge=1)] = 256
    norm: NormKind = "layer"
    activation: ActivationName = "relu"
    norm_place: NormPlace = "before"
    blocks: Annotated[tuple[Channels, ...], Field(strict=False, max_length=10)] = ()

    _place = field_validator("norm_place")(check_place)

    @model_validator(mode="after")
    def _blocks_alone(self) -> CnnConfig:
        for key in ("channels", "strides"):
            value = getattr(self, key)
            if self.blocks and value != type(self).model_fields[key].default:
                raise ConfigError(key, value, "no such key beside 'blocks'")
        return self

    def convolutions(self) -> Iterator[tuple[int, int, int, bool]]:
        """Yield channels, kernel, stride and whether a max-pool follows, of each convolution."""
        for channels in self.blocks:
            for place in range(PER_BLOCK):
                yield channels, 3, 1, place == PER_BLOCK - 1
        if not self.blocks:
            for kernel, stride in zip((5, 3, 3), self.strides, strict=True):
                yield self.channels, kernel, stride, False

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, channels, height, width) float.

        Raises:
            ConfigError: if they are not the task's, or smaller than the max-pools take.
        """
        shape = self.take(spec, Floats).shape
        if len(shape) != 3:
            raise ConfigError("model.kind", "cnn", f"a model for inputs of shape {shape}")
        most = min(shape[1:]).bit_length() - 1
        if len(self.blocks) > most:
            wanted = f"at most {most} blocks for inputs of shape {shape}"
            raise ConfigError("model.blocks", list(self.blocks), wanted)
        bias = self.norm == "none"
        layers: list[nn.Module] = []
        width = shape[0]
        for channels, kernel, stride, pooled in self.convolutions():
            hidden = activation(self.activation)
            layers += [
                nn.Conv2d(width, channels, kernel, stride, kernel // 2, bias=bias),
                *with_norm(hidden, partial(norm_2d, self.norm), channels, self.norm_place),
                *([nn.MaxPool2d(2)] if pooled else []),
            ]
            width = channels * copies_of(hidden)
        torso = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            features = torso(torch.zeros(1, *shape)).shape[1]
        hidden = activation(self.activation)
        model = nn.Sequential(
            *torso,
            nn.Linear(features, self.hidden, bias=bias),
            *with_norm(hidden, partial(norm, self.norm), self.hidden, self.norm_place),
            nn.Linear(self.hidden * copies_of(hidden), spec.outputs, bias=bias),
        )
        return channels_last(model)
