"""The smallest margin of a classifier, and the same for parameters of norm 1.

::

    q_i = f_iy_i - max_(j != y_i) f_ij          of classes
    q_i = y_i f_i                               of labels -1 and 1
    min_i q_i / |theta|^L                       normalised, for f(c theta) = c^L f(theta)

Late training under a small weight decay moves towards a stationary point of the largest normalised
margin (Lyu et al. 2024, Theorem 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from suite.losses import Criterion, CrossEntropy, Logistic
from suite.metrics.base import Observation, metric
from suite.norms import norms, total_norm
from suite.ranges import ANY


def smallest_margin(criterion: Criterion, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Return the smallest margin, a scalar; None where the criterion knows no margins.

    Args:
        criterion: what is minimised.
        outputs: (n, classes), or (n,) or (n, 1).
        targets: (n,).
    """
    if isinstance(criterion, CrossEntropy):
        index = targets.unsqueeze(-1)
        others = outputs.scatter(-1, index, -torch.inf).amax(-1)
        return (outputs.gather(-1, index).squeeze(-1) - others).min()
    if isinstance(criterion, Logistic):
        return (outputs.view_as(targets) * targets).min()
    return None


def _margins(seen: Observation) -> dict[str, Tensor]:
    found = {k: smallest_margin(seen.criterion, *pair) for k, pair in seen.predictions.items()}
    return {split: margin for split, margin in found.items() if margin is not None}


@metric("minimum_margin", "logit", "predictions", range=ANY)
def minimum_margin(seen: Observation) -> dict[str, Tensor]:
    """Smallest margin of each split; negative if an example is wrong."""
    return _margins(seen)


@metric("normalised_margin", "1", "predictions", "parameters", "model", range=ANY)
def normalised_margin(seen: Observation) -> Mapping[str, Tensor]:
    """Smallest margin over ``|theta|^L``, for networks with a known degree L of homogeneity."""
    degree = getattr(seen.model, "homogeneity", None)
    if degree is None:
        return {}
    norm = total_norm(list(norms(seen.parameters).values()))
    return {split: margin / norm**degree for split, margin in _margins(seen).items()}
