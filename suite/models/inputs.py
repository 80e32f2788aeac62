"""The kinds of inputs of tasks; a model declares which of them it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Floats:
    """Arrays of floats: vectors, images, states of an environment.

    Attributes:
        shape: of one input, without the batch axis.
    """

    words: ClassVar[str] = (
        "arrays of floats: 'mlp'; 'cnn', 'resnet' or 'vit' for images, 'minatar_cnn' for boards; "
        "'cnn_1d' for signals"
    )
    dtype: ClassVar[torch.dtype] = torch.float32
    distinct: ClassVar[int] = 0
    shape: tuple[int, ...]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return `n` inputs from N(0, 1), (n, *shape)."""
        return torch.randn(n, *self.shape, generator=generator)


@dataclass(frozen=True)
class TaughtFloats(Floats):
    """Vectors whose targets are those of a teacher with one direction.

    Attributes:
        direction: that direction, (shape[0],), once the seeds of a run are known; None before.
    """

    direction: tuple[float, ...] | None = None


@dataclass(frozen=True)
class _Integers:
    """Two integers below a bound."""

    dtype: ClassVar[torch.dtype] = torch.int64
    shape: ClassVar[tuple[int, ...]] = (2,)
    below: int

    @property
    def distinct(self) -> int:
        """The number of inputs that there are."""
        return self.below**2

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return `n` inputs, each as likely as the others, (n, 2)."""
        return torch.randint(0, self.below, (n, 2), generator=generator)


@dataclass(frozen=True)
class IntegerPairs(_Integers):
    """Pairs of integers, the operands of arithmetic modulo `below`."""

    words: ClassVar[str] = "pairs of integers: 'transformer' or 'three_token_transformer'"


@dataclass(frozen=True)
class MatrixEntries(_Integers):
    """Row and column of the entries of a square matrix with `below` rows."""

    words: ClassVar[str] = "entries of a matrix: 'matrix_factors'"


@dataclass(frozen=True)
class Frames:
    """Stacked frames of bytes.

    Attributes:
        shape: frames, height, width.
    """

    words: ClassVar[str] = "frames of bytes: 'nature_cnn' or 'impala_cnn'"
    dtype: ClassVar[torch.dtype] = torch.uint8
    distinct: ClassVar[int] = 0
    shape: tuple[int, ...]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Return `n` inputs of random bytes, (n, *shape)."""
        return torch.randint(0, 256, (n, *self.shape), generator=generator, dtype=torch.uint8)


Inputs = Floats | IntegerPairs | MatrixEntries | Frames
"""Any of them; `words` names the kind and models that take it."""
