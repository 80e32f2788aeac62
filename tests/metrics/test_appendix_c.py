"""Checks of Lyle et al. 2025, appendix C, that need no training: how far one random update goes.

One hidden layer, unit rows W, an update U with independent entries of variance ``s^2 / width``, so
that each row of it has length about s, and a step ``eta``. Features are those before the
nonlinearity, as in the appendix.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from suite.metrics.feature_change import pattern_change

INPUTS, UNITS, WIDTH = 1500, 400, 400


def _layer(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, weights with rows of norm 1, and an update with rows of norm about 1."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((INPUTS, WIDTH), (UNITS, WIDTH), (UNITS, WIDTH))
    inputs, weights, update = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    weights = weights / weights.norm(dim=1, keepdim=True)
    return inputs, weights, update / math.sqrt(WIDTH)


def _cosine(then: Tensor, now: Tensor) -> float:
    return float((then * now).sum() / (then.norm() * now.norm()))


@pytest.mark.parametrize("eta", [0.1, 1.0])
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_cosine_of_features_after_a_step(eta: float, sigma: float) -> None:
    """``cos = 1 / sqrt(1 + eta^2 sigma^2)``."""
    inputs, weights, update = _layer()
    then, now = inputs @ weights.T, inputs @ (weights + eta * sigma * update).T
    expected = 1 / math.sqrt(1 + (eta * sigma) ** 2)
    assert _cosine(then, now) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_with_a_norm_layer_the_scale_enters_to_the_fourth_power(alpha: float) -> None:
    """``cos = 1 / sqrt(1 + eta^2 sigma^2 / alpha^4)``, where the paper has ``alpha^2``.

    Behind a norm layer the gradient by the weights is that at scale 1 over alpha, and the step that
    it makes is to be compared with weights alpha times as long: ``alpha^-2`` in length.
    """
    eta_sigma = 0.8
    inputs, weights, update = _layer()
    gradient = eta_sigma * update / alpha
    then, now = inputs @ (alpha * weights).T, inputs @ (alpha * weights + gradient).T
    cosine = _cosine(then, now)
    corrected, printed = (1 / math.sqrt(1 + eta_sigma**2 / alpha**k) for k in (4, 2))
    assert cosine == pytest.approx(corrected, abs=5e-3)
    assert (cosine == pytest.approx(printed, abs=5e-3)) == (alpha == 1.0)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_the_gradient_behind_a_norm_layer_shrinks_as_the_scale_grows(alpha: float) -> None:
    """What the correction rests on, and why the rate in force is ``lr / |W|^2`` for plain steps."""
    inputs, weights, _ = _layer()

    def gradient(scale: float) -> Tensor:
        w = (scale * weights).requires_grad_()
        normed = torch.nn.functional.layer_norm(inputs[:50] @ w.T, (UNITS,), eps=0.0)
        return torch.autograd.grad((normed.relu() * torch.arange(UNITS)).mean(), w)[0]

    torch.testing.assert_close(gradient(alpha), gradient(1.0) / alpha)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("eta_sigma", [0.3, 1.5])
def test_probability_that_an_active_unit_flips(alpha: float, eta_sigma: float) -> None:
    """``1/2 - arctan(alpha^2 / (eta sigma)) / pi``: the same power of alpha."""
    inputs, weights, update = _layer()
    step = eta_sigma * update / alpha
    then, now = inputs @ (alpha * weights).T, inputs @ (alpha * weights + step).T
    expected = 0.5 - math.atan(alpha**2 / eta_sigma) / math.pi
    off = ((then > 0) & (now <= 0)).sum() / (then > 0).sum()
    assert float(off) == pytest.approx(expected, abs=5e-3)
    assert float(pattern_change(then, now)) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("eta_sigma", [0.2, 1.0, 3.0])
def test_the_two_formulas_are_one(eta_sigma: float) -> None:
    """Of two jointly Gaussian numbers with correlation c the signs differ with arccos(c) / pi."""
    cosine = 1 / math.sqrt(1 + eta_sigma**2)
    flips = 0.5 - math.atan(1 / eta_sigma) / math.pi
    assert math.acos(cosine) / math.pi == pytest.approx(flips, abs=1e-12)
