"""Norms of parameters and of updates, and the distance from initialisation, per tensor."""

from __future__ import annotations

from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.norms import difference, norms, total_norm
from suite.ranges import MAGNITUDE, SIZE


@metric("parameter_norm", "1", "parameters", range=SIZE)
def parameter_norm(seen: Observation) -> dict[str, Tensor]:
    """Frobenius norm of every tensor, and of all matrices together under the layer "all"."""
    sizes = norms(seen.parameters)
    return {**sizes, "all": total_norm([sizes[name] for name in seen.matrices()])}


@metric("update_norm", "1", "update", range=MAGNITUDE)
def update_norm(seen: Observation) -> dict[str, Tensor]:
    """Frobenius norm of the latest change of every tensor, and of all matrices together."""
    sizes = norms(seen.update)
    return {**sizes, "all": total_norm([sizes[n] for n in seen.matrices()])} if sizes else {}


@metric("distance_from_init", "1", "parameters", "initial", range=SIZE)
def distance_from_init(seen: Observation) -> dict[str, Tensor]:
    """Frobenius norm of (tensor - its initial value), and of all matrices together."""
    sizes = norms({n: difference(p, seen.initial[n]) for n, p in seen.parameters.items()})
    return {**sizes, "all": total_norm([sizes[name] for name in seen.matrices()])}
