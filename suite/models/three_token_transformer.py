"""A one-layer transformer on strings "x y =" without norm layers (Nanda et al. 2023).

The network of Kumar et al. 2024, Figs. 6b, 12 and 13c. The answer is read at the third position;
the outputs are logits of all p + 1 tokens, "=" among them. As in `suite.models.transformer`, keys,
values and scores are computed once per (token, position): 2p + 1 rows, not 3 per example. The
result equals that of the plain network.

Only the MLP has biases. Weights start as N(0, 1 / width), including the MLP's output map, and the
decoder's as N(0, 1 / (p + 1)), as in the authors' code.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from suite.models.base import MODELS, ModelConfig, ModelSpec, Tap
from suite.models.heads import heads_divide
from suite.models.inputs import IntegerPairs
from suite.models.transformer import attend


class ThreeTokenTransformer(nn.Module):
    """Embedding, one attention block, one ReLU MLP, linear decoder, residual connections.

    Args:
        modulus: p, the number of operand tokens.
        outputs: logits, one per token.
        width: dimension of the residual stream.
        heads: attention heads, a divisor of `width`.
        hidden: units of the MLP.
    """

    output_layers = ("decoder",)
    scale_invariant_weights = ()

    def __init__(self, modulus: int, outputs: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.modulus, self.heads = modulus, heads
        self.tokens = nn.Embedding(modulus + 1, width)  # operands, then "="
        self.places = nn.Embedding(3, width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.attention_output = Tap()
        self.mix = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Linear(hidden, width)
        self.decoder = nn.Linear(width, outputs, bias=False)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                fan = outputs if name.startswith("decoder") else width
                nn.init.normal_(parameter, std=1 / math.sqrt(fan))

    def forward(self, pairs: Tensor) -> Tensor:
        """Return logits (batch, outputs) for operand pairs (batch, 2) of integers below p."""
        p, heads = self.modulus, self.heads
        tokens, places = self.tokens.weight, self.places.weight
        rows = torch.cat([tokens[:p] + places[0], tokens[:p] + places[1], tokens[p:] + places[2]])
        query = self.query(rows[-1]).view(heads, -1)
        keys = self.key(rows).view(2 * p + 1, heads, -1)
        scores = (keys * query).sum(-1) / math.sqrt(query.shape[-1])  # (2p + 1, heads)
        attended = self.attention_output(attend(scores, self.value(rows), pairs, p))
        stream = rows[-1] + self.mix(attended)
        stream = stream + self.down(self.relu(self.up(stream)))
        logits: Tensor = self.decoder(stream)
        return logits


@MODELS.register("three_token_transformer")
class ThreeTokenTransformerConfig(ModelConfig):
    """One-layer transformer on strings "x y =", without norm layers (Nanda et al. 2023)."""

    kind: Literal["three_token_transformer"] = "three_token_transformer"
    width: Annotated[int, Field(ge=1)] = 128
    heads: Annotated[int, Field(ge=1)] = 4
    hidden: Annotated[int, Field(ge=1)] = 512

    _heads_divide = model_validator(mode="after")(heads_divide)

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, 2) integers, outputs (batch, spec.outputs).

        Raises:
            ConfigError: if they are not the task's.
        """
        modulus = self.take(spec, IntegerPairs).below
        return ThreeTokenTransformer(modulus, spec.outputs, self.width, self.heads, self.hidden)
