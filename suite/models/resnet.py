"""Residual networks for small images (He et al. 2016), post-activation, with a choice of norms.

The stem is a 3x3 convolution without pooling, as is usual for images of 32 x 32. Stages follow; all
but the first double the channels and halve the sides. A block gives
``activation(shortcut(x) + branch(x))``. A shortcut is the input itself where shapes allow it, else
a 1x1 convolution. Positions are averaged at the end, and a linear map gives the outputs::

    depth 8            one basic block in each of three stages (He et al. 2016, 4.2, with n = 1)
    depth 18           two basic blocks in each of four stages
    depth 50, 101      bottlenecks: 3, 4, 6, 3 and 3, 4, 23, 3

A basic block has two 3x3 convolutions; a bottleneck has 1x1, 3x3 and 1x1 with four times as many
channels at its end, and its stride in the 3x3, as torchvision has it. He et al. have no
convolutions in the shortcuts of their networks for CIFAR; these have, as is usual now.

Scale invariance (Lyle et al. 2024, section 3): with norm layers every convolution, in the stem, the
branches and the shortcuts, is followed by one directly and has no bias. So all of them are
scale-invariant, and the output layer alone is not. The last nonlinearity of a block has its norm
layers before the addition, not between; a kernel's scale is undone before it enters the sum, so the
original order needs no change.

With ``norm: batch`` this holds in training mode, for whole tensors and for rows. Measurements
use running statistics, which follow with a delay of about ten updates: right after a projection
they belong to weights of another scale. The other norms have no such state.

References:
    He, Zhang, Ren, Sun 2016, Deep Residual Learning for Image Recognition.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.activations import PlainActivation, activation
from suite.models.base import MODELS, ModelConfig, ModelSpec, channels_last
from suite.models.inputs import Floats

STAGES = {8: (1, 1, 1), 18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks of each stage, by depth."""

BOTTLENECKS = (50, 101)
"""Depths that are made of bottlenecks."""

EXPANSION = 4
"""Channels at the end of a bottleneck, in units of those inside."""


class Block(nn.Module):
    """``activation(shortcut(x) + branch(x))``.

    Args:
        branch: maps (batch, inputs, height, width) to what is added.
        shortcut: does so too, linearly.
        nonlinearity: of the sum.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module, nonlinearity: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut, self.activation = branch, shortcut, nonlinearity

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs, height, width), smaller sides where the block has a stride."""
        y: Tensor = self.activation(self.shortcut(x) + self.branch(x))
        return y


@MODELS.register("resnet")
class ResNetConfig(ModelConfig):
    """Residual network with a stem for small images (He et al. 2016).

    Attributes:
        depth: layers, which decide on the kind and number of blocks.
        width: channels of the first stage, eight or more: with fewer, PyTorch's gradient of the
            shortcuts writes past its memory on processors without AVX-512 (2.13, oneDNN 3.12).
        norm: norm layers: batch norm; ``layer``, over all channels and positions of an image;
            ``group``, over some of the channels; or none, with biases.
        groups: of ``norm: group``, a divisor of `width`; unused otherwise.
        activation: nonlinearity. Those that double features do not fit a residual sum.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[8, 18, 50, 101] = 18
    width: Annotated[int, Field(ge=8)] = 64
    norm: Literal["batch", "layer", "group", "none"] = "batch"
    groups: Annotated[int, Field(ge=1)] = 8
    activation: PlainActivation = "relu"

    @model_validator(mode="after")
    def _groups_divide(self) -> ResNetConfig:
        if self.norm == "group" and self.width % self.groups:
            raise ConfigError("groups", self.groups, f"a divisor of width = {self.width}")
        return self

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, channels, height, width) float.

        Raises:
            ConfigError: if they are not the task's, or too small.
        """
        shape = self.take(spec, Floats).shape
        least = 2 ** (len(STAGES[self.depth]) - 1)
        if len(shape) != 3 or min(shape[1:]) < least:
            wanted = f"a model for inputs of shape {shape}"
            sides = f"images, sides of at least {least} at depth {self.depth}"
            raise ConfigError("model.kind", self.kind, f"{wanted}; {sides}")
        layers = [*self._convolution(shape[0], self.width, 3), activation(self.activation)]
        channels = self.width
        for stage, count in enumerate(STAGES[self.depth]):
            blocks: list[nn.Module] = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                block, channels = self._block(channels, self.width * 2**stage, stride)
                blocks.append(block)
            layers.append(nn.Sequential(*blocks))
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        layers.append(nn.Linear(channels, spec.outputs, bias=self.norm == "none"))
        return channels_last(nn.Sequential(*layers))

    def _block(self, inputs: int, channels: int, stride: int) -> tuple[nn.Module, int]:
        """Return a block and the channels that it gives."""
        if self.depth in BOTTLENECKS:
            outputs, maps = EXPANSION * channels, [(channels, 1, 1), (channels, 3, stride)]
            maps.append((outputs, 1, 1))
        else:
            outputs, maps = channels, [(channels, 3, stride), (channels, 3, 1)]
        branch: list[nn.Module] = []
        given = inputs
        for index, (taken, kernel, step) in enumerate(maps):
            branch += [activation(self.activation)] if index else []
            branch += self._convolution(given, taken, kernel, step)
            given = taken
        straight = stride == 1 and inputs == outputs
        shortcut = [] if straight else self._convolution(inputs, outputs, 1, stride)
        block = Block(nn.Sequential(*branch), nn.Sequential(*shortcut), activation(self.activation))
        return block, outputs

    def _convolution(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1
    ) -> list[nn.Module]:
        """Return a convolution and its norm layer, if there is one."""
        bias = self.norm == "none"
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
        ]
        if self.norm == "batch":
            layers.append(nn.BatchNorm2d(outputs))
        elif not bias:
            layers.append(nn.GroupNorm(self.groups if self.norm == "group" else 1, outputs))
        return layers
