from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from suite.clock import Clock
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, InterventionStack


def _net() -> Any:
    """An `nn.Sequential`, whose layers are asked for by their places."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)).double()


def _train(net: nn.Module, optimizer: torch.optim.Optimizer, stack: InterventionStack) -> None:
    generator = torch.Generator().manual_seed(1)
    for step in range(5):
        inputs = torch.randn(16, 4, dtype=torch.float64, generator=generator)
        optimizer.zero_grad()
        net(inputs).square().mean().backward()
        stack.before_step(step, 0.01)
        optimizer.step()
        stack.after_step(step, 0.01)


def _stack(net: nn.Module, *configs: dict[str, Any]) -> InterventionStack:
    parsed = [INTERVENTIONS[str(c["kind"])].from_mapping(c) for c in configs]
    return InterventionStack(parsed, Bound.of(net, Clock(5)))


def test_weight_decay_equals_adamw() -> None:
    ours, theirs = _net(), _net()
    roles = ["weight", "output", "gain", "offset", "bias"]
    stack = _stack(ours, {"kind": "weight_decay", "coefficient": 0.3, "roles": roles})
    _train(ours, torch.optim.Adam(ours.parameters(), lr=0.01), stack)
    _train(
        theirs, torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.3), _stack(theirs)
    )
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("towards", "target"), [("zero", 0.0), ("init", 1.0)])
def test_scale_decay_moves_gains_and_offsets_alone(towards: str, target: float) -> None:
    net = _net()
    with torch.no_grad():
        net[1].weight.fill_(3.0)
        net[1].bias.fill_(2.0)
    others = copy.deepcopy([net[0].weight, net[0].bias, net[3].weight, net[3].bias])
    stack = _stack(net, {"kind": "scale_decay", "coefficient": 10.0, "towards": towards})
    stack.before_step(0, 0.01)
    torch.testing.assert_close(
        net[1].weight.detach(), torch.full((8,), 3 - 0.1 * (3 - target)).double()
    )
    torch.testing.assert_close(net[1].bias.detach(), torch.full((8,), 1.8).double())
    now = [net[0].weight, net[0].bias, net[3].weight, net[3].bias]
    assert all(torch.equal(a, b) for a, b in zip(others, now, strict=True))


def test_projection_comes_last_whatever_the_order_of_the_list() -> None:
    nap: dict[str, Any] = {"kind": "nap", "which": "matrices"}
    decay: dict[str, Any] = {"kind": "weight_decay", "coefficient": 5.0}
    results = []
    for configs in ([nap, decay], [decay, nap]):
        net = _net()
        stack = _stack(net, *configs)
        target = net[0].weight.detach().norm()
        _train(net, torch.optim.Adam(net.parameters(), lr=0.01), stack)
        torch.testing.assert_close(net[0].weight.detach().norm(), target)
        results.append([p.detach().clone() for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_decay_with_nothing_to_act_on_is_refused() -> None:
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="scale_decay"):
        _stack(plain, {"kind": "scale_decay"})
    with pytest.raises(ConfigError, match=r"weight_decay\.roles: got \['gain'\]"):
        _stack(plain, {"kind": "weight_decay", "roles": ["gain"]})
