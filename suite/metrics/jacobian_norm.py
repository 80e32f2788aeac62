"""The Jacobian of the outputs in the inputs (Lyle et al. 2024, Fig. 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import MAGNITUDE

EXAMPLES = 64
"""Training examples that the norm is a mean over, the first ones."""


@metric("jacobian_norm", "1", "splits", "model", range=MAGNITUDE)
def jacobian_norm(seen: Observation) -> dict[str, Tensor]:
    """Mean over training examples of the Frobenius norm of ``d f(x) / d x``.

    One backward pass for each output. Nothing where inputs are no floats.
    """
    pair = seen.splits.get("train")
    if seen.model is None or pair is None or not pair[0].is_floating_point():
        return {}
    with torch.enable_grad():
        inputs = pair[0][:EXAMPLES].detach().clone().requires_grad_(True)
        outputs = seen.model(inputs).flatten(1)
        squares = torch.zeros(len(inputs), dtype=inputs.dtype, device=inputs.device)
        for place in range(outputs.shape[1]):
            (found,) = torch.autograd.grad(outputs[:, place].sum(), inputs, retain_graph=True)
            squares += found.detach().flatten(1).square().sum(1)
    return {"": squares.sqrt().mean()}
