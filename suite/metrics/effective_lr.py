"""The effective learning rate: the size of an update relative to the size of the parameter.

For a scale-invariant tensor the rate that gives the same dynamics at unit norm is ``lr / |W|^2``
for plain gradient steps and ``lr / |W|`` for normalised ones such as Adam's (Lyle et al. 2025,
section 3; 2024, 1.1). The rate that an update actually had is ``|dW| / |W|``.
"""

from __future__ import annotations

from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.norms import norms, total_norm
from suite.ranges import MAGNITUDE


def effective_lr(lr: float, norm: Tensor, *, normalised_updates: bool) -> Tensor:
    """Return ``lr / norm`` for optimizers with normalised updates, else ``lr / norm**2``.

    Args:
        lr: learning rate in force.
        norm: Frobenius norm of the tensor, before the update.
        normalised_updates: True for Adam or RMSProp, False for gradient descent.
    """
    return lr / norm if normalised_updates else lr / norm.square()


def _per_tensor(seen: Observation, *, normalised_updates: bool) -> dict[str, Tensor]:
    matrices = seen.matrices()
    sizes = norms(matrices)
    out = {
        name: effective_lr(seen.rates[name], norm, normalised_updates=normalised_updates)
        for name, norm in sizes.items()
    }
    # Of all matrices together: their mean rate over their joint norm.
    rate = sum(seen.rates[name] for name in matrices) / len(matrices)
    joint = total_norm(list(sizes.values()))
    out["all"] = effective_lr(rate, joint, normalised_updates=normalised_updates)
    return out


@metric("effective_lr", "1/step", "parameters", range=MAGNITUDE)
def effective_lr_normalised(seen: Observation) -> dict[str, Tensor]:
    """``lr / |W|`` of every matrix: the effective rate of normalised updates such as Adam's."""
    return _per_tensor(seen, normalised_updates=True)


@metric("effective_lr_gradient", "1/step", "parameters", range=MAGNITUDE)
def effective_lr_gradient(seen: Observation) -> dict[str, Tensor]:
    """``lr / |W|^2`` of every matrix: the effective rate of plain gradient steps."""
    return _per_tensor(seen, normalised_updates=False)


@metric("relative_update", "1/step", "parameters", "update", range=MAGNITUDE)
def relative_update(seen: Observation) -> dict[str, Tensor]:
    """``|dW| / |W|`` of the latest update of every matrix: the measured effective rate."""
    if not seen.update:
        return {}
    matrices = seen.matrices()
    sizes = norms(matrices)
    changes = norms({name: seen.update[name] for name in matrices})
    out = {name: changes[name] / sizes[name] for name in matrices}
    out["all"] = total_norm(list(changes.values())) / total_norm(list(sizes.values()))
    return out
