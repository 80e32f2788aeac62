"""A tanh network whose initial weights are scaled (Kumar et al. 2024, Figs. 8, 13b, 17 and 18)."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from suite.models.base import MODELS, Depth, ModelConfig, ModelSpec
from suite.models.inputs import Floats


@MODELS.register("tanh_mlp")
class TanhMlpConfig(ModelConfig):
    """`depth` hidden layers of `width` tanh units.

    Attributes:
        width: units of a layer.
        depth: hidden layers.
        biases: whether the maps have biases.
        start: ``uniform``: weights and biases uniform within 1 / sqrt(fan-in), PyTorch's default;
            ``normal``: weights N(0, 1), biases 0.
        init_scale: factor on all of these.
    """

    kind: Literal["tanh_mlp"] = "tanh_mlp"
    width: Annotated[int, Field(ge=1)] = 100
    depth: Depth = 2
    biases: bool = True
    start: Literal["uniform", "normal"] = "uniform"
    init_scale: Annotated[float, Field(gt=0)] = 1.0

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs), outputs (batch, spec.outputs)."""
        layers: list[nn.Module] = [nn.Flatten()]
        sizes = [prod(self.take(spec, Floats).shape), *[self.width] * self.depth, spec.outputs]
        for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            linear = nn.Linear(fan_in, fan_out, bias=self.biases)
            if self.start == "normal":
                nn.init.normal_(linear.weight)
                if self.biases:
                    nn.init.zeros_(linear.bias)
            with torch.no_grad():
                for parameter in linear.parameters():
                    parameter.mul_(self.init_scale)
            layers += [linear] if index == self.depth else [linear, nn.Tanh()]
        return nn.Sequential(*layers)
