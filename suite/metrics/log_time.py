"""The logarithm of the gradient-flow time that descent at a changing rate has covered."""

from __future__ import annotations

from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import ANY
from suite.tasks.modular_log_loss import ModularLogLoss


@metric("log_time", "ln(rate * step)", "parameters", "task", range=ANY)
def log_time(seen: Observation) -> dict[str, Tensor]:
    """Logarithm of ``1 + sum of rates on the loss``, the time; for a constant base rate."""
    if not isinstance(seen.task, ModularLogLoss):
        return {}
    return {"": seen.task.log_time(next(iter(seen.rates.values())))}
