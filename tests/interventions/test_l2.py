from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from suite.errors import ConfigError
from suite.interventions.l2 import squared_distance
from suite.params import classify

Make = Callable[[], nn.Module]
EVERY_ROLE = ["weight", "output", "gain", "offset", "bias"]


def test_value_and_gradient_are_those_of_plain_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,), (2, 3, 4, 5)]
    w = [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]
    w[2] = w[2].contiguous(memory_format=torch.channels_last)
    ours = [t.clone().requires_grad_() for t in w]
    assert torch.autograd.gradcheck(lambda *t: squared_distance(t), ours)
    targets = [torch.randn_like(t) for t in w]
    for pulled in (None, targets):
        value = squared_distance(ours, pulled)
        differences = [a - b for a, b in zip(w, pulled or [torch.zeros(())] * 3, strict=True)]
        expected = torch.stack([d.square().sum() for d in differences]).sum()
        torch.testing.assert_close(value.detach(), expected, rtol=1e-13, atol=0.0)
        grads = torch.autograd.grad(0.3 * value, ours)
        for grad, difference in zip(grads, differences, strict=True):
            torch.testing.assert_close(grad, 0.6 * difference, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("optimizer", [{"kind": "adam"}, {"kind": "sgd", "momentum": 0.9}])
def test_l2_is_torch_s_weight_decay_of_twice_the_coefficient(
    optimizer: dict[str, Any], bench: Any, network: Make
) -> None:
    l2 = {"kind": "l2", "coefficient": 0.05, "roles": EVERY_ROLE}
    ours, theirs = bench(network, l2, optimizer=optimizer), bench(network, optimizer=optimizer)
    for group in theirs.optimizer.param_groups:
        group["weight_decay"] = 0.1
    ours.update(20)
    theirs.update(20)
    for name, value in ours.values().items():
        torch.testing.assert_close(value, theirs.named[name], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", ["l2", "l2_init"])
def test_roles_say_what_is_pulled(kind: str, bench: Any, network: Make) -> None:
    run = bench(network, {"kind": kind, "coefficient": 0.5, "roles": ["weight"]})
    with torch.no_grad():
        for p in run.named.values():
            p.add_(1.0)
    term = run.stack.extra_loss()
    for name, grad in zip(
        run.named,
        torch.autograd.grad(term, list(run.named.values()), allow_unused=True),
        strict=True,
    ):
        if classify(run.net)[name] != "weight":
            assert grad is None
        else:
            moved = run.named[name].detach() if kind == "l2" else torch.ones_like(grad)
            torch.testing.assert_close(grad, 2 * 0.5 * moved, rtol=1e-12, atol=1e-14)


def test_l2_init_pulls_back_to_where_the_run_began(bench: Any, network: Make) -> None:
    run = bench(network, {"kind": "l2_init", "coefficient": 0.5})
    assert run.stack.extra_loss().item() == 0.0
    start = run.values()
    strong = bench(network, {"kind": "l2_init", "coefficient": 100.0}).update(50)
    free = bench(network).update(50)

    def distance(run: Any) -> float:
        moved = sum((p - start[n]).square().sum().item() for n, p in run.named.items())
        return float(moved**0.5)

    assert distance(strong) < 0.3 * distance(free)


def test_the_targets_are_part_of_the_state(bench: Any, network: Make) -> None:
    config = {"kind": "l2_init", "coefficient": 0.5}
    first = bench(network, config).update(3)

    def elsewhere() -> nn.Module:
        net = network()
        with torch.no_grad():
            for p in net.parameters():
                p.add_(1.0)
        return net

    second = bench(elsewhere, config)
    second.net.load_state_dict(first.net.state_dict())
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.stack.load_state_dict(copy.deepcopy(first.stack.state_dict()))
    second.step = 3
    first.update(5)
    second.update(5)
    for name, value in first.named.items():
        assert torch.equal(value, second.named[name])


@pytest.mark.parametrize("kind", ["l2", "l2_init"])
def test_roles_that_are_not_there_are_refused(kind: str, bench: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{kind}\.roles: got \['gain'\]"):
        bench(lambda: nn.Linear(4, 2), {"kind": kind, "roles": ["gain"]})
