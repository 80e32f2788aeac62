"""L2 penalties as a term of the loss (coupled): an adaptive optimizer rescales them too.

``l2`` adds ``coefficient * sum |w|^2``; ``l2_init`` adds ``coefficient * sum |w - w_0|^2`` with w_0
the initial values, the regenerative regularisation of Kumar et al. 2023, which pulls a network that
stops learning back to where it could learn. The gradients are ``2 coefficient w`` and ``2
coefficient (w - w_0)``: for plain gradient descent ``l2`` is the ``weight_decay`` of torch with
twice the coefficient. The decoupled form is the intervention ``weight_decay``.

References:
    Kumar, Marklund, Van Roy 2023, Maintaining Plasticity in Continual Learning via Regenerative
    Regularization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.interventions.joined import Joined, Stacks
from suite.norms import squared_norms
from suite.params import Roles


class _SumOfSquares(torch.autograd.Function):
    """The sum of all squares; one pass over the tensors each way, where autograd takes several."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return torch.stack(squared_norms(tensors)).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return tuple(torch._foreach_mul(ctx.saved_tensors, 2.0 * grad))


def squared_distance(tensors: Sequence[Tensor], targets: Sequence[Tensor] | None = None) -> Tensor:
    """Return ``sum |w - w*|^2`` over all elements of all tensors, a scalar.

    Args:
        tensors: w.
        targets: w*, of the same shapes; zero by default.

    >>> squared_distance([torch.tensor([3.0, 4.0])], [torch.tensor([3.0, 1.0])])
    tensor(9.)
    """
    moved = tensors if targets is None else torch._foreach_sub(list(tensors), list(targets))
    total: Tensor = _SumOfSquares.apply(*moved)  # type: ignore[no-untyped-call]
    return total


class L2(Intervention):
    """Adds the penalty to the loss of every update."""

    slot = Slot.LOSS

    def __init__(self, config: L2Config | L2InitConfig, bound: Bound) -> None:
        self.coefficient = config.coefficient
        named = bound.of_roles(config.kind, config.roles)
        self.names = list(named)
        self.tensors: list[Tensor] = list(named.values())
        self.targets: list[Tensor] | None = None
        if isinstance(config, L2InitConfig):
            self.targets = [p.detach().clone() for p in self.tensors]

    def extra_loss(self) -> Tensor:
        """Return the penalty, a scalar."""
        return self.coefficient * squared_distance(self.tensors, self.targets)

    def state_dict(self) -> dict[str, Any]:
        """Return the initial values, by name, if they are pulled to."""
        if self.targets is None:
            return {}
        return dict(zip(self.names, self.targets, strict=True))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name, target in zip(self.names, self.targets or (), strict=False):
            target.copy_(state[name])

    @classmethod
    def joined(cls, members: Sequence[L2], stacks: Stacks) -> Joined:
        """Return the penalty of all runs."""
        return _JoinedL2(members, stacks)


class _JoinedL2(Joined):
    """The penalties of runs that are alike, as their gradients ``2 coefficient (w - w*)``."""

    def __init__(self, members: Sequence[L2], stacks: Stacks) -> None:
        first = members[0]
        self._slope = 2.0 * first.coefficient
        self._tensors = [stacks.parameters[name] for name in first.names]
        self._gradients = [stacks.gradients[name] for name in first.names]
        self._targets: list[Tensor] | None = None
        if first.targets is not None:
            kept = [member.targets or [] for member in members]
            self._targets = [torch.stack(list(of)) for of in zip(*kept, strict=True)]

    def add_gradients(self) -> None:
        """Add the gradients of the penalties."""
        moved = self._tensors
        if self._targets is not None:
            moved = list(torch._foreach_sub(self._tensors, self._targets))
        torch._foreach_add_(self._gradients, moved, alpha=self._slope)


@INTERVENTIONS.register("l2")
class L2Config(InterventionConfig):
    """L2 penalty in the loss on parameters of the chosen roles."""

    side_by_side: ClassVar[bool] = True
    kind: Literal["l2"] = "l2"
    coefficient: Annotated[float, Field(ge=0)] = 1e-3
    roles: Roles = ("weight", "output", "embedding")

    def bind(self, bound: Bound) -> Intervention:
        """Return an `L2` that pulls to zero."""
        return L2(self, bound)


@INTERVENTIONS.register("l2_init")
class L2InitConfig(InterventionConfig):
    """L2 penalty in the loss on the distance from the initial values (Kumar et al. 2023)."""

    side_by_side: ClassVar[bool] = True
    kind: Literal["l2_init"] = "l2_init"
    coefficient: Annotated[float, Field(ge=0)] = 1e-3
    roles: Roles = ("weight", "output", "embedding", "gain", "offset", "bias")

    def bind(self, bound: Bound) -> Intervention:
        """Return an `L2` that pulls to the initial values."""
        return L2(self, bound)
