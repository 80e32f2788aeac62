"""One optimizer of runs side by side, whose state each run has slices of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from suite.optimizers import set_rate, step_of


class JoinedOptimizer:
    """An optimizer of stacked parameters in the place of one of each run.

    The runs' own optimizers keep their groups and see the state: moments are slices of the stacked
    ones, and a step count, of which torch keeps one per tensor, is one tensor for all runs. So what
    reads, saves or clears the state of a run finds it there, as long as all runs do it together.

    Args:
        optimizers: of the runs, alike and equally many steps old.
        parameters: by name, (runs, ...).
        gradients: by name, (runs, ...); those that are there at a step count.
    """

    def __init__(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
    ) -> None:
        first = optimizers[0]
        self._optimizers = optimizers
        self._stacks: dict[str, nn.Parameter] = {}
        groups = []
        for group in first.param_groups:
            for name in group["names"]:
                self._stacks[name] = nn.Parameter(parameters[name])
                self._stacks[name].grad = gradients[name]
            groups.append({**group, "params": [self._stacks[name] for name in group["names"]]})
        self._own = [
            {n: p for g in o.param_groups for n, p in zip(g["names"], g["params"], strict=True)}
            for o in optimizers
        ]
        self._joint = cast(Any, type(first))(groups, **first.defaults)
        self._step = step_of(self._joint)
        self._shared = False
        if first.state:
            self._gather()

    def step(self, rate: float) -> None:
        """Make a step of all runs at a rate."""
        set_rate(self._joint, rate)
        self._step()
        if not self._shared:
            self._share()
            self._shared = True

    def _gather(self) -> None:
        """Make the states of the runs one."""
        for name, stack in self._stacks.items():
            pairs = zip(self._optimizers, self._own, strict=True)
            states = [optimizer.state[own[name]] for optimizer, own in pairs]
            for key, value in states[0].items():
                each = [state[key] for state in states]
                if isinstance(value, Tensor):
                    wide = value.shape == stack.shape[1:]
                    self._joint.state[stack][key] = torch.stack(each) if wide else value.clone()
                else:
                    self._joint.state[stack][key] = value
        self._share()

    def _share(self) -> None:
        """Give the runs the state."""
        for name, stack in self._stacks.items():
            for key, value in self._joint.state[stack].items():
                wide = isinstance(value, Tensor) and value.shape == stack.shape
                for index, (optimizer, own) in enumerate(
                    zip(self._optimizers, self._own, strict=True)
                ):
                    optimizer.state[own[name]][key] = value[index] if wide else value


def part(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Give each run what a `JoinedOptimizer` before may have left them to share: step counts."""
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, Tensor) and value.shape != parameter.shape:
                    state[key] = value.clone()
