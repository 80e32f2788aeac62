"""Hermite polynomials, orthogonal under the standard normal distribution.

::

    H_0 = 1,  H_1 = z,  H_k = z H_{k-1} - (k - 1) H_{k-2}          H_k' = k H_{k-1}

The mean of ``H_j H_k`` over z ~ N(0, 1) is k! for j = k and 0 else.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hermite(degree: int, z: Tensor) -> Tensor:
    """Return ``H_degree(z)``, shaped as given.

    >>> hermite(3, torch.tensor([1.0, 2.0, 3.0])).tolist()
    [-2.0, 2.0, 18.0]
    """
    before, now = torch.zeros_like(z), torch.ones_like(z)
    for k in range(degree):
        before, now = now, z * now - k * before
    return now
