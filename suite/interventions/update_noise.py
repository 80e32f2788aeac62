"""Gaussian noise on the weights after each update (Lyle et al. 2024, Fig. 5; Dohare et al. 2024).

``w <- w + std * n`` with n standard normal, after the optimizer's step and before projection. Lyle
et al. list it among their methods without its strength. With `weight_decay` it is the shrink and
perturb of Dohare et al., who apply it at every update. With `scale_with_lr` the noise is ``lr * std
* n`` and follows the schedule, as in Elsayed and Mahmood 2024. The noise of an update is a function
of the run's seeds and the step, so there is no state.

References:
    Lyle, Zheng, Khetarpal, van Hasselt, Pascanu, Martens, Dabney 2024, Normalization and Effective
    Learning Rates in Reinforcement Learning; Dohare et al. 2024, Loss of Plasticity in Deep
    Continual Learning; Elsayed and Mahmood 2024, Addressing Loss of Plasticity and Catastrophic
    Forgetting in Continual Learning.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.params import ALL_ROLES, Roles


@torch.no_grad()
def add_noise_(tensors: list[Tensor], std: float, generator: torch.Generator) -> None:
    """Add independent normal noise to all values of `tensors`, in place.

    Args:
        tensors: at least one, all of one type and device.
        std: standard deviation of the noise.
        generator: on the device of the tensors.
    """
    sizes = [t.numel() for t in tensors]
    like = tensors[0]
    drawn = torch.randn(sum(sizes), generator=generator, device=like.device, dtype=like.dtype)
    noise = [part.view(t.shape) for part, t in zip(drawn.split(sizes), tensors, strict=True)]
    torch._foreach_add_(tensors, noise, alpha=std)


class UpdateNoise(Intervention):
    """`add_noise_` after each update."""

    slot = Slot.AFTER

    def __init__(self, config: UpdateNoiseConfig, bound: Bound) -> None:
        self.config, self.bound = config, bound
        self._parameters = list(bound.of_roles(config.kind, config.roles).values())

    def after_step(self, step: int, lr: float) -> None:
        """Add the noise of this update to the parameters that are trained."""
        tensors: list[Tensor] = [p for p in self._parameters if p.requires_grad]
        if tensors:
            generator = self.bound.generator(f"update_noise/{step}", tensors[0].device)
            std = self.config.std * (lr if self.config.scale_with_lr else 1.0)
            add_noise_(tensors, std, generator)


@INTERVENTIONS.register("update_noise")
class UpdateNoiseConfig(InterventionConfig):
    """Adds Gaussian noise to the weights after each update (Lyle et al. 2024, Fig. 5).

    Attributes:
        std: standard deviation of the noise; of its ratio to the rate with `scale_with_lr`.
        scale_with_lr: whether the noise is multiplied by the rate in force.
        roles: which parameters get it.
    """

    kind: Literal["update_noise"] = "update_noise"
    std: Annotated[float, Field(ge=0)] = 1e-5
    scale_with_lr: bool = False
    roles: Roles = ALL_ROLES

    def bind(self, bound: Bound) -> Intervention:
        """Return an `UpdateNoise`."""
        return UpdateNoise(self, bound)
