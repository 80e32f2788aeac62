"""Four ranks of a matrix by its singular values s_1 >= s_2 >= ...

- stable rank ``sum(s_i^2) / s_1^2`` (Rudelson and Vershynin 2007);
- effective rank ``exp(entropy of s / sum(s))`` (Roy and Vetterli 2007);
- numerical rank ``#{s_i > 0.01 s_1}``, the feature rank of Lyle et al. 2024 (experiment N9);
- srank, the least k with ``sum_(i <= k) s_i >= 0.99 sum(s)`` (Kumar et al. 2021; some call this one
  the stable rank).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.ranges import SIZE


def singular_values(matrix: Tensor) -> Tensor:
    """Return the singular values of (n, ...) flattened to (n, d), descending."""
    values: Tensor = torch.linalg.svdvals(matrix.flatten(1).float())
    return values


def stable_rank(s: Tensor) -> Tensor:
    """Return ``sum(s^2) / s_1^2``; 0 for the zero matrix."""
    return s.square().sum() / s[0].square().clamp_min(torch.finfo(s.dtype).tiny)


def effective_rank(s: Tensor) -> Tensor:
    """Return ``exp(-sum(p log p))`` with ``p = s / sum(s)``; 1 for the zero matrix."""
    p = s / s.sum().clamp_min(torch.finfo(s.dtype).tiny)
    entropy: Tensor = torch.special.entr(p).sum()
    return entropy.exp()


def numerical_rank(s: Tensor, threshold: float = 0.01) -> Tensor:
    """Return the number of singular values above `threshold` times the largest."""
    return (s > threshold * s[0]).float().sum()


def srank(s: Tensor, share: float = 0.99) -> Tensor:
    """Return the least number of singular values that make up a share of their sum.

    1 for the zero matrix.
    """
    wanted = share * s.sum()
    return (s.cumsum(0) < wanted).float().sum() + 1


@metric("feature_stable_rank", "1", "features", range=SIZE)
def feature_stable_rank(seen: Observation) -> dict[str, Tensor]:
    """Stable rank of each layer's features on the probe."""
    return {layer: stable_rank(singular_values(f)) for layer, f in seen.features.items()}


@metric("feature_effective_rank", "1", "features", range=SIZE)
def feature_effective_rank(seen: Observation) -> dict[str, Tensor]:
    """Effective rank of each layer's features on the probe."""
    return {layer: effective_rank(singular_values(f)) for layer, f in seen.features.items()}


@metric("feature_rank", "1", "features", range=SIZE)
def feature_rank(seen: Observation) -> dict[str, Tensor]:
    """Numerical rank of each layer's features on the probe."""
    return {layer: numerical_rank(singular_values(f)) for layer, f in seen.features.items()}


@metric("feature_srank", "1", "features", range=SIZE)
def feature_srank(seen: Observation) -> dict[str, Tensor]:
    """Srank of each layer's features on the probe."""
    return {layer: srank(singular_values(f)) for layer, f in seen.features.items()}


def _of_attention(seen: Observation, rank: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    outputs = {name: value for name, value in seen.taps.items() if "attention" in name}
    return {name: rank(singular_values(value)) for name, value in outputs.items()}


@metric("attention_rank", "1", "taps", range=SIZE)
def attention_rank(seen: Observation) -> dict[str, Tensor]:
    """Numerical rank of the attention outputs on the probe (Lyle et al. 2025, Fig. 8)."""
    return _of_attention(seen, numerical_rank)


@metric("attention_rank_10", "1", "taps", range=SIZE)
def attention_rank_10(seen: Observation) -> dict[str, Tensor]:
    """Numerical rank of the attention outputs on the probe, by values above 10% of the largest."""
    return _of_attention(seen, partial(numerical_rank, threshold=0.1))


@metric("attention_effective_rank", "1", "taps", range=SIZE)
def attention_effective_rank(seen: Observation) -> dict[str, Tensor]:
    """Effective rank of the attention outputs on the probe."""
    return _of_attention(seen, effective_rank)
