"""Dormant and linearised units, beside the dead ones of `suite.metrics.dead_units`."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import SHARE

THRESHOLDS = (0.025, 0.1)
"""Sokar et al. 2023 use 0.1 in their figures and 0.025 for DQN."""


def dormant_share(features: Tensor, tau: float) -> Tensor:
    """Return the share of units whose mean activity is at most `tau` times the layer's mean.

    The score of Sokar et al. 2023, Definition 3.1: ``E|h_i| / mean_k E|h_k|``. A layer without any
    activity is dormant altogether.

    Args:
        features: (inputs, units, ...); of a convolution a unit is a channel.
        tau: threshold.
    """
    activity = features.abs().transpose(0, 1).flatten(1).mean(1)
    mean = activity.mean()
    score = activity / mean.clamp_min(torch.finfo(activity.dtype).tiny)
    return (score <= tau).float().mean()


def linearised_share(features: Tensor) -> Tensor:
    """Return the share of units that are zero on all inputs or positive on all.

    Of a ReLU such a unit is a constant or a linear map (Lyle et al. 2024, Fig. 8). A channel of a
    convolution is one unit: it counts where it is so at every position.
    """
    units = features.transpose(0, 1).flatten(1)
    return ((units <= 0).all(1) | (units > 0).all(1)).float().mean()


@metric("dormant_units", "share", "features", range=SHARE)
def dormant_units(seen: Observation) -> dict[str, Tensor]:
    """Share of dormant units of each layer; layers are called such as ``1<0.025``."""
    return {
        f"{layer}<{tau:g}": dormant_share(features, tau)
        for layer, features in seen.features.items()
        for tau in THRESHOLDS
    }


@metric("linearised_units", "share", "features", range=SHARE)
def linearised_units(seen: Observation) -> dict[str, Tensor]:
    """Share of linearised units of each layer."""
    return {layer: linearised_share(features) for layer, features in seen.features.items()}
