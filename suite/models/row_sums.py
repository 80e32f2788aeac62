"""Sums of rows of a table: its product with several one-hot codes at once."""

from __future__ import annotations

from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional


def sum_of_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Return (n, width) sums of the rows of a table (m, width) that `rows` (n, k) names.

    PyTorch's fused sum has no derivative in forward mode; there rows are gathered and added.
    """
    tangent = forward_ad.unpack_dual(table).tangent
    if tangent is not None:
        return table[rows].sum(1)
    return functional.embedding_bag(rows, table, mode="sum")
