"""Multi-layer perceptron on pairs of integers: the transformer's problem without attention.

Operands are looked up in one table and concatenated (`embedding`). Or their one-hot codes are
concatenated, which equals the sum of one table per operand. There are no biases; the activation is
ReLU. With a norm layer before each nonlinearity every hidden map is scale-invariant.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from suite.models.base import MODELS, Depth, ModelConfig, ModelSpec, modulus_of
from suite.models.normalize import NormKind, norm


class PairMlp(nn.Module):
    """Table or one-hot codes, `depth` hidden layers, linear decoder.

    All maps start as N(0, 1 / fan-in), where of one-hot codes two inputs are not zero; the table
    as N(0, 1).

    Args:
        modulus: p, the number of operands; outputs are p logits.
        embedding: width of an operand's row in the table, None for one-hot codes.
        width: units of a hidden layer.
        depth: number of hidden layers.
        kind: normalisation layers.
    """

    output_layers = ("decoder",)

    def __init__(
        self, modulus: int, embedding: int | None, width: int, depth: int, kind: NormKind
    ) -> None:
        super().__init__()
        self.modulus = modulus
        self.tokens = None if embedding is None else nn.Embedding(modulus, embedding)
        codes = 2 * (embedding or modulus)
        self.first = nn.Linear(codes, width, bias=False)
        layers: list[nn.Module] = [*norm(kind, width), nn.ReLU()]
        for _ in range(depth - 1):
            layers += [nn.Linear(width, width, bias=False), *norm(kind, width), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.decoder = nn.Linear(width, modulus, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                one_hot = module is self.first and embedding is None
                fan_in = 2 if one_hot else module.weight.shape[1]
                nn.init.normal_(module.weight, std=1 / math.sqrt(fan_in))

    def forward(self, pairs: Tensor) -> Tensor:
        """Return logits (batch, p) for operand pairs (batch, 2) of integers below p."""
        if self.tokens is not None:
            first = self.first(self.tokens(pairs).flatten(1))
        else:  # a one-hot code picks a column
            left, right = self.first.weight.T.chunk(2)
            first = left[pairs[:, 0]] + right[pairs[:, 1]]
        logits: Tensor = self.decoder(self.hidden(first))
        return logits


@MODELS.register("pair_mlp")
class PairMlpConfig(ModelConfig):
    """Multi-layer perceptron on pairs of integers, plain or with norm layers; no biases.

    Attributes:
        embedding: width of the operands' table; None for one-hot codes.
        width: units of a hidden layer.
        depth: hidden layers.
        norm: before each nonlinearity.
    """

    kind: Literal["pair_mlp"] = "pair_mlp"
    embedding: Annotated[int, Field(ge=1)] | None = 64
    width: Annotated[int, Field(ge=1)] = 256
    depth: Depth = 1
    norm: NormKind = "none"

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, 2) integers, outputs (batch, modulus).

        Raises:
            ConfigError: if they are not the task's.
        """
        return PairMlp(modulus_of(self, spec), self.embedding, self.width, self.depth, self.norm)
