"""Inputs guessed from the sizes of a network's layers; a forward pass shows whether they fit."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from suite.norms import wide_type

SIDES = (32, 28, 84, 64, 96, 224, 16, 8)
"""Usual sides of images, tried before all others."""

LONGEST = 128
"""Largest side or length that is tried besides."""

LENGTHS = (8, 2, 3, 16, 32)
"""Usual lengths of sequences of tokens."""

CONVOLUTIONS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
TRANSPOSED = {nn.ConvTranspose1d: 1, nn.ConvTranspose2d: 2, nn.ConvTranspose3d: 3}


def made_up(model: nn.Module) -> Iterator[Tensor]:
    """Yield inputs that a network may take, likelier ones first: tokens, images, vectors.

    Args:
        model: the network; of one without values (meta device) inputs are on the CPU.
    """
    own = next(model.parameters())
    device = torch.device("cpu") if own.is_meta else own.device
    dtype = wide_type(own.dtype) if own.is_floating_point() else torch.float32
    generator = torch.Generator().manual_seed(0)
    tables, shapes = _sizes(model)
    for table in tables:
        for length in _first_of(LENGTHS, LONGEST):
            yield torch.randint(0, table, (5, length), generator=generator).to(device)
        yield torch.randint(0, table, (5,), generator=generator).to(device)
    for shape in shapes:
        yield torch.randn(shape, generator=generator).to(device, dtype)
    if not tables:  # one-hot codes are looked up without a table
        for length in (2, 1, 3):
            yield torch.randint(0, 2, (5, length), generator=generator).to(device)


def _first_of(usual: tuple[int, ...], largest: int) -> list[int]:
    return [*usual, *(n for n in range(1, largest + 1) if n not in usual)]


def _sizes(model: nn.Module) -> tuple[list[int], list[tuple[int, ...]]]:
    """Return the sizes of tables, and shapes of batches of images and of vectors."""
    tables: dict[int, None] = {}
    images: dict[tuple[int, ...], None] = {}
    vectors: dict[tuple[int, ...], None] = {}
    planes: dict[tuple[int, int], None] = {}  # channels and axes
    for module in model.modules():
        for kind, axes in (CONVOLUTIONS | TRANSPOSED).items():
            if isinstance(module, kind):
                planes[module.in_channels, axes] = None
        width: int | None = None
        if isinstance(module, nn.Embedding):
            tables[module.num_embeddings] = None
        elif isinstance(module, nn.MultiheadAttention):
            width = module.embed_dim
        elif isinstance(module, nn.RNNBase):
            width = module.input_size
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            vectors[(7, *module.normalized_shape)] = None
            vectors[(2, 5, *module.normalized_shape)] = None
        elif isinstance(module, nn.Linear):
            width = module.in_features
        elif isinstance(module, nn.BatchNorm1d):
            width = module.num_features
        elif getattr(module, "is_linear_map", False) and isinstance(module.weight, Tensor):
            width = module.weight.shape[-1]
        elif isinstance(module, nn.BatchNorm2d):
            planes[module.num_features, 2] = None
        elif isinstance(module, nn.GroupNorm):
            planes[module.num_channels, 2] = None
        if width is not None:
            vectors[(7, width)] = None
            vectors[(2, 5, width)] = None
    for channels, axes in list(planes)[:3]:
        for side in _first_of(SIDES, LONGEST if axes < 3 else 16):
            images[(3, channels, *[side] * axes)] = None
    return list(tables)[:2], [*images, *list(vectors)[:12]]
