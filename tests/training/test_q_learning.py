"""Targets and losses against loops over plain numbers."""

import pytest
import torch

from suite.training.q_learning import (
    double_q_target,
    elementwise_loss,
    q_learning_target,
    td_error,
)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return {
        "r_t": draw(6),
        "discount_t": torch.tensor([0.99, 0.0, 0.97, 0.99, 0.0, 0.5], dtype=torch.float64),
        "q_t": draw(6, 3),
        "selector": draw(6, 3),
        "q_tm1": draw(6, 3),
        "a_tm1": torch.tensor([0, 1, 2, 2, 1, 0]),
    }


def test_q_learning_target(batch):
    target = q_learning_target(batch["r_t"], batch["discount_t"], batch["q_t"])
    for row in range(6):
        best = max(batch["q_t"][row].tolist())
        expected = batch["r_t"][row] + batch["discount_t"][row] * best
        assert target[row] == pytest.approx(expected.item(), abs=1e-12)


def test_double_q_target_selects_with_one_network_and_values_with_the_other(batch):
    target = double_q_target(batch["r_t"], batch["discount_t"], batch["q_t"], batch["selector"])
    for row in range(6):
        values = batch["selector"][row].tolist()
        best = values.index(max(values))
        expected = batch["r_t"][row] + batch["discount_t"][row] * batch["q_t"][row, best]
        assert target[row] == pytest.approx(expected.item(), abs=1e-12)
    same = double_q_target(batch["r_t"], batch["discount_t"], batch["q_t"], batch["q_t"])
    assert torch.equal(same, q_learning_target(batch["r_t"], batch["discount_t"], batch["q_t"]))


def test_td_error_passes_gradients_to_the_action_taken_and_not_to_the_target(batch):
    q_tm1 = batch["q_tm1"].clone().requires_grad_()
    q_t = batch["q_t"].clone().requires_grad_()
    target = q_learning_target(batch["r_t"], batch["discount_t"], q_t)
    error = td_error(q_tm1, batch["a_tm1"], target)
    error.sum().backward()
    assert q_t.grad is None
    expected = -torch.nn.functional.one_hot(batch["a_tm1"], 3).double()
    assert torch.equal(q_tm1.grad, expected)


def test_the_slope_of_huber_is_the_error_clipped():
    error = torch.tensor([-4.0, -1.0, -0.3, 0.0, 0.3, 1.0, 4.0], requires_grad=True)
    elementwise_loss(error, "huber").sum().backward()
    assert torch.allclose(error.grad, error.detach().clamp(-1, 1))
    error.grad = None
    elementwise_loss(error, "mse").sum().backward()
    assert torch.allclose(error.grad, error.detach())
