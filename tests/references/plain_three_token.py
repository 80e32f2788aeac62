"""The three-token transformer computed the plain way: all positions, causal attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from suite.models.three_token_transformer import ThreeTokenTransformer


def plain_forward(model: ThreeTokenTransformer, pairs: Tensor) -> Tensor:
    """Return the logits (batch, outputs) at the last of three positions, `model`'s weights used."""
    equals = torch.full((len(pairs), 1), model.modulus)
    stream = model.tokens(torch.cat([pairs, equals], 1)) + model.places.weight
    batch, length, width = stream.shape

    def split(values: Tensor) -> Tensor:
        return values.view(batch, length, model.heads, width // model.heads).transpose(1, 2)

    query, key, value = (split(f(stream)) for f in (model.query, model.key, model.value))
    scores = query @ key.transpose(-1, -2) / math.sqrt(width // model.heads)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    weights = scores.masked_fill(future, -math.inf).softmax(-1)
    attended = (weights @ value).transpose(1, 2).reshape(batch, length, width)
    stream = stream + model.mix(attended)
    stream = stream + model.down(model.up(stream).relu())
    logits: Tensor = model.decoder(stream)
    return logits[:, -1]
