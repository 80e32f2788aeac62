"""Change of the features over an interval, on a fixed probe set (Lyle et al. 2025, section 3).

For features f of n probe inputs, a matrix (n, d) per layer:

- covariance change ``|C_then - C_now|_F`` with ``C = f f^T / |f|_F^2``, an (n, n) matrix;
- activation-pattern change: the share of entries of ``f > 0`` that differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.norms import norm
from suite.ranges import SHARE, Range

PART = 8192
"""Columns that are taken in double precision at once."""


def normalised_gram(features: Tensor) -> Tensor:
    """Return ``f f^T / |f|_F^2`` for features (n, ...), flattened to (n, d).

    In double precision: what is made of it is a small difference of two.
    """
    gram = features.new_zeros(len(features), len(features), dtype=torch.float64)
    for part in torch.split(features.flatten(1), PART, 1):
        part = part.double()
        gram.addmm_(part, part.T)
    return gram / gram.diagonal().sum().clamp_min(torch.finfo(gram.dtype).tiny)


def covariance_change(then: Tensor, now: Tensor) -> Tensor:
    """Return the Frobenius norm of the change of the normalised Gram matrix, in [0, 2]."""
    return norm(normalised_gram(then) - normalised_gram(now))


def pattern_change(then: Tensor, now: Tensor) -> Tensor:
    """Return the share of (input, unit) pairs whose sign pattern ``f > 0`` changed, in [0, 1]."""
    return ((then > 0) != (now > 0)).float().mean()


@metric("feature_covariance_change", "1", "features", "features_then", range=Range(0, 2))
def feature_covariance_change(seen: Observation) -> dict[str, Tensor]:
    """Change of each layer's feature covariance in `interval` updates."""
    return {k: covariance_change(then, seen.features[k]) for k, then in seen.features_then.items()}


@metric("activation_pattern_change", "share", "features", "features_then", range=SHARE)
def activation_pattern_change(seen: Observation) -> dict[str, Tensor]:
    """Change of each layer's activation pattern in `interval` updates, and the mean over layers."""
    layers = {k: pattern_change(then, seen.features[k]) for k, then in seen.features_then.items()}
    return {**layers, "mean": torch.stack(list(layers.values())).mean()} if layers else {}
