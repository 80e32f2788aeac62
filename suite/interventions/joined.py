"""What interventions of runs that are trained side by side do to the tensors of all at once.

What an intervention does now and then, such as a reset, it does to each run by itself: parameters,
gradients and optimizer state of a run are slices of the stacked tensors. What it does at every
update would be most of the time if it were done run by run, so such an intervention has a joined
form (`suite.interventions.base.Intervention.joined`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Rate = float | Tensor
"""The rate of all runs, or the rate of each, (runs,) float64."""


@dataclass(frozen=True)
class Stacks:
    """The tensors of the runs, by the names that they have in each network, (runs, ...).

    Attributes:
        parameters: of the networks.
        gradients: of the losses, of the update that is being made.
    """

    parameters: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]


class Joined:
    """What the interventions of all runs do at an update; each hook does nothing by default.

    Hooks are those of `suite.interventions.base.Intervention` but for the loss.
    """

    def add_gradients(self) -> None:
        """Add the gradients of the terms of the losses to those of the losses, in place."""

    def before_step(self, step: int, lr: Rate) -> None:
        """Act between the gradients and the optimizer's step."""

    def after_step(self, step: int, lr: Rate) -> bool | None:
        """Act after the optimizer's step; return True if networks were reset."""


def of_runs(value: Tensor, tensor: Tensor) -> Tensor:
    """Return `value`, (runs,), shaped and typed to broadcast to `tensor`, (runs, ...).

    >>> of_runs(torch.tensor([1.0, 2.0]), torch.empty(2, 3, 4)).shape
    torch.Size([2, 1, 1])
    """
    return value.to(tensor).view(-1, *[1] * (tensor.ndim - 1))


def scale_(tensors: Sequence[Tensor], factor: Rate) -> None:
    """Multiply stacked tensors in place."""
    if isinstance(factor, float):
        torch._foreach_mul_(list(tensors), factor)
    else:
        for tensor in tensors:
            tensor.mul_(of_runs(factor, tensor))


def pull_(tensors: Sequence[Tensor], targets: Sequence[Tensor], share: Rate) -> None:
    """Move stacked tensors a share of the way to their targets, in place."""
    if isinstance(share, float):
        torch._foreach_lerp_(list(tensors), list(targets), share)
    else:
        for tensor, target in zip(tensors, targets, strict=True):
            tensor.lerp_(target, of_runs(share, tensor))
