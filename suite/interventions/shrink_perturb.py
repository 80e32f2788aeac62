"""Shrink and perturb: every weight shrinks towards zero and gets noise (Ash and Adams 2020).

``w <- shrink * w + perturb * w'`` with w' a fresh initial value. It was made for warm starts:
applied when data arrive, it keeps the network's predictions and gives it gradients as large as
those of a new network. The paper adds Gaussian noise of one scale; its public code mixes in a fresh
network, as here: the noise has, tensor by tensor, the distribution of the initial weights. In the
public code of Schwarzer et al. 2023 the encoder of SR-SPR (D'Oro et al. 2023) has 0.8 and 0.2.
Gains and offsets of norm layers are included: with shrink + perturb = 1 they move towards 1 and 0.

References:
    Ash and Adams 2020, On Warm-Starting Neural Network Training; D'Oro et al. 2023,
    Sample-Efficient Reinforcement Learning by Breaking the Replay Ratio Barrier; Schwarzer et al.
    2023, Bigger, Better, Faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.interventions.base import INTERVENTIONS, Bound, Intervention
from suite.interventions.timing import Timed, TimedConfig
from suite.optimizers import clear_state
from suite.params import ALL_ROLES, Roles


@torch.no_grad()
def shrink_perturb_(
    parameters: Mapping[str, nn.Parameter],
    initial: Mapping[str, Tensor],
    shrink: float,
    perturb: float,
) -> None:
    """Set ``w <- shrink * w + perturb * w'`` in place.

    Args:
        parameters: w, by name.
        initial: fresh initial values w', by name; others are ignored.
        shrink: factor on the weights.
        perturb: factor on the fresh values.
    """
    tensors: list[Tensor] = list(parameters.values())
    torch._foreach_mul_(tensors, shrink)
    torch._foreach_add_(tensors, [initial[name] for name in parameters], alpha=perturb)


class ShrinkPerturb(Timed):
    """`shrink_perturb_` now and then."""

    def __init__(self, config: ShrinkPerturbConfig, bound: Bound) -> None:
        super().__init__(config, bound)
        self.config = config
        self.parameters = bound.of_roles(config.kind, config.roles)

    def act(self, done: int) -> bool:
        """Shrink and perturb the parameters."""
        initial = self.bound.initial(done)
        trained = {name: p for name, p in self.parameters.items() if p.requires_grad}
        shrink_perturb_(trained, initial, self.config.shrink, self.config.perturb)
        if self.config.reset_optimizer:
            clear_state(self.optimizer, trained.values())
        self.happened(done, "shrink_perturb")
        return True


@INTERVENTIONS.register("shrink_perturb")
class ShrinkPerturbConfig(TimedConfig):
    """Shrinks weights and adds part of fresh initial values at intervals (Ash and Adams 2020)."""

    side_by_side: ClassVar[bool] = True
    kind: Literal["shrink_perturb"] = "shrink_perturb"
    shrink: Annotated[float, Field(ge=0, le=1)] = 0.8
    perturb: Annotated[float, Field(ge=0)] = 0.2
    reset_optimizer: bool = True
    roles: Roles = ALL_ROLES

    def bind(self, bound: Bound) -> Intervention:
        """Return a `ShrinkPerturb`."""
        return ShrinkPerturb(self, bound)
