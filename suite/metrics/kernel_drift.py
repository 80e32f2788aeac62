"""Distance of the tangent kernel from the initial one: ``|K_t - K_0|_F / |K_0|_F``.

It is near 0 while training is lazy and of order 1 when features are learnt (Kumar et al. 2024).
"""

from __future__ import annotations

from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.metrics.kernel import has_kernel, kernel_on_test
from suite.norms import norm
from suite.ranges import SIZE


def relative_change(now: Tensor, then: Tensor) -> Tensor:
    """Return ``|now - then|_F / |then|_F`` of two matrices."""
    return norm(now - then) / norm(then)


@metric("kernel_drift", "1", "parameters", "initial", "model", "splits", range=SIZE)
def kernel_drift(seen: Observation) -> dict[str, Tensor]:
    """Relative Frobenius change of the tangent kernel on the test points since the start."""
    now = kernel_on_test(seen, seen.parameters) if has_kernel(seen) else None
    then = None if now is None else kernel_on_test(seen, seen.initial)
    return {} if now is None or then is None else {"test": relative_change(now, then)}
