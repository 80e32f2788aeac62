"""How far parameters have turned away from their initial direction."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import COSINE


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine between two tensors of one shape, 0 where either is 0."""
    a, b = a.flatten().double(), b.flatten().double()
    scale = a.norm() * b.norm()
    found: Tensor = (a @ b) / scale.clamp_min(torch.finfo(scale.dtype).tiny)
    return found


@metric("start_cosine", "1", "parameters", "initial", range=COSINE)
def start_cosine(seen: Observation) -> dict[str, Tensor]:
    """Cosine of each tensor and its start, and of all of them together under the layer "all".

    In the kernel phase the parameters shrink and keep their direction (Lyu et al. 2024, Theorem
    3.2). Tensors that start at 0 count in "all" alone.
    """
    moved = {n: p for n, p in seen.parameters.items() if bool(seen.initial[n].any())}
    values = {name: cosine(p, seen.initial[name]) for name, p in moved.items()}
    now = torch.cat([p.flatten() for p in seen.parameters.values()])
    then = torch.cat([seen.initial[name].flatten() for name in seen.parameters])
    return {**values, "all": cosine(now, then)}
