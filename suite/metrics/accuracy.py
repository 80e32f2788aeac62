"""Accuracy and loss of each split, by the criterion of the task."""

from __future__ import annotations

from torch import Tensor

from suite.losses import CROSS_ENTROPY
from suite.metrics.base import Observation, metric
from suite.ranges import MAGNITUDE, SHARE


def top1(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the share of rows whose largest logit is the target.

    Args:
        logits: (n, classes).
        targets: (n,) integers.
    """
    return CROSS_ENTROPY.correct(logits, targets)


@metric("accuracy", "share", "predictions", range=SHARE)
def accuracy(seen: Observation) -> dict[str, Tensor]:
    """Share of correct examples, by split."""
    return {split: seen.criterion.correct(*pair) for split, pair in seen.predictions.items()}


@metric("loss", "nat", "predictions", range=MAGNITUDE)
def loss(seen: Observation) -> dict[str, Tensor]:
    """Mean loss, by split; in nats for a cross-entropy."""
    return {split: seen.criterion.loss(*pair) for split, pair in seen.predictions.items()}
