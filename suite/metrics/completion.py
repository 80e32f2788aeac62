"""The unobserved entries of a matrix completion (Lyu et al. 2024, section 3.3.3).

The kernel phase ends at the completion of least Frobenius norm: entries neither observed nor
mirrored by an observed one are 0. The rich phase ends at that of least nuclear norm, among
symmetric matrices::

    min |W|_*  with W_ij = W_ji = X_ij for observed (i, j)

which Douglas-Rachford splitting finds: alternately insert the observed entries and shrink the
eigenvalues.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.models.matrix_factors import MatrixFactors
from suite.ranges import MAGNITUDE
from suite.tasks.matrix_completion import MatrixCompletion

ROUNDING = torch.finfo(torch.float32).eps / 2
"""Relative error of a number in single precision."""


def observed(pairs: Tensor, values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return where a matrix is known, mirrored, and what it is there (0 elsewhere).

    Args:
        pairs: (n, 2) indices.
        values: (n,).
        size: d, of the (d, d) matrices that are returned.
    """
    mask = torch.zeros(size, size, dtype=torch.bool, device=pairs.device)
    known = torch.zeros(size, size, dtype=torch.float64, device=pairs.device)
    for i, j in (pairs.T, pairs.T.flip(0)):
        mask[i, j], known[i, j] = True, values.double()
    return mask, known


def least_nuclear_norm(
    mask: Tensor, known: Tensor, *, tolerance: float = 1e-12, most: int = 20_000
) -> Tensor:
    """Return the symmetric matrix of least nuclear norm with the known entries.

    Args:
        mask: (d, d) booleans, symmetric.
        known: (d, d), symmetric, double precision; read where `mask` is true.
        tolerance: on the change of the unknown entries in a step, relative to the norm of the
            known ones. Those are met to the precision of data in float32: a matrix of low rank
            cannot meet their rounding errors.
        most: steps.
    """
    scale = torch.where(mask, known, 0.0).norm()
    shrink = scale / 10  # of the order of the eigenvalues; any value ends at the same place
    z = torch.where(mask, known, 0.0)
    for _ in range(most):
        fitted = torch.where(mask, known, z)
        values, vectors = torch.linalg.eigh(2 * fitted - z)
        shrunk = values.sign() * (values.abs() - shrink).clamp_min(0)
        step = (vectors * shrunk) @ vectors.T - fitted
        z = z + (step + step.T) / 2
        misfit, change = torch.where(mask, step, 0.0).norm(), torch.where(mask, 0.0, step).norm()
        if change <= tolerance * scale and misfit <= ROUNDING * scale:
            break
    return torch.where(mask, known, z)


@lru_cache(maxsize=64)
def _completion(pairs: bytes, values: bytes, size: int) -> Tensor:
    """Return the completion of least nuclear norm, from the arrays of what is known."""
    known = torch.from_numpy(np.frombuffer(values).copy())
    places = torch.from_numpy(np.frombuffer(pairs, np.int64).copy()).view(-1, 2)
    return least_nuclear_norm(*observed(places, known, size))


@metric("unseen_entry", "1", "parameters", "model", "task", "splits", range=MAGNITUDE)
def unseen_entry(seen: Observation) -> dict[str, Tensor]:
    """Largest absolute value of an entry that is neither observed nor mirrors an observed one."""
    if not isinstance(seen.task, MatrixCompletion) or not isinstance(seen.model, MatrixFactors):
        return {}
    matrix = seen.model.matrix()
    mask, _ = observed(*seen.splits["train"], len(matrix))
    return {"": matrix[~mask].abs().max()} if not bool(mask.all()) else {}


@metric("nuclear_misfit", "1", "parameters", "model", "task", "splits", range=MAGNITUDE)
def nuclear_misfit(seen: Observation) -> dict[str, Tensor]:
    """Relative Frobenius distance from the completion of least nuclear norm.

    The completion is worked out once per problem, which the arms of a seed share.
    """
    task, model = seen.task, seen.model
    if not isinstance(task, MatrixCompletion) or not isinstance(model, MatrixFactors):
        return {}
    matrix = model.matrix().double()
    pairs, values = (tensor.cpu() for tensor in seen.splits["train"])
    problem = (pairs.long().numpy().tobytes(), values.double().numpy().tobytes())
    best = _completion(*problem, len(matrix)).to(matrix.device)
    return {"": (matrix - best).norm() / best.norm().clamp_min(torch.finfo(best.dtype).tiny)}
