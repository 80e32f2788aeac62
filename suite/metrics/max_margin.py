"""Similarity of a diagonal network's effective weight and the classifier of largest L2 margin.

That classifier, the solution of ``min |w|^2 / 2 with y_i w . x_i >= 1``, is the end of the kernel
phase (Lyu et al. 2024, section 3.2.3). Its dual, ``min_(a >= 0) a^T Q a / 2 - sum a`` with ``Q_ij =
y_i y_j x_i . x_j``, is a least-squares problem with ``a >= 0``, which an active-set method solves
exactly: with ``Q = C C^T`` it is ``min |C^T a - C^-1 1|^2``.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.metrics.start_cosine import cosine
from suite.models.diagonal import DiagonalNetwork
from suite.ranges import COSINE
from suite.tasks.base import SupervisedTask
from suite.tasks.sparse_sign import SparseSign

_known: WeakKeyDictionary[SupervisedTask, Tensor] = WeakKeyDictionary()


def max_margin(inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the weights of the largest L2 margin, without offset, scaled so that it is 1.

    Args:
        inputs: (n, d), n at most d, in general position.
        labels: (n,) of -1 and 1.

    Returns:
        (d,), in double precision on the CPU.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import nnls

    signed = inputs.cpu() * labels.cpu().unsqueeze(1)
    gram = (signed @ signed.T).double().numpy()
    gram += 1e-12 * np.trace(gram) * np.eye(len(gram))  # examples may occur twice
    factor: NDArray[np.float64] = cholesky(gram, lower=True)
    dual, _ = nnls(factor.T, solve_triangular(factor, np.ones(len(gram)), lower=True))
    weights: Tensor = torch.from_numpy(dual).to(signed.dtype) @ signed
    return weights.double()


@metric("max_margin_cosine", "1", "parameters", "model", "task", "splits", range=COSINE)
def max_margin_cosine(seen: Observation) -> dict[str, Tensor]:
    """Cosine of ``u^2 - v^2`` and the classifier of largest L2 margin, computed once per run."""
    task, model = seen.task, seen.model
    if not isinstance(task, SparseSign) or not isinstance(model, DiagonalNetwork):
        return {}
    inputs, labels = seen.splits["train"]
    if len(inputs) > inputs.shape[1]:
        return {}
    if task not in _known:
        _known[task] = max_margin(inputs, labels).to(inputs.device)
    return {"": cosine(model.weight(), _known[task])}
