"""Losses and their slopes against autograd, and what counts as right."""

import math

import pytest
import torch
from torch import Tensor

from suite.losses import (
    CROSS_ENTROPY,
    LOGISTIC,
    ONE_HOT_SQUARED,
    PRECISE_CROSS_ENTROPY,
    SQUARED,
    Criterion,
    MaskedCrossEntropy,
    VectorSquared,
)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("criterion", [SQUARED, LOGISTIC])
def test_losses_and_slopes_of_many_runs(criterion: Criterion, shared: bool) -> None:
    outputs = drawn(3, 5).requires_grad_()
    targets = drawn(3, 5).sign()[: 1 if shared else 3]
    losses, slopes = criterion.output_gradients(outputs.detach(), targets)
    for run in range(3):
        own = criterion.loss(outputs[run], targets[0 if shared else run])
        assert losses[run].item() == pytest.approx(own.item(), rel=1e-12)
        (gradient,) = torch.autograd.grad(own, outputs)
        torch.testing.assert_close(slopes[run], gradient[run], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("masked", [False, True])
def test_classes_of_many_runs(masked: bool) -> None:
    outputs, targets = drawn(3, 6, 4).requires_grad_(), torch.tensor([[0, 1, 1, 0, 1, 0]] * 3)
    criteria: list[Criterion] = [CROSS_ENTROPY] * 3
    if masked:  # another class is left out in each run
        criteria = [MaskedCrossEntropy(torch.zeros(4, dtype=torch.float64)) for _ in range(3)]
        for run, criterion in enumerate(criteria):
            assert isinstance(criterion, MaskedCrossEntropy)
            criterion.only(torch.arange(4) != (2, 3, 2)[run])
    joint = criteria[0].joined(criteria)
    losses, slopes = joint.output_gradients(outputs.detach(), targets)
    right = joint.correct(outputs.detach(), targets)
    for run, criterion in enumerate(criteria):
        own = criterion.loss(outputs[run], targets[run])
        (gradient,) = torch.autograd.grad(own, outputs)
        assert losses[run].item() == pytest.approx(own.item(), rel=1e-12)
        assert right[run] == criterion.correct(outputs[run], targets[run])
        torch.testing.assert_close(slopes[run], gradient[run], rtol=1e-12, atol=1e-15)
        assert (slopes[run, :, (2, 3, 2)[run]] == 0).all() == masked


def test_outputs_may_have_an_axis_of_one() -> None:
    outputs, targets = drawn(3, 5, 1).requires_grad_(), drawn(3, 5)
    losses, slopes = SQUARED.output_gradients(outputs.detach(), targets)
    assert slopes.shape == outputs.shape
    for run in range(3):
        own = SQUARED.loss(outputs[run], targets[run])
        (gradient,) = torch.autograd.grad(own, outputs)
        assert losses[run].item() == pytest.approx(own.item(), rel=1e-12)
        torch.testing.assert_close(slopes[run], gradient[run], rtol=1e-12, atol=1e-15)


def test_formulas() -> None:
    f, y = torch.tensor([0.5, -2.0, 0.0]), torch.tensor([1.0, 1.0, -1.0])
    expected = sum(
        math.log1p(math.exp(-a * b)) for a, b in zip(f.tolist(), y.tolist(), strict=True)
    )
    assert LOGISTIC.loss(f, y).item() == pytest.approx(expected / 3)
    assert SQUARED.loss(f, y).item() == pytest.approx((0.25 + 9 + 1) / 3)
    assert LOGISTIC.correct(f, y).item() == SQUARED.correct(f, y).item() == pytest.approx(0.5)


def test_large_margins_do_not_overflow() -> None:
    outputs, targets = torch.tensor([[1e4, -1e4]]), torch.tensor([[1.0, 1.0]])
    losses, slopes = LOGISTIC.output_gradients(outputs, targets)
    assert losses.item() == pytest.approx(5e3)
    assert slopes.tolist() == [[-0.0, -0.5]]


def test_squared_error_against_one_hot_codes() -> None:
    outputs, targets = drawn(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])
    codes = torch.nn.functional.one_hot(targets, 4).double()
    expected = (outputs - codes).square().mean()
    assert ONE_HOT_SQUARED.loss(outputs, targets).item() == pytest.approx(expected.item())
    assert ONE_HOT_SQUARED.loss(torch.zeros(6, 4), targets).item() == pytest.approx(1 / 4)
    assert ONE_HOT_SQUARED.correct(codes, targets) == 1
    assert ONE_HOT_SQUARED.correct(-codes, targets) == 0


def test_squared_error_of_vectors() -> None:
    outputs, targets = torch.tensor([[0.04, 0.0], [0.05, 0.0]]), torch.zeros(2, 2)
    assert VectorSquared().correct(outputs, targets) == 0.5  # 8e-4 and 1.25e-3
    assert VectorSquared(0.01).correct(outputs, targets) == 1
    assert VectorSquared().loss(outputs, targets).item() == pytest.approx(1.025e-3)


def test_in_float64_a_large_lead_leaves_a_gradient() -> None:
    logits = torch.tensor([[30.0, 0.0]], requires_grad=True)
    target = torch.tensor([0])
    assert CROSS_ENTROPY.loss(logits, target) == 0
    loss = PRECISE_CROSS_ENTROPY.loss(logits, target)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-30)), rel=1e-9)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 1].item() == pytest.approx(math.exp(-30), rel=1e-5)
    assert PRECISE_CROSS_ENTROPY.correct(logits, target) == 1
