"""Interventions of the suite in the updates of RLlib's learners, without Ray."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from suite.rllib import nap_learner, nap_module

ID = "default_policy"


def zero_step(learner: Any, loss: float = 1.0) -> None:
    """Make an update whose gradients are all zero."""
    parameters = [p for _, o in learner.get_optimizers_for_module(ID) for p in _of(o)]
    learner._losses = {ID: torch.tensor(loss)}
    learner.apply_gradients({p: torch.zeros_like(p) for p in parameters})


def _of(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def test_decay_follows_the_rate_of_each_optimizer_and_spares_what_is_no_network(
    sac: Any,
) -> None:
    schedule = {"kind": "linear"}
    decay = {"kind": "weight_decay", "coefficient": 3.0}
    cls = nap_learner(sac.learner, total=4, schedule=schedule, interventions=[decay])
    learner = sac.learner_of(sac.config(cls))
    control = learner.controls[ID]
    assert set(control.parts) == {"policy", "qf", "qf_twin"}
    alpha = learner.curr_log_alpha[ID].detach().clone()
    for _ in range(3):
        factor = control.schedule(control.step)
        before = {
            name: {n: p.detach().clone() for n, p in part.part.named_parameters()}
            for name, part in control.parts.items()
        }
        zero_step(learner)
        for name, part in control.parts.items():
            for key, p in part.part.named_parameters():
                shrunk = 1 - 3.0 * sac.lr[name] * factor if p.ndim > 1 else 1.0
                torch.testing.assert_close(p.detach(), before[name][key] * shrunk)
    assert control.schedule(0) != control.schedule(2)
    assert torch.equal(learner.curr_log_alpha[ID], alpha)


@pytest.mark.parametrize("name", ["ppo", "sac_discrete"])
def test_penalties_are_in_the_gradient(name: str, request: pytest.FixtureRequest) -> None:
    stock = request.getfixturevalue(name)
    penalty = {"kind": "l2", "coefficient": 0.25}
    cls = nap_learner(stock.learner, total=4, interventions=[penalty])
    learner = stock.learner_of(stock.config(cls))
    parts = learner.controls[ID].parts
    losses = {}
    for key, part in parts.items():
        losses[key] = sum((p.sum() for p in part.part.parameters()), torch.zeros(()))
    if name == "ppo":
        given = losses["default_optimizer"]
    else:  # SAC differentiates the losses of its optimizers one by one
        losses["alpha"] = learner.curr_log_alpha[ID].sum()
        learner._temp_losses = {(ID, f"{key}_loss"): loss for key, loss in losses.items()}
        given = torch.stack(list(losses.values())).sum()
    gradients = learner.compute_gradients({ID: given})
    for part in parts.values():
        for p in part.part.parameters():
            wanted = 1.0 + 2 * 0.25 * p.detach() if p.ndim > 1 else torch.ones_like(p)
            torch.testing.assert_close(gradients[p], wanted)
    if name != "ppo":
        assert torch.equal(gradients[learner.curr_log_alpha[ID]], torch.ones(1))


def test_a_reset_draws_from_the_seed_clears_moments_and_copies_targets(dqn: Any) -> None:
    resets = [{"kind": "reset", "every": 2, "layers": "all"}]
    cls = nap_learner(dqn.learner, total=9, interventions=["nap", *resets])
    found = []
    for _ in range(2):
        learner = dqn.learner_of(dqn.config(cls, nap_module(dqn.module)))
        network = learner.module[ID].unwrapped()
        start = {n: p.detach().clone() for n, p in network.named_parameters()}
        zero_step(learner)
        assert all(torch.equal(start[n], p) for n, p in network.named_parameters())
        zero_step(learner)
        optimizer = learner.get_optimizer(ID)
        for name, p in network.named_parameters():
            if p.requires_grad:
                assert not torch.equal(start[name], p)
                assert optimizer.state[p]["step"] == 0
        for name in network.scale_invariant_weights:
            kept = network.get_parameter(name).norm()
            torch.testing.assert_close(kept, start[name].norm())
        for main, target in network.get_target_network_pairs():
            for one, two in zip(main.parameters(), target.parameters(), strict=True):
                assert torch.equal(one, two)
        assert dict(learner.controls[ID].values())["default_optimizer", "reset/all"] == 1.0
        found.append(network.af.net.mlp[0].bias.detach())
    assert torch.equal(*found)


def test_an_alarm_restarts_the_schedule(ppo: Any) -> None:
    trigger = {"kind": "cusum", "window": 4, "lag": 1, "h": 2.0}
    then = {"kind": "linear"}
    schedule = {"kind": "triggered", "trigger": trigger, "then": then}
    learner = ppo.learner_of(ppo.config(nap_learner(ppo.learner, total=40, schedule=schedule)))
    control, optimizer = learner.controls[ID], learner.get_optimizer(ID)
    rates = []
    for loss in [1.0] * 10 + [9.0] * 3:
        zero_step(learner, loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[9] < rates[0] == 0.003
    assert rates[0] in rates[11:]
    shown = dict(control.values())
    assert shown["alarm",] == 1.0
    assert ("cusum_statistic",) in shown


def test_only_the_optimizers_that_are_named_are_controlled(sac: Any) -> None:
    cls = nap_learner(
        sac.learner, total=4, schedule={"kind": "linear"}, optimizers=["qf", "qf_twin"]
    )
    learner = sac.learner_of(sac.config(cls))
    for _ in range(3):
        zero_step(learner)
    rates = {
        name.removeprefix(f"{ID}_"): o.param_groups[0]["lr"]
        for name, o in learner.get_optimizers_for_module(ID)
    }
    assert rates["qf"] == rates["qf_twin"] < 0.003
    assert (rates["policy"], rates["alpha"]) == (0.002, 0.004)


def test_steps_of_a_module_without_a_loss_do_not_count(ppo: Any) -> None:
    learner = ppo.learner_of(ppo.config(nap_learner(ppo.learner, total=4)))
    learner._losses = {}
    learner.apply_gradients({})
    assert learner.controls[ID].step == 0
    zero_step(learner)
    assert learner.controls[ID].step == 1
