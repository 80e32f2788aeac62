"""The one-layer grokking transformer of Lyle et al. 2025 (section 4, Table 1), in factored form.

Inputs are strings of five tokens "x . y = _" and the answer is read at the last position. Before
the only attention block a position sees only its own token and position, so keys, values and scores
are computed once per (token, position): 2p + 3 rows, not 5 per example. The last position's
residual stream, MLP and logits cannot be shared; those of the other positions are not needed. The
result equals that of the plain network.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from suite.models.base import MODELS, ModelConfig, ModelSpec, Tap, modulus_of
from suite.models.heads import heads_divide
from suite.models.normalize import NormKind, norm
from suite.models.row_sums import sum_of_rows

APART = 120.0
"""Nats of an operand's score over the largest shared one up to which sums of rows are exact.

Beyond, the squares of their denominators leave the range of single precision.
"""


def attend(scores: Tensor, values: Tensor, pairs: Tensor, p: int) -> Tensor:
    """Return the attention output of the last position, (batch, width).

    An example's softmax numerators and their denominator are sums of rows of one table: row t
    holds exp(score_t) * value_t and exp(score_t), per head. The score subtracted before the
    exponential is that of the largest of the tokens that every example shares, so that no
    denominator vanishes, raised where an operand's score would overflow. Where scores are too far
    apart for that, on a GPU, which would have to be waited for to know, and inside
    `torch.func.vmap`, each example has its own softmax.

    Args:
        scores: (2p + shared, heads), the first operands' rows, the second ones', the shared ones.
        values: (2p + shared, width).
        pairs: (batch, 2) operands.
        p: the modulus.
    """
    heads = scores.shape[1]
    rows = torch.stack([pairs[:, 0], pairs[:, 1] + p], 1)
    with torch.no_grad():
        most, shared_most = scores.amax(0), scores[2 * p :].amax(0)
    unknown = scores.is_cuda or scores.is_meta
    if unknown or _is_true((most - shared_most).amax() > APART):
        return _attend_one_by_one(scores, values, rows, p)
    shift = torch.maximum(shared_most, most - 80.0)
    weights = (scores - shift).exp().unsqueeze(-1)  # (2p + shared, heads, 1)
    table = torch.cat([weights * values.view(len(values), heads, -1), weights], -1).flatten(1)
    table = torch.cat([table[: 2 * p], table[2 * p :].sum(0, keepdim=True)])
    shared = torch.full_like(pairs[:, :1], 2 * p)
    sums = sum_of_rows(table, torch.cat([rows, shared], 1)).view(len(pairs), heads, -1)
    return (sums[..., :-1] / sums[..., -1:]).flatten(1)


def _is_true(answer: Tensor) -> bool:
    """Return an answer; True inside `torch.func.vmap`, where it may differ by example.

    Raises:
        RuntimeError: if it is of another kind.
    """
    try:
        return bool(answer)
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        return True


def _attend_one_by_one(scores: Tensor, values: Tensor, rows: Tensor, p: int) -> Tensor:
    """Return what `attend` does, with a softmax for each example.

    Args:
        scores: (2p + shared, heads).
        values: (2p + shared, width).
        rows: (batch, 2) of the operands.
        p: the modulus.
    """
    heads = scores.shape[1]
    split = values.view(len(values), heads, -1)
    shared = (scores[2 * p :].softmax(0).unsqueeze(-1) * split[2 * p :]).sum(0)
    together = scores[2 * p :].logsumexp(0).expand(len(rows), 1, heads)
    weights = torch.cat([scores[rows], together], 1).softmax(1).unsqueeze(-1)
    return ((weights[:, :2] * split[rows]).sum(1) + weights[:, 2] * shared).flatten(1)


class GrokkingTransformer(nn.Module):
    """Embedding, one attention block, one ReLU MLP, linear decoder; no biases.

    Norm layers, where asked for, stand before attention, before the MLP and before the decoder.
    Residual connections around attention and MLP. All maps start as N(0, 1 / fan-in).

    Args:
        modulus: p, the number of operand tokens; outputs are p logits.
        width: dimension of the residual stream.
        heads: attention heads, a divisor of `width`.
        hidden: units of the MLP.
        kind: normalisation layers.
    """

    output_layers = ("decoder",)
    scale_invariant_weights = ()  # the norm layers read a residual stream, not one map's output

    def __init__(self, modulus: int, width: int, heads: int, hidden: int, kind: NormKind) -> None:
        super().__init__()
        self.modulus, self.heads = modulus, heads
        self.tokens = nn.Embedding(modulus + 3, width)  # operands, then ".", "=", "_"
        self.places = nn.Embedding(5, width)
        self.norm_attention = nn.Sequential(*norm(kind, width))
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.attention_output = Tap()
        self.mix = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.Sequential(*norm(kind, width))
        self.up = nn.Linear(width, hidden, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Linear(hidden, width, bias=False)
        self.norm_output = nn.Sequential(*norm(kind, width))
        self.decoder = nn.Linear(width, modulus, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.weight.shape[1]))

    def _rows(self) -> Tensor:
        """Return the streams that an example may begin with, (2p + 3, width).

        x = 0..p-1 at place 0, y = 0..p-1 at place 2, then ".", "=", "_" at 1, 3, 4.
        """
        p, tokens, places = self.modulus, self.tokens.weight, self.places.weight
        return torch.cat(
            [tokens[:p] + places[0], tokens[:p] + places[2], tokens[p:] + places[[1, 3, 4]]]
        )

    def _scores(self, inputs: Tensor) -> Tensor:
        """Return the last position's scores of every row, (2p + 3, heads)."""
        query = self.query(inputs[-1]).view(self.heads, -1)
        keys = self.key(inputs).view(len(inputs), self.heads, -1)
        scores: Tensor = (keys * query).sum(-1) / math.sqrt(query.shape[-1])
        return scores

    def attention(self, pairs: Tensor) -> Tensor:
        """Return the last position's attention, (batch, heads, 5), for operand pairs (batch, 2).

        Weights are in the order of the string, and sum to 1.
        """
        p = self.modulus
        scores = self._scores(self.norm_attention(self._rows()))
        dot, equals, blank = (torch.full_like(pairs[:, 0], 2 * p + i) for i in range(3))
        places = torch.stack([pairs[:, 0], dot, pairs[:, 1] + p, equals, blank], 1)
        weights: Tensor = scores[places].softmax(1).transpose(1, 2)
        return weights

    def forward(self, pairs: Tensor) -> Tensor:
        """Return logits (batch, p) for operand pairs (batch, 2) of integers below p."""
        rows = self._rows()
        inputs = self.norm_attention(rows)
        values, scores = self.value(inputs), self._scores(inputs)
        attended = self.attention_output(attend(scores, values, pairs, self.modulus))
        stream = rows[-1] + self.mix(attended)
        stream = stream + self.down(self.relu(self.up(self.norm_mlp(stream))))
        logits: Tensor = self.decoder(self.norm_output(stream))
        return logits


@MODELS.register("transformer")
class TransformerConfig(ModelConfig):
    """Grokking transformer of Lyle et al. 2025: one attention block and one MLP, no biases."""

    kind: Literal["transformer"] = "transformer"
    width: Annotated[int, Field(ge=1)] = 128
    heads: Annotated[int, Field(ge=1)] = 4
    hidden: Annotated[int, Field(ge=1)] = 512
    norm: NormKind = "none"

    _heads_divide = model_validator(mode="after")(heads_divide)

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, 2) integers, outputs (batch, modulus).

        Raises:
            ConfigError: if they are not the task's.
        """
        return GrokkingTransformer(
            modulus_of(self, spec), self.width, self.heads, self.hidden, self.norm
        )
