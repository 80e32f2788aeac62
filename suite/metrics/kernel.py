"""Shared code of metrics of the tangent kernel: which networks have them, on which points."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from suite.losses import LOGISTIC, SQUARED
from suite.metrics.base import Observation
from suite.models.closed_forms import tangent_kernel

MOST_POINTS = 1000
"""Points that a kernel is taken on at most, as many as the test set of Kumar et al. 2024."""


def has_kernel(seen: Observation) -> bool:
    """Return whether a kernel can be taken: real inputs and one output for each of them."""
    if seen.model is None or "test" not in seen.splits or seen.criterion not in (SQUARED, LOGISTIC):
        return False
    inputs, targets = seen.splits["test"]
    return inputs.is_floating_point() and targets.is_floating_point() and targets.ndim == 1


def kernel_on_test(seen: Observation, parameters: Mapping[str, Tensor]) -> Tensor | None:
    """Return the kernel on the test inputs (n, n) at some parameters; None if it is too large."""
    assert seen.model is not None
    return tangent_kernel(seen.model, parameters, seen.splits["test"][0][:MOST_POINTS])
