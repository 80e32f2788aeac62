"""A network in double precision with its optimizer and interventions, for tests of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.clock import Clock
from suite.interventions.base import INTERVENTIONS, Bound, InterventionStack
from suite.optimizers import OPTIMIZERS, OptimizerConfig, set_rate
from suite.seeding import Seeds

LR = 0.01
SEEDS = Seeds("bench", 0)


class Bench:
    """Updates a network on made-up data, with interventions.

    Args:
        make: returns a new network, drawing from torch's global generator.
        configs: the interventions, as plain data.
        inputs: shape of one input.
        clock: lengths of the run.
        optimizer: its config, as plain data.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        *configs: dict[str, Any],
        inputs: tuple[int, ...] = (4,),
        clock: Clock | None = None,
        optimizer: dict[str, Any] | None = None,
    ) -> None:
        self.make, self.inputs, self.step = make, inputs, 0
        self.net = self.fresh(0)
        self.named = dict(self.net.named_parameters())
        parsed = [INTERVENTIONS[c["kind"]].from_mapping(c) for c in configs]
        bound = Bound.of(self.net, clock or Clock(100), self.batch(-1), self.fresh, SEEDS)
        self.stack = InterventionStack(parsed, bound)
        self.acts: list[int] = []  # numbers of updates made when the network was reset
        mapping = {"kind": "adam", "lr": LR, **(optimizer or {})}
        config: OptimizerConfig = OPTIMIZERS[mapping["kind"]].from_mapping(mapping)
        self.optimizer = config.build(self.net)
        self.stack.attach(self.optimizer)

    def fresh(self, index: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + index)
            return self.make().double()

    def batch(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step + 1)
        return torch.randn(16, *self.inputs, dtype=torch.float64, generator=generator)

    def update(self, times: int = 1) -> Bench:
        for _ in range(times):
            set_rate(self.optimizer, LR)
            if self.stack.begin_update(self.step):
                self.acts.append(self.step)
            loss = (self.net(self.batch(self.step)) - 1.0).square().mean()
            extra = self.stack.extra_loss()
            self.optimizer.zero_grad()
            (loss if extra is None else loss + extra).backward()
            self.stack.before_step(self.step, LR)
            self.optimizer.step()
            self.reset = self.stack.after_step(self.step, LR)
            self.step += 1
            if self.reset:
                self.acts.append(self.step)
        return self

    def values(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.named.items()}

    def moments(self, name: str) -> dict[str, Tensor]:
        state = self.optimizer.state[self.named[name]]
        return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)
    )


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 6, bias=False),
        nn.LayerNorm(6),
        nn.ReLU(inplace=True),
        nn.Linear(6, 5, bias=False),
        nn.LayerNorm(5),
        nn.ReLU(inplace=True),
        nn.Linear(5, 2, bias=False),
    )


@pytest.fixture
def bench() -> type[Bench]:
    return Bench


@pytest.fixture(params=[plain, normalised], ids=["plain", "normalised"])
def network(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    make: Callable[[], nn.Module] = request.param
    return make
