"""Shares of examples that are right to within thresholds, for regression on vectors.

An accuracy of a regression is one threshold's view of the errors: it can jump late where the loss
falls steadily (Kumar et al. 2024, Fig. 17).
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
