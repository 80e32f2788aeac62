"""The quick step of Adam against torch's own, to the last bit."""

from __future__ import annotations

import copy

import torch
from torch import nn

from suite.optimizers import Adam, AdamConfig, clear_state, step_of


def _train(quick: bool) -> tuple[list[torch.Tensor], dict[str, object]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2))
    config = AdamConfig(lr=0.01, eps=1e-5, beta1=0.8, rate_by_role={"output": 0.1})
    optimizer = config.build(model)
    assert isinstance(optimizer, Adam)
    step = step_of(optimizer) if quick else optimizer.step
    for number in range(12):
        if number == 6:
            clear_state(optimizer, [next(model.parameters())])
        if number == 9:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        optimizer.zero_grad()
        model(torch.randn(3, 5)).square().sum().backward()
        if number == 4:  # as where a parameter takes no part in a loss
            next(model.parameters()).grad = None
        step()
    return [p.detach().clone() for p in model.parameters()], optimizer.state_dict()


def test_it_is_the_step_of_the_base_class() -> None:
    (mine, state), (theirs, other) = _train(quick=True), _train(quick=False)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert state["param_groups"] == other["param_groups"]
    torch.testing.assert_close(state["state"], other["state"], rtol=0, atol=0)


def test_hooks_of_others_are_called() -> None:
    model = nn.Linear(2, 1)
    optimizer = AdamConfig().build(model)
    called: list[int] = []
    optimizer.register_step_post_hook(lambda *_: called.append(1))
    for _ in range(3):
        model(torch.ones(1, 2)).sum().backward()
        step_of(optimizer)()
    assert len(called) == 3


def test_a_parameter_whose_first_gradient_comes_late_is_not_left_out() -> None:
    model = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    twin = copy.deepcopy(model)
    mine, theirs = AdamConfig().build(model), AdamConfig().build(twin)
    for number in range(6):
        for net, step in ((model, step_of(mine)), (twin, theirs.step)):
            net.zero_grad()
            for part in list(net)[: 1 if number < 3 else 2]:
                part(torch.ones(1, 2)).sum().backward()
            step()
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True)
    )
