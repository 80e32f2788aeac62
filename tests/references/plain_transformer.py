"""The grokking transformer computed the plain way: all five positions, causal attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from suite.models.transformer import GrokkingTransformer


def plain_forward(model: GrokkingTransformer, pairs: Tensor) -> Tensor:
    """Return the logits (batch, p) at the last of five positions, with `model`'s weights."""
    p, heads = model.modulus, model.heads
    dot, equals, blank = (torch.full((len(pairs),), p + i, device=pairs.device) for i in range(3))
    strings = torch.stack([pairs[:, 0], dot, pairs[:, 1], equals, blank], 1)
    stream = model.tokens(strings) + model.places.weight
    inputs = model.norm_attention(stream)
    batch, length, width = inputs.shape

    def split(values: Tensor) -> Tensor:
        return values.view(batch, length, heads, width // heads).transpose(1, 2)

    query, key, value = (split(f(inputs)) for f in (model.query, model.key, model.value))
    scores = query @ key.transpose(-1, -2) / math.sqrt(width // heads)
    mask = torch.ones(length, length, dtype=torch.bool, device=pairs.device).tril()
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    attended = (weights @ value).transpose(1, 2).reshape(batch, length, width)
    stream = stream + model.mix(attended)
    stream = stream + model.down(model.up(model.norm_mlp(stream)).relu())
    logits: Tensor = model.decoder(model.norm_output(stream))
    return logits[:, -1]
