"""Decoupled weight decay by role (Loshchilov and Hutter 2019, Algorithm 2).

``w <- w - lr * coefficient * w`` before the optimizer's step, for the roles that are named.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.params import ParamRole, RoleName


class WeightDecay(Intervention):
    """Shrinks the parameters of the chosen roles before each optimizer step."""

    slot = Slot.BEFORE

    def __init__(self, config: WeightDecayConfig, bound: Bound) -> None:
        self.coefficient = config.coefficient
        roles = [ParamRole(role) for role in config.roles]
        self._tensors: list[Tensor] = [p for _, p in bound.parameters(*roles)]
        if not self._tensors:
            raise ConfigError(
                "interventions.weight_decay.roles",
                list(config.roles),
                f"roles that this network has: {', '.join(sorted(set(bound.roles.values())))}",
            )

    @torch.no_grad()
    def before_step(self, step: int, lr: float) -> None:
        """Multiply the parameters by ``1 - lr * coefficient``."""
        torch._foreach_mul_(self._tensors, 1.0 - lr * self.coefficient)


@INTERVENTIONS.register("weight_decay")
class WeightDecayConfig(InterventionConfig):
    """Decoupled weight decay on parameters of the chosen roles (Loshchilov and Hutter 2019)."""

    kind: Literal["weight_decay"] = "weight_decay"
    coefficient: Annotated[float, Field(ge=0)] = 0.01
    roles: Annotated[tuple[RoleName, ...], Field(strict=False, min_length=1)] = (
        "weight",
        "output",
        "embedding",
    )

    def bind(self, bound: Bound) -> Intervention:
        """Return a `WeightDecay`."""
        return WeightDecay(self, bound)
