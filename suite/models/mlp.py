"""Multi-layer perceptron, plain or normalised before each nonlinearity."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from suite.models.base import MODELS, Depth, ModelConfig, ModelSpec
from suite.models.head_spec import PLAIN
from suite.models.inputs import Floats
from suite.models.normalize import NormKind, norm
from suite.models.q_head import with_head


@MODELS.register("mlp")
class MlpConfig(ModelConfig):
    """`depth` hidden layers of `width` ReLU units; inputs are flattened.

    The last hidden layer belongs to the head of a value network, which may have two of them. With a
    norm layer there are no biases, so an input and a positive multiple of it give the same outputs:
    the size of an input, which matters in the states of CartPole, is lost.
    """

    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=1)] = 256
    depth: Depth = 2
    norm: NormKind = "none"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs), outputs (batch, spec.outputs).

        Raises:
            ConfigError: if they are not the task's.
        """
        width = prod(self.take(spec, Floats, value_head=True).shape)
        bias = self.norm == "none"
        layers: list[nn.Module] = [nn.Flatten()]
        plain = spec.head == PLAIN
        for _ in range(self.depth if plain else self.depth - 1):
            layers += [nn.Linear(width, self.width, bias=bias), *norm(self.norm, self.width)]
            layers.append(nn.ReLU(inplace=True))
            width = self.width
        if plain:
            layers.append(nn.Linear(width, spec.outputs, bias=bias))
            return nn.Sequential(*layers)
        return with_head(nn.Sequential(*layers), width, self.width, spec, self.norm)
