"""DQN in one file of bare PyTorch: what the learner must do to its parameters, update by update.

Written from the papers (Mnih et al. 2015; van Hasselt et al. 2016; Lyle et al. 2024, Algorithm 1),
with its own Adam, its own Huber loss and its own projection.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


def huber(error: Tensor) -> Tensor:
    return torch.where(error.abs() <= 1, 0.5 * error**2, error.abs() - 0.5)


class PlainDqn:
    """Args: network, base rate, multiplier by step, the agent's settings, names to project."""

    def __init__(
        self,
        q: nn.Module,
        lr: float,
        schedule: Callable[[int], float],
        agent: Any,
        eps: float,
        projected: Iterable[str] = (),
    ) -> None:
        self.q, self.target = q, copy.deepcopy(q)
        self.lr, self.schedule, self.agent, self.eps = lr, schedule, agent, eps
        self.parameters: dict[str, Tensor] = dict(q.named_parameters())
        self.norms = {name: self.parameters[name].detach().norm() for name in projected}
        self.m = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.updates = 0

    def update(
        self, s_tm1: Tensor, a_tm1: Tensor, r_t: Tensor, discount_t: Tensor, s_t: Tensor
    ) -> float:
        with torch.no_grad():
            best = (self.q if self.agent.double else self.target)(s_t).argmax(1)
            value = self.target(s_t)[torch.arange(len(best)), best]
        error = r_t + discount_t * value - self.q(s_tm1)[torch.arange(len(a_tm1)), a_tm1]
        loss = (huber(error) if self.agent.loss == "huber" else 0.5 * error**2).mean()
        slopes = torch.autograd.grad(loss, list(self.parameters.values()))
        gradients = dict(zip(self.parameters, slopes, strict=True))
        if self.agent.grad_clip is not None:
            total = torch.sqrt(torch.as_tensor(sum((g**2).sum() for g in gradients.values())))
            factor = min(1.0, self.agent.grad_clip / (total.item() + 1e-6))
            gradients = {name: g * factor for name, g in gradients.items()}
        rate = self.lr * self.schedule(self.updates)
        self.updates += 1
        with torch.no_grad():
            for name, p in self.parameters.items():
                self.m[name] = 0.9 * self.m[name] + 0.1 * gradients[name]
                self.v[name] = 0.999 * self.v[name] + 0.001 * gradients[name] ** 2
                mean = self.m[name] / (1 - 0.9**self.updates)
                scale = (self.v[name] / (1 - 0.999**self.updates)).sqrt() + self.eps
                p -= rate * mean / scale
                if name in self.norms:
                    p *= self.norms[name] / p.norm()
        if self.updates % self.agent.target_every == 0:
            self.target.load_state_dict(self.q.state_dict())
        return loss.item()
