"""Norms of parameters and of updates, and the distance from initialisation, per tensor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import MAGNITUDE, SIZE


def total_norm(norms: list[Tensor]) -> Tensor:
    """Return the norm of the concatenation of tensors whose norms are given."""
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def tensor_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the Frobenius norm of each tensor, by name."""
    if not tensors:
        return {}
    norms = torch._foreach_norm(list(tensors.values()))
    return dict(zip(tensors, norms, strict=True))


@metric("parameter_norm", "1", "parameters", range=SIZE)
def parameter_norm(seen: Observation) -> dict[str, Tensor]:
    """Frobenius norm of every tensor, and of all matrices together under the layer "all"."""
    norms = tensor_norms(seen.parameters)
    return {**norms, "all": total_norm([norms[name] for name in seen.matrices()])}


@metric("update_norm", "1", "update", range=MAGNITUDE)
def update_norm(seen: Observation) -> dict[str, Tensor]:
    """Frobenius norm of the latest change of every tensor, and of all matrices together."""
    norms = tensor_norms(seen.update)
    return {**norms, "all": total_norm([norms[n] for n in seen.matrices()])} if norms else {}


@metric("distance_from_init", "1", "parameters", "initial", range=SIZE)
def distance_from_init(seen: Observation) -> dict[str, Tensor]:
    """Frobenius norm of (tensor - its initial value), of all matrices together too."""
    norms = tensor_norms({n: p - seen.initial[n] for n, p in seen.parameters.items()})
    return {**norms, "all": total_norm([norms[name] for name in seen.matrices()])}
