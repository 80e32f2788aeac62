"""Every registered intervention, on the network of every task's smoke run."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from examples import check_or_skip, equal, every, inputs_of
from torch import Tensor, nn

from suite.config import merge
from suite.interventions.base import Bound, InterventionStack
from suite.models.base import build_model
from suite.optimizers import set_rate
from suite.params import ParamRole
from suite.run_config import RunConfig
from suite.tasks.base import TASKS

INTERVENTIONS = every("intervention")
TASK_KINDS = sorted(TASKS.entries())
PAIRS = list(itertools.combinations(INTERVENTIONS, 2))


class Loop:
    """A bare training loop with a run's network, optimizer and interventions."""

    def __init__(self, task: str, *interventions: dict[str, Any]) -> None:
        self.run = RunConfig.from_mapping(
            merge(dict(TASKS[task].smoke), {"interventions": list(interventions)})
        )
        check_or_skip(self.run)
        self.model = self.network("init")
        self.named = dict(self.model.named_parameters())
        self.probe, self.step = inputs_of(self.run, 16), 0
        bound = Bound.of(
            self.model,
            self.run.clock(),
            self.probe,
            lambda k: self.network(f"reset/{k}"),
            self.run.seeds,
        )
        self.stack = InterventionStack(self.run.interventions, bound)
        self.optimizer = self.run.optimizer.build(self.model)
        self.stack.attach(self.optimizer)

    def network(self, stream: str) -> nn.Module:
        return build_model(self.run.model, self.run.model_spec(), self.run.seeds.seed(stream))

    def update(self, times: int) -> Loop:
        for _ in range(times):
            rate = self.run.optimizer.lr / (1 + self.step)
            set_rate(self.optimizer, rate)
            loss = (self.model(self.probe) - 1.0).square().mean()
            extra = self.stack.extra_loss()
            self.optimizer.zero_grad()
            (loss if extra is None else loss + extra).backward()
            self.stack.before_step(self.step, rate)
            self.optimizer.step()
            self.stack.after_step(self.step, rate)
            self.step += 1
        return self

    def parameters(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.named.items()}

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "stack": self.stack.state_dict(),
        }


@cache
def _without(task: str) -> tuple[Mapping[str, ParamRole], dict[str, Tensor]]:
    """Return the roles of a task's parameters, and these after five plain updates."""
    loop = Loop(task)
    return Bound.of(loop.model, loop.run.clock()).roles, loop.update(5).parameters()


@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("task", TASK_KINDS)
def test_acts_in_place_on_what_the_optimizer_holds(task: str, intervention: dict[str, Any]) -> None:
    loop = Loop(task, intervention)
    before = {name: (id(p), p.data_ptr()) for name, p in loop.named.items()}
    held = [id(p) for group in loop.optimizer.param_groups for p in group["params"]]
    loop.update(5)
    now = dict(loop.model.named_parameters())
    assert {name: (id(p), p.data_ptr()) for name, p in now.items()} == before
    assert [id(p) for group in loop.optimizer.param_groups for p in group["params"]] == held
    trainable = {name for name, p in now.items() if p.requires_grad}
    assert sorted(held) == sorted(id(now[name]) for name in trainable)
    dropped = (ParamRole.GAIN, ParamRole.OFFSET) if intervention.get("gains") == "dropped" else ()
    roles, plain = _without(task)
    assert trainable == {name for name, role in roles.items() if role not in dropped}
    assert not equal(loop.parameters(), plain), (
        "it does nothing in five updates: give an example that does in examples.py"
    )


@pytest.mark.parametrize("intervention", INTERVENTIONS)
@pytest.mark.parametrize("task", TASK_KINDS)
def test_state_is_plain_and_continues_to_the_last_bit(
    task: str, intervention: dict[str, Any]
) -> None:
    whole, first, second = (Loop(task, intervention) for _ in range(3))
    first.update(3)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    second.model.load_state_dict(state["model"])
    second.optimizer.load_state_dict(state["optimizer"])
    second.stack.load_state_dict(state["stack"])
    second.step = 3
    assert equal(second.state(), first.state())
    assert equal(second.update(3).state(), whole.update(6).state())


@pytest.mark.parametrize(
    "pair", [pytest.param([*a.values, *b.values], id=f"{a.id}-{b.id}") for a, b in PAIRS]
)
def test_the_order_of_the_list_does_not_matter(pair: list[dict[str, Any]]) -> None:
    there, back = (Loop("classic_control", *order) for order in (pair, pair[::-1]))
    assert equal(there.update(5).parameters(), back.update(5).parameters())
    assert equal(there.optimizer.state_dict(), back.optimizer.state_dict())
