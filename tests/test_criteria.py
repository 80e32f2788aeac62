"""Losses and their slopes against autograd, and what counts as right."""

import math

import pytest
import torch

from suite.criteria import CROSS_ENTROPY, LOGISTIC, SQUARED


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("criterion", [SQUARED, LOGISTIC])
def test_losses_and_slopes_of_many_runs(criterion, shared):
    outputs = drawn(3, 5).requires_grad_()
    targets = drawn(3, 5).sign()[: 1 if shared else 3]
    losses, slopes = criterion.slopes(outputs.detach(), targets)
    for run in range(3):
        own = criterion.loss(outputs[run], targets[0 if shared else run])
        assert losses[run].item() == pytest.approx(own.item(), rel=1e-12)
        (gradient,) = torch.autograd.grad(own, outputs)
        torch.testing.assert_close(slopes[run], gradient[run], rtol=1e-12, atol=1e-15)


def test_formulas():
    f, y = torch.tensor([0.5, -2.0, 0.0]), torch.tensor([1.0, 1.0, -1.0])
    expected = sum(
        math.log1p(math.exp(-a * b)) for a, b in zip(f.tolist(), y.tolist(), strict=True)
    )
    assert LOGISTIC.loss(f, y).item() == pytest.approx(expected / 3)
    assert SQUARED.loss(f, y).item() == pytest.approx((0.25 + 9 + 1) / 3)
    assert LOGISTIC.correct(f, y).item() == SQUARED.correct(f, y).item() == pytest.approx(0.5)


def test_large_margins_do_not_overflow():
    losses, slopes = LOGISTIC.slopes(torch.tensor([[1e4, -1e4]]), torch.tensor([[1.0, 1.0]]))
    assert losses.item() == pytest.approx(5e3)
    assert slopes.tolist() == [[-0.0, -0.5]]


def test_logits_have_no_slopes():
    with pytest.raises(NotImplementedError):
        CROSS_ENTROPY.slopes(drawn(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64))
