"""Q-learning: targets, errors and losses, as pure functions of tensors (Mnih et al. 2015).

Names follow the time they belong to: ``s_tm1, a_tm1`` before a step, ``r_t, discount_t, s_t`` after
it. With n-step windows r_t is the discounted sum of n rewards and discount_t the n-th power of the
discount; at the end of an episode discount_t is 0.

References:
    Watkins and Dayan 1992; Mnih et al. 2015; van Hasselt et al. 2016 (double Q-learning);
    Bellemare et al. 2017 (distributions over returns).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

LossName = Literal["huber", "mse"]


def q_learning_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor) -> Tensor:
    """Return ``r_t + discount_t * max_a q_t(a)``.

    Args:
        r_t: (..., batch).
        discount_t: (..., batch).
        q_t: target network's values of s_t, (..., batch, actions).

    >>> q_learning_target(torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([[2.0, 4.0]]))
    tensor([3.])
    """
    return torch.addcmul(r_t, discount_t, q_t.amax(-1))


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


def support(atoms: int, v_min: float, v_max: float) -> Tensor:
    """Return the returns that the atoms stand for, (atoms,).

    >>> support(3, -1.0, 1.0)
    tensor([-1.,  0.,  1.])
    """
    return torch.linspace(v_min, v_max, atoms)


def expected_values(logits: Tensor, z: Tensor) -> Tensor:
    """Return ``sum_i z_i softmax(logits)_i``, (batch, actions).

    Args:
        logits: (batch, actions, atoms).
        z: the support, (atoms,).
    """
    return logits.softmax(-1) @ z


def project_distribution(returns: Tensor, probabilities: Tensor, z: Tensor) -> Tensor:
    """Return the distribution on the support `z` that is nearest to one on other returns.

    Each atom's probability is shared between the two of `z` next to it, by nearness; returns
    beyond the ends count as the ends (Bellemare et al. 2017, Eq. 7).

    Args:
        returns: (batch, atoms).
        probabilities: (batch, atoms).
        z: evenly spaced, (atoms,).

    >>> z = support(3, -1.0, 1.0)
    >>> project_distribution(torch.tensor([[0.5, 2.0, -1.0]]), torch.tensor([[0.5, 0.3, 0.2]]), z)
    tensor([[0.2000, 0.2500, 0.5500]])
    """
    last = len(z) - 1
    step = (z[-1] - z[0]) / last
    place = ((returns - z[0]) / step).clamp_(0, last)  # in units of atoms
    lower = place.long().clamp_(0, last - 1)  # what is not a number stays one, but within bounds
    upwards = (place - lower).mul_(probabilities)
    projected = torch.zeros_like(probabilities)
    projected.scatter_add_(1, lower, probabilities - upwards)
    projected[:, 1:].scatter_add_(1, lower, upwards)
    return projected


def categorical_target(
    r_t: Tensor, discount_t: Tensor, logits_t: Tensor, q_t_selector: Tensor, z: Tensor
) -> Tensor:
    """Return the distribution of ``r_t + discount_t * Z(s_t, argmax_a q_t_selector(a))`` on `z`.

    Args:
        r_t: (batch,).
        discount_t: (batch,).
        logits_t: target network's logits of s_t, (batch, actions, atoms).
        q_t_selector: values of s_t that choose the action, (batch, actions).
        z: the support, (atoms,).
    """
    rows = torch.arange(len(r_t), device=r_t.device)
    probabilities = logits_t[rows, q_t_selector.argmax(1)].softmax(-1)
    returns = r_t.unsqueeze(1) + discount_t.unsqueeze(1) * z
    return project_distribution(returns, probabilities, z)


def categorical_loss(logits_tm1: Tensor, a_tm1: Tensor, target_tm1: Tensor) -> Tensor:
    """Return the cross-entropy of each example's target distribution, (batch,).

    Args:
        logits_tm1: online network's logits of s_tm1, (batch, actions, atoms).
        a_tm1: (batch,) integers.
        target_tm1: (batch, atoms); counts as a constant.
    """
    rows = torch.arange(len(a_tm1), device=a_tm1.device)
    logits = logits_tm1[rows, a_tm1]
    return -(target_tm1.detach() * logits.log_softmax(-1)).sum(-1)
