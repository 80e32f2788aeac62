"""Multi-layer perceptron, plain or with a norm layer at each nonlinearity."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator
from torch import nn

from suite.errors import ConfigError
from suite.models.activations import ActivationName, activation, copies_of
from suite.models.base import MODELS, Depth, ModelConfig, ModelSpec
from suite.models.head_spec import PLAIN
from suite.models.inputs import Floats
from suite.models.normalize import NormKind, NormPlace, check_place, norm, with_norm
from suite.models.q_head import with_head


@MODELS.register("mlp")
class MlpConfig(ModelConfig):
    """Multi-layer perceptron, plain or with norm layers; inputs are flattened.

    The last hidden layer belongs to the head of a value network, which may have two of them. With a
    norm layer there are no biases, so an input and a positive multiple of it give the same outputs.
    The size of an input is then lost, which matters for the states of CartPole.

    Attributes:
        width: units of a layer.
        depth: hidden layers.
        norm: norm layers at the nonlinearities.
        activation: nonlinearity; the doubling ones double what the next map takes. Agents have
            ReLU.
        norm_place: ``before`` the nonlinearities or ``after``. Agents have them before.
    """

    later: ClassVar[frozenset[str]] = frozenset({"activation", "norm_place"})
    kind: Literal["mlp"] = "mlp"
    width: Annotated[int, Field(ge=1)] = 256
    depth: Depth = 2
    norm: NormKind = "none"
    activation: ActivationName = "relu"
    norm_place: NormPlace = "before"

    _place = field_validator("norm_place")(check_place)

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, *spec.inputs), outputs (batch, spec.outputs).

        Raises:
            ConfigError: if they are not the task's.
        """
        width = prod(self.take(spec, Floats, value_head=True).shape)
        bias = self.norm == "none"
        layers: list[nn.Module] = [nn.Flatten()]
        plain = spec.head == PLAIN
        if not plain and self.activation != "relu":
            wanted = "'relu', which the last layers of a value network have"
            raise ConfigError("model.activation", self.activation, wanted)
        if not plain and self.norm_place != "before":
            wanted = "'before', as in the last layers of a value network"
            raise ConfigError("model.norm_place", self.norm_place, wanted)
        norms = partial(norm, self.norm)
        for _ in range(self.depth if plain else self.depth - 1):
            hidden = activation(self.activation)
            layers.append(nn.Linear(width, self.width, bias=bias))
            layers += with_norm(hidden, norms, self.width, self.norm_place)
            width = self.width * copies_of(hidden)
        if plain:
            layers.append(nn.Linear(width, spec.outputs, bias=bias))
            return nn.Sequential(*layers)
        return with_head(nn.Sequential(*layers), width, self.width, spec, self.norm)
