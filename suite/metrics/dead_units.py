"""Dead units: those that are zero on every probe input (Lyle et al. 2024, experiment N1)."""

from __future__ import annotations

from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import SHARE


def dead_share(features: Tensor) -> Tensor:
    """Return the share of units that are not positive on any input.

    Args:
        features: (inputs, units, ...); of a convolution a unit is a channel, dead when it is
            so at every position.
    """
    return (features <= 0).transpose(0, 1).flatten(1).all(1).float().mean()


@metric("dead_units", "share", "features", range=SHARE)
def dead_units(seen: Observation) -> dict[str, Tensor]:
    """Share of dead units of each layer."""
    return {layer: dead_share(features) for layer, features in seen.features.items()}
