"""The three terms of the expected loss of a quadratic network (Kumar et al. 2024, section 3).

For ``f(x) = v . x + x^T Q x / 2``, a target ``y = x^T B x / 2`` and x ~ N(0, I / D)::

    E (f - y)^2 = (tr(Q - B) / D)^2 / 4  +  |Q - B|_F^2 / (2 D^2)  +  |v|^2 / D
                  variance                  misalignment             linear

A committee with outputs times alpha has ``v = alpha wbar`` and ``Q = alpha epsilon M``, and the
teacher ``B = beta beta^T``: then these are the paper's terms. For a centred network the initial v
and Q are subtracted first, so that the sum is exact there too; the paper's formula uses only the
current weights.
"""

from __future__ import annotations

from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.models.closed_forms import quadratic_form
from suite.ranges import MAGNITUDE


def loss_terms(linear: Tensor, square: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the three terms and their sum.

    Args:
        linear: v, (D,).
        square: Q, (D, D), symmetric.
        target: B, (D, D), symmetric.
    """
    size, error = len(linear), square - target
    terms = {
        "variance": (error.trace() / size).square() / 4,
        "misalignment": error.square().sum() / (2 * size**2),
        "linear": linear.square().sum() / size,
    }
    return {**terms, "total": terms["variance"] + terms["misalignment"] + terms["linear"]}


@metric("loss_terms", "1", "parameters", "model", "task", range=MAGNITUDE)
def terms_of_the_loss(seen: Observation) -> dict[str, Tensor]:
    """Expected test loss and its three terms: variance, misalignment and linear part."""
    square = getattr(seen.task, "square", None)
    target = square() if callable(square) else None
    if target is None or seen.model is None:
        return {}
    form = quadratic_form(seen.model, seen.parameters)
    return {} if form is None else loss_terms(*form, target)
