"""Norms of tensors, exact to about 5e-7 in single precision, as fast as torch's.

torch's norm and dot product of a float32 tensor add up elements in a few running sums. These become
much larger than the added values, so the error grows with the size of the tensor: 0.1 % of the norm
at 10^7 elements on a CPU, more if all elements have the same size. Here a tensor is read as rows of
at most `ROW` elements, whose norms are small sums, and the squares of these are added pairwise::

    |w|^2 = sum over rows of |row|^2

All sizes of weights, updates and distances in the suite are computed here. 16-bit tensors are added
up in 32 bits. Nothing is differentiable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Per = Literal["tensor", "row"]

ROW = 512
"""Most elements of a row: 64 additions at most to each of the 8 or 16 sums of a vector register."""


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """Return the type in which numbers of a type are added up: 32 bits or more.

    >>> wide_type(torch.bfloat16), wide_type(torch.float64), wide_type(torch.int64)
    (torch.float32, torch.float64, torch.int64)
    """
    return torch.float32 if dtype.is_floating_point and dtype.itemsize < 4 else dtype


def wide(tensor: Tensor) -> Tensor:
    """Return a tensor in 32 bits or more, itself if it has them."""
    return tensor.to(wide_type(tensor.dtype))


def dense(tensor: Tensor) -> bool:
    """Return whether the elements fill one block of memory, in whatever order of dimensions."""
    expected = 1
    for size, stride in sorted(zip(tensor.shape, tensor.stride(), strict=True), key=lambda s: s[1]):
        if size > 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _flat(tensor: Tensor) -> Tensor:
    """Return the elements in one dimension, a view in memory's order where the tensor is dense.

    Of another tensor it is a copy: steps between the elements would make torch add one by one.
    """
    tensor = tensor.detach()
    if not dense(tensor):
        return tensor.reshape(-1).contiguous()
    return tensor.as_strided((tensor.numel(),), (1,))


@lru_cache(maxsize=4096)
def _width(count: int) -> int:
    """Return how long to make the rows of `count` elements, so that none are left over if it can.

    >>> _width(117 * 128), _width(3136 * 512), _width(300), _width(1009)
    (468, 512, 300, 512)
    """
    if count <= ROW:
        return max(count, 1)
    return next((w for w in range(ROW, ROW // 4, -1) if count % w == 0), ROW)


class Flats:
    """Flat views of tensors, from which their norms are read again and again.

    A dense tensor is not copied, so that the norms are those of its values at each call; of others
    the values now are kept.

    Args:
        tensors: on one device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = [_flat(t) for t in tensors]
        self._on_gpu = bool(tensors) and tensors[0].is_cuda
        if self._on_gpu or not tensors:
            return
        widths = [_width(f.numel()) for f in self._tensors]
        most = max(-(-f.numel() // w) for f, w in zip(self._tensors, widths, strict=True))
        kinds = [wide_type(f.dtype) for f in self._tensors]
        self._dtype = kinds[0] if len(set(kinds)) == 1 else torch.float64
        # A line of row norms per tensor, filled up with zeros.
        self._lines = torch.zeros(
            len(tensors), most, dtype=self._dtype, device=self._tensors[0].device
        )
        self._parts: list[tuple[Tensor, Tensor]] = []  # (rows, width), and where their norms go
        for flat, width, line in zip(self._tensors, widths, self._lines, strict=True):
            rows = flat.numel() // width
            self._parts.append((flat[: rows * width].view(rows, width), line[:rows]))
            if rest := flat.numel() - rows * width:
                self._parts.append((flat[-rest:].view(1, rest), line[rows : rows + 1]))

    def squared(self) -> Tensor:
        """Return the squared norm of each tensor, (tensors,), in 32 bits or more."""
        if not self._tensors:
            return torch.empty(0)
        if self._on_gpu:  # where many blocks of threads add up: as exact, and all tensors at once
            wanted = {wide_type(f.dtype) for f in self._tensors}
            dtype = wanted.pop() if len(wanted) == 1 else torch.float64
            return torch.stack(torch._foreach_norm(self._tensors, 2, dtype)).square_()
        for rows, norms in self._parts:
            torch.linalg.vector_norm(rows, 2, 1, dtype=self._dtype, out=norms)
        return self._lines.square().sum(1)


@torch.no_grad()
def squared_norms(
    tensors: Sequence[Tensor],
    per: Per = "tensor",
    flats: Flats | None = None,
    axes: Sequence[int] | None = None,
) -> list[Tensor]:
    """Return the squared Frobenius norm of each tensor, or of each of its rows.

    Args:
        tensors: any shapes; a row is an entry along the first dimension (an output unit).
        per: ``tensor`` gives scalars; ``row`` gives shape (rows, 1, ...), ready to broadcast.
        flats: `Flats` of the tensors, if available.
        axes: of each tensor's rows; the first by default.

    >>> squared_norms([torch.tensor([[3.0, 4.0], [1.0, 0.0]])])
    [tensor(26.)]
    """
    if per == "row":
        rows = zip(tensors, axes or [0] * len(tensors), strict=True)
        # Sums are made pairwise; the norm of a row would not be.
        return [
            wide(t).square().sum([d for d in range(t.ndim) if d != a], keepdim=True)
            for t, a in rows
        ]
    return list((Flats(tensors) if flats is None else flats).squared().unbind())


def norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the Frobenius norm of each tensor, by name, as scalars.

    >>> norms({"w": torch.tensor([[3.0, 4.0]])})
    {'w': tensor(5.)}
    """
    return dict(zip(tensors, Flats(list(tensors.values())).squared().sqrt().unbind(), strict=True))


def norm(tensor: Tensor) -> Tensor:
    """Return the Frobenius norm of a tensor, a scalar."""
    return Flats([tensor]).squared().sqrt()[0]


def total_norm(parts: Sequence[Tensor]) -> Tensor:
    """Return the norm of the concatenation of tensors whose norms are given, in 64 bits."""
    return torch.stack(list(parts)).double().square().sum().sqrt()


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Return a - b, in 32 bits or more, for norms of what changed."""
    return wide(a) - wide(b)


@torch.no_grad()
def mean_magnitudes(tensors: Sequence[Tensor]) -> Tensor:
    """Return the mean |w| of each tensor, (tensors,), on their device, in 32 bits or more.

    >>> mean_magnitudes([torch.tensor([[1.0, -3.0]]), torch.tensor([0.5])])
    tensor([2.0000, 0.5000])
    """
    return torch.stack([wide(t).abs().mean() for t in tensors])


@torch.no_grad()
def clip_norms_(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale the gradients of each run in place, as `clip_norm_` does those of one.

    Args:
        gradients: of all runs, (runs, ...) each.
        limit: largest norm of a run's.
    """
    squared = [g.flatten(1).square().sum(1) for g in gradients]
    factor = (limit / (torch.stack(squared).sum(0).sqrt() + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))


@torch.no_grad()
def clip_norm_(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale gradients in place so that their joint norm is at most `limit`.

    Args:
        gradients: on one device; no value visits the host.
        limit: largest norm, as for ``torch.nn.utils.clip_grad_norm_``.
    """
    joint = Flats(gradients).squared().sum().sqrt()
    factor = (limit / (joint + 1e-6)).clamp_(max=1.0)
    torch._foreach_mul_(list(gradients), factor)
