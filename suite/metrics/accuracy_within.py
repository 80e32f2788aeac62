"""Shares of examples with an error below a threshold, for regression on vectors.

The accuracy of a regression depends on the threshold: it can jump late although the loss falls
steadily (Kumar et al. 2024, Fig. 17).
"""

from __future__ import annotations

from torch import Tensor

from suite.losses import VectorSquared
from suite.metrics.base import Observation, metric
from suite.ranges import SHARE
from suite.rows import THRESHOLDS, layer_of


@metric("accuracy_within", "share", "predictions", range=SHARE)
def accuracy_within(seen: Observation) -> dict[str, Tensor]:
    """Share of examples whose mean squared error is below a threshold, by split and threshold."""
    if not isinstance(seen.criterion, VectorSquared):
        return {}
    errors = {split: seen.criterion.errors(*pair) for split, pair in seen.predictions.items()}
    return {
        layer_of(split, threshold): (of < threshold).float().mean()
        for split, of in errors.items()
        for threshold in THRESHOLDS
    }
