"""Decoupled weight decay by role (Loshchilov and Hutter 2019, Algorithm 2).

``w <- w - lr * coefficient * w`` before the optimizer's step, for the roles that are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.interventions.joined import Joined, Rate, Stacks, scale_
from suite.params import MATRIX_ROLES, Roles


class WeightDecay(Intervention):
    """Shrinks the parameters of the chosen roles before each optimizer step."""

    slot = Slot.BEFORE

    def __init__(self, config: WeightDecayConfig, bound: Bound) -> None:
        self.coefficient = config.coefficient
        named = bound.of_roles(config.kind, config.roles)
        self.names = list(named)
        self._tensors: list[Tensor] = list(named.values())

    @torch.no_grad()
    def before_step(self, step: int, lr: float) -> None:
        """Multiply the parameters by ``1 - lr * coefficient``."""
        torch._foreach_mul_(self._tensors, 1.0 - lr * self.coefficient)

    @classmethod
    def joined(cls, members: Sequence[WeightDecay], stacks: Stacks) -> Joined:
        """Return the decay of all runs."""
        return _JoinedDecay(members[0], stacks)


class _JoinedDecay(Joined):
    """The decay of runs that are alike."""

    def __init__(self, first: WeightDecay, stacks: Stacks) -> None:
        self.coefficient = first.coefficient
        self._tensors = [stacks.parameters[name] for name in first.names]

    def before_step(self, step: int, lr: Rate) -> None:
        """Multiply the parameters by ``1 - lr * coefficient``."""
        scale_(self._tensors, 1.0 - lr * self.coefficient)


@INTERVENTIONS.register("weight_decay")
class WeightDecayConfig(InterventionConfig):
    """Decoupled weight decay on parameters of the chosen roles (Loshchilov and Hutter 2019)."""

    side_by_side: ClassVar[bool] = True
    kind: Literal["weight_decay"] = "weight_decay"
    coefficient: Annotated[float, Field(ge=0)] = 0.01
    roles: Roles = MATRIX_ROLES

    def bind(self, bound: Bound) -> Intervention:
        """Return a `WeightDecay`."""
        return WeightDecay(self, bound)
