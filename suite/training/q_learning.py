"""Q-learning: targets, errors and losses, as pure functions of tensors (Mnih et al. 2015).

Names follow the time they belong to: ``s_tm1, a_tm1`` before a step, ``r_t, discount_t, s_t`` after
it. With n-step windows r_t is the discounted sum of n rewards and discount_t the n-th power of the
discount; at the end of an episode discount_t is 0.

References:
    Watkins and Dayan 1992; Mnih et al. 2015; van Hasselt et al. 2016 (double Q-learning).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

LossName = Literal["huber", "mse"]


def q_learning_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor) -> Tensor:
    """Return ``r_t + discount_t * max_a q_t(a)``.

    Args:
        r_t: (batch,).
        discount_t: (batch,).
        q_t: target network's values of s_t, (batch, actions).

    >>> q_learning_target(torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([[2.0, 4.0]]))
    tensor([3.])
    """
    return torch.addcmul(r_t, discount_t, q_t.amax(1))


def double_q_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, q_t_selector: Tensor) -> Tensor:
    """Return ``r_t + discount_t * q_t(argmax_a q_t_selector(a))``.

    Args:
        r_t: (batch,).
        discount_t: (batch,).
        q_t: target network's values of s_t, (batch, actions).
        q_t_selector: online network's values of s_t, (batch, actions).

    >>> q_t, selector = torch.tensor([[2.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    >>> double_q_target(torch.tensor([1.0]), torch.tensor([0.5]), q_t, selector)
    tensor([2.])
    """
    return torch.addcmul(r_t, discount_t, chosen(q_t, q_t_selector.argmax(1)))


def chosen(q: Tensor, a: Tensor) -> Tensor:
    """Return ``q(a)``, (batch,), of values (batch, actions) and actions (batch,)."""
    return q.gather(1, a.unsqueeze(1)).squeeze(1)


def td_error(q_tm1: Tensor, a_tm1: Tensor, target_tm1: Tensor) -> Tensor:
    """Return ``target_tm1 - q_tm1(a_tm1)``, (batch,); the target counts as a constant.

    Args:
        q_tm1: online network's values of s_tm1, (batch, actions).
        a_tm1: (batch,) integers.
        target_tm1: (batch,).
    """
    return target_tm1.detach() - chosen(q_tm1, a_tm1)


def elementwise_loss(error: Tensor, kind: LossName, delta: float = 1.0) -> Tensor:
    """Return the loss of each error: ``mse`` is ``error^2 / 2``, ``huber`` is linear beyond delta.

    >>> elementwise_loss(torch.tensor([0.5, -3.0]), "huber")
    tensor([0.1250, 2.5000])
    >>> elementwise_loss(torch.tensor([0.5, -3.0]), "mse")
    tensor([0.1250, 4.5000])
    """
    if kind == "mse":
        return 0.5 * error.square()
    return torch.nn.functional.huber_loss(
        error, torch.zeros_like(error), reduction="none", delta=delta
    )
