"""The test loss of regression with the initial tangent kernel (Kumar et al. 2024, Fig. 1).

::

    f(x) = k_0(x, X) K_0^{-1} y                           layer "test", the paper's line
    f(x) = f_0(x) + k_0(x, X) K_0^{-1} (y - f_0(X))       layer "limit"

with X, y the training set and f_0 the initial network. The second is the limit of the linearised
network trained on squared error. For a centred network f_0 is 0 and both are the same. The value is
a constant of the run, written with every measurement.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from suite.losses import SQUARED
from suite.metrics.base import Observation, metric
from suite.metrics.kernel import has_kernel
from suite.models.closed_forms import tangent_kernel
from suite.ranges import MAGNITUDE

RIDGE = 1e-9
"""Of the mean diagonal entry: what keeps a kernel of few weights and many points invertible."""


def regression(kernel: Tensor, cross: Tensor, targets: Tensor) -> Tensor:
    """Return ``cross K^{-1} y`` in double precision.

    Args:
        kernel: K, (n, n), of the training points.
        cross: (m, n), of other points with them.
        targets: (n,) or (n, columns).
    """
    kernel, cross, targets = kernel.double(), cross.double(), targets.double()
    ridge = RIDGE * kernel.diagonal().mean() * torch.eye(len(kernel)).to(kernel)
    columns = targets if targets.ndim == 2 else targets.unsqueeze(1)
    factor, _ = torch.linalg.cholesky_ex(kernel + ridge)
    return (cross @ torch.cholesky_solve(columns, factor)).view(-1, *targets.shape[1:])


@metric("kernel_regression", "1", "parameters", "initial", "model", "splits", range=MAGNITUDE)
def kernel_regression(seen: Observation) -> dict[str, Tensor]:
    """Mean squared test error of regression with the network's initial tangent kernel."""
    if not has_kernel(seen) or "train" not in seen.splits or seen.criterion != SQUARED:
        return {}
    assert seen.model is not None
    (x, y), (x_test, y_test) = seen.splits["train"], seen.splits["test"]
    first = {name: p.double() for name, p in seen.initial.items()}
    kernel = tangent_kernel(seen.model, first, x.double())
    cross = tangent_kernel(seen.model, first, x_test.double(), x.double())
    if kernel is None or cross is None:
        return {}
    start, start_test = (
        functional_call(seen.model, dict(seen.initial), (inputs,)).view(-1)
        for inputs in (x, x_test)
    )
    found = regression(kernel, cross, torch.stack([y, y - start], dim=1))
    return {
        "test": (found[:, 0] - y_test).square().mean(),
        "limit": (start_test + found[:, 1] - y_test).square().mean(),
    }
