"""How well the tangent kernel fits the targets (Kumar et al. 2024, section 3).

::

    plain       y^T K y / (|K|_F |y|^2)
    one_sided   the same, with y minus its mean and K minus the means of its columns

for the current kernel K on the test points. The paper defines the first; its figures show the
second, following the authors' code (called "CKA" in both places).
"""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.metrics.kernel import has_kernel, kernel_on_test
from suite.norms import norm
from suite.ranges import COSINE


def alignment(kernel: Tensor, targets: Tensor) -> Tensor:
    """Return ``y^T K y / (|K|_F |y|^2)`` for a kernel (n, n) and targets (n,); 0 for zeros."""
    kernel, targets = kernel.double(), targets.double()
    least = torch.finfo(kernel.dtype).tiny
    size = norm(kernel) * targets.square().sum()
    found: Tensor = targets @ kernel @ targets / size.clamp_min(least)
    return found


def one_sided_alignment(kernel: Tensor, targets: Tensor) -> Tensor:
    """Return the alignment of targets less their mean and a kernel less its columns' means."""
    kernel, targets = kernel.double(), targets.double()
    return alignment(kernel - kernel.mean(0), targets - targets.mean())


@metric("ntk_alignment", "1", "parameters", "model", "splits", range=COSINE)
def ntk_alignment(seen: Observation) -> dict[str, Tensor]:
    """Alignment of the tangent kernel with the test targets, plain and with one-sided centring."""
    kernel = kernel_on_test(seen, seen.parameters) if has_kernel(seen) else None
    if kernel is None:
        return {}
    targets = seen.splits["test"][1][: len(kernel)]
    return {
        "one_sided": one_sided_alignment(kernel, targets),
        "plain": alignment(kernel, targets),
    }
