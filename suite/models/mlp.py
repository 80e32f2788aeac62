"""Multi-layer perceptron, plain or normalised before each nonlinearity."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from suite.models.base import MODELS, ModelConfig, ModelSpec
from suite.models.normalize import NormKind, norm


@MODELS.register("mlp")
class MlpConfig(ModelConfig):
    """`depth` hidden layers of `width` ReLU units; inputs are flattened."""

    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=1)] = 256
    depth: Annotated[int, Field(ge=1)] = 2
    norm: NormKind = "none"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs), outputs (batch, spec.outputs)."""
        bias = self.norm == "none"
        layers: list[nn.Module] = [nn.Flatten()]
        width = prod(spec.inputs)
        for _ in range(self.depth):
            layers += [nn.Linear(width, self.width, bias=bias), *norm(self.norm, self.width)]
            layers.append(nn.ReLU(inplace=True))
            width = self.width
        layers.append(nn.Linear(width, spec.outputs, bias=bias))
        return nn.Sequential(*layers)
