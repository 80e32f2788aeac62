"""Classification accuracy and cross-entropy of each split."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric


def top1(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is the target.

    Args:
        logits: (n, classes).
        targets: (n,) integers.
    """
    return (logits.argmax(-1) == targets).float().mean()


@metric("accuracy", "share", "predictions")
def accuracy(seen: Observation) -> dict[str, Tensor]:
    """Top-1 accuracy, by split."""
    return {split: top1(*pair) for split, pair in seen.predictions.items()}


@metric("loss", "nat", "predictions")
def loss(seen: Observation) -> dict[str, Tensor]:
    """Mean cross-entropy, by split."""
    return {
        split: torch.nn.functional.cross_entropy(logits, targets)
        for split, (logits, targets) in seen.predictions.items()
    }
