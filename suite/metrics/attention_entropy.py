"""How spread out attention is: the entropy of its weights (Lyle et al. 2025, section 4.2).

The paper explains why norm layers keep a projected network from grokking by attention of low
entropy: its inputs are much larger than usual, and a network with fixed norms cannot shrink them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import SIZE


def entropy(weights: Tensor) -> Tensor:
    """Return the mean over all but the last axis of ``-sum(w log w)``, in nats.

    Args:
        weights: (..., places), not negative, with sums of 1 along the last axis.
    """
    mean: Tensor = torch.special.entr(weights).sum(-1).mean()
    return mean


@metric("attention_entropy", "nat", "model", "task", range=SIZE)
def attention_entropy(seen: Observation) -> dict[str, Tensor]:
    """Mean entropy of the attention weights over heads and probe inputs; log 5 at most.

    Of networks with a method ``attention(inputs)`` that returns the weights. By head, as
    ``head_0``, and the mean over heads, ``mean``.
    """
    if seen.model is None or seen.task is None:
        return {}
    of = [module for module in seen.model.modules() if _attends(module)]
    if not of:
        return {}
    with torch.no_grad():
        weights = of[0].attention(seen.task.probe)  # type: ignore[operator]
    heads = {f"head_{i}": entropy(weights[:, i]) for i in range(weights.shape[1])}
    return {**heads, "mean": torch.stack(list(heads.values())).mean()}


def _attends(module: object) -> bool:
    return callable(getattr(module, "attention", None))
