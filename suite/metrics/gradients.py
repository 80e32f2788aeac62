"""The gradient of the training loss: its norm, and how far gradients of examples are orthogonal."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.norms import norm
from suite.ranges import MAGNITUDE, Range

SAMPLE = 256
"""Training examples of the gradient's norm, the first ones of an order drawn at random."""

GROUPS, OF_GROUP = 8, 8
"""Groups of training examples whose mean gradients are compared, and examples of each."""


def gradient(seen: Observation, part: slice) -> Tensor | None:
    """Return the gradient of the mean loss on some training examples, all parameters in one.

    Shape (parameters,); None where a task has no training split or no network is seen.
    """
    if "train" not in seen.splits or seen.model is None:
        return None
    inputs, targets = (tensor[part] for tensor in seen.splits["train"])
    named = dict(seen.model.named_parameters())
    parameters = [named[name] for name in seen.parameters]
    with torch.enable_grad():
        loss = seen.criterion.loss(seen.model(inputs), targets)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
    flat = [
        torch.zeros_like(p).flatten() if g is None else g.flatten()
        for g, p in zip(found, parameters, strict=True)
    ]
    return torch.cat(flat)


def mean_absolute_cosine(rows: Tensor) -> Tensor:
    """Return the mean |cosine| of all pairs of rows, (n, d); 0 where they are orthogonal.

    A row of zeros is orthogonal to all.
    """
    sizes = rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    units = rows / sizes
    n = len(rows)
    total: Tensor = (units @ units.T).abs().triu(1).sum()
    return total / max(1, n * (n - 1) // 2)


@metric("gradient_norm", "nat", "splits", "model", "parameters", range=MAGNITUDE)
def gradient_norm(seen: Observation) -> dict[str, Tensor]:
    """Norm of the gradient of the mean loss on 256 training examples."""
    found = gradient(seen, slice(SAMPLE))
    return {} if found is None else {"": norm(found)}


@metric("gradient_orthogonality", "1", "splits", "model", "parameters", range=Range(0, 1))
def gradient_orthogonality(seen: Observation) -> dict[str, Tensor]:
    """1 - the mean |cosine| between the gradients of eight groups of eight training examples.

    1: what is learnt from some examples does not touch others; 0: all gradients are parallel, as
    those of a network that gives the same outputs for everything.
    """
    rows = []
    for group in range(GROUPS):
        part = slice(group * OF_GROUP, (group + 1) * OF_GROUP)
        if len(seen.splits.get("train", ((), ()))[1]) < part.stop:
            break
        if (found := gradient(seen, part)) is None:
            return {}
        rows.append(found)
    return {"": 1 - mean_absolute_cosine(torch.stack(rows))} if len(rows) > 1 else {}
