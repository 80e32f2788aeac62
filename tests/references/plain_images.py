"""Networks for images and signals, written out; parameters come in the order of registration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

Act = Callable[[Tensor], Tensor]


def leaky(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.01 * x)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def crelu(x: Tensor) -> Tensor:
    return torch.cat([x.clamp(min=0), (-x).clamp(min=0)], 1)


def fourier(x: Tensor) -> Tensor:
    return torch.cat([x.sin(), x.cos()], 1)


def rectify(x: Tensor) -> Tensor:
    return x.clamp(min=0)


ACTS: dict[str, Act] = {
    "relu": rectify,
    "leaky_relu": leaky,
    "gelu": gelu,
    "crelu": crelu,
    "fourier": fourier,
}


def normalised(x: Tensor, kind: str, left: Iterator[Tensor], groups: int = 1) -> Tensor:
    """Features (batch, channels, positions...) less their mean, over their deviation."""
    gain, offset = next(left), next(left)
    count = len(x)
    if kind == "batch":
        rows = x.transpose(0, 1).reshape(x.shape[1], -1)
    else:
        rows = x.reshape(count * groups, -1)
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / (rows.square().mean(1, keepdim=True) + 1e-5).sqrt()
    if kind == "batch":
        x = rows.reshape(x.shape[1], count, *x.shape[2:]).transpose(0, 1)
    else:
        x = rows.reshape(x.shape)
    ones = [1] * (x.ndim - 2)
    return x * gain.view(-1, *ones) + offset.view(-1, *ones)


def plain_cnn_1d(parameters: Iterable[Tensor], x: Tensor, norm: str, act: Act) -> Tensor:
    """Logits for signals (batch, channels, length)."""
    left = iter(parameters)
    for _ in range(3):
        w = next(left)
        bias = next(left)[:, None] if norm == "none" else 0
        windows = F.pad(x, (1, 1)).unfold(2, w.shape[2], 2)  # (batch, channels, places, kernel)
        x = torch.einsum("bcpk,ock->bop", windows, w) + bias
        x = act(x if norm == "none" else normalised(x, norm, left))
    x = x.flatten(1) @ next(left).T + (next(left) if norm == "none" else 0)
    assert next(left, None) is None
    return x


def plain_resnet(
    parameters: Iterable[Tensor],
    x: Tensor,
    blocks: tuple[int, ...],
    bottleneck: bool,
    norm: str,
    groups: int,
    act: Act,
) -> Tensor:
    """Logits for images (batch, channels, height, width), in training mode."""
    left = iter(parameters)

    def conv(x: Tensor, stride: int = 1) -> Tensor:
        w = next(left)
        bias = next(left) if norm == "none" else None
        y = F.conv2d(x, w, bias, stride, w.shape[-1] // 2)
        return y if norm == "none" else normalised(y, norm, left, groups)

    x = act(conv(x))
    width = x.shape[1]
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage and not index else 1
            first = act(conv(x, 1 if bottleneck else stride))
            y = conv(act(conv(first, stride)) if bottleneck else first)
            assert y.shape[1] == width * 2**stage * (4 if bottleneck else 1)
            x = act(y + (x if y.shape == x.shape else conv(x, stride)))
    x = x.mean((2, 3)) @ next(left).T + (next(left) if norm == "none" else 0)
    assert next(left, None) is None
    return x


def plain_vit(
    parameters: dict[str, Tensor],
    images: Tensor,
    patch: int,
    heads: int,
    depth: int,
    norm: str,
    branch_norm: bool,
) -> Tensor:
    """Logits for images (batch, channels, height, width), one image and one head at a time."""

    def rms(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * parameters[f"{name}.weight"]

    def normed(x: Tensor, name: str) -> Tensor:
        if norm == "rms":
            return rms(x, f"{name}.0")
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x * parameters[f"{name}.0.weight"] + parameters[f"{name}.0.bias"]

    def end(x: Tensor, name: str) -> Tensor:
        return normed(x, name) if branch_norm else x

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ parameters[f"{name}.weight"].flatten(1).T

    found = []
    for image in images:
        rows = range(0, image.shape[1], patch)
        columns = range(0, image.shape[2], patch)
        cut = [image[:, r : r + patch, c : c + patch].flatten() for r in rows for c in columns]
        x = end(linear(torch.stack(cut), "patches"), "norm_patches") + parameters["places"]
        for block in (f"blocks.{i}" for i in range(depth)):
            y = normed(x, f"{block}.norm_attention")
            three = (linear(y, f"{block}.{name}") for name in ("query", "key", "value"))
            parts = []
            for q, k, v in zip(*(t.chunk(heads, 1) for t in three), strict=True):
                q, k = rms(q, f"{block}.norm_query.0"), rms(k, f"{block}.norm_key.0")
                weights = (q @ k.T / math.sqrt(q.shape[1])).exp()
                parts.append(weights / weights.sum(1, keepdim=True) @ v)
            x = x + end(linear(torch.cat(parts, 1), f"{block}.mix"), f"{block}.norm_mix")
            y = linear(normed(x, f"{block}.norm_mlp"), f"{block}.up")
            y = linear(gelu(normed(y, f"{block}.norm_hidden")), f"{block}.down")
            x = x + end(y, f"{block}.norm_down")
        found.append(linear(normed(x, "norm_output").mean(0), "head"))
    return torch.stack(found)
