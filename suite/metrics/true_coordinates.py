"""The share of a diagonal network's effective weight on the true coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.models.diagonal import DiagonalNetwork
from suite.ranges import SHARE


@metric("true_coordinates", "share", "parameters", "model", "task", range=SHARE)
def true_coordinates(seen: Observation) -> dict[str, Tensor]:
    """Share of ``|u^2 - v^2|_1`` on the coordinates of a sparse truth (Lyu et al. 2024, 3.2.3)."""
    truth = getattr(seen.task, "direction", None)
    if truth is None or not isinstance(seen.model, DiagonalNetwork) or bool(truth.all()):
        return {}
    sizes = seen.model.weight().abs()
    inside = sizes[truth.to(sizes.device) != 0].sum()
    return {"": inside / sizes.sum().clamp_min(torch.finfo(sizes.dtype).tiny)}
