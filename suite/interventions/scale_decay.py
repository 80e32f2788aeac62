"""Decay of the gains (and offsets) of norm layers: scale decay (Lyle et al. 2025, Fig. 2 right).

Decoupled, as in AdamW: ``g <- g - lr * coefficient * (g - g*)`` with g* = 0, the paper's "weight
decay applied to the scale parameters", or g* = the initial value. Under projection the weights
cannot shrink, but the gains can, and with them the attention inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.interventions.joined import Joined, Rate, Stacks, pull_
from suite.params import ParamRole


class ScaleDecay(Intervention):
    """Pulls gains and offsets towards their target before each optimizer step."""

    slot = Slot.BEFORE

    def __init__(self, config: ScaleDecayConfig, bound: Bound) -> None:
        named = [bound.parameters(role) for role in (ParamRole.GAIN, ParamRole.OFFSET)]
        self.names = [name for of in named for name, _ in of]
        gains, offsets = ([p for _, p in of] for of in named)
        if not gains:
            raise ConfigError("interventions.scale_decay", None, "a network with norm layers")
        self.coefficient = config.coefficient
        to_one = config.towards == "init"
        self._tensors: list[Tensor] = [*gains, *offsets]
        self._targets = [torch.full_like(g, 1.0 if to_one else 0.0).detach() for g in gains]
        self._targets += [torch.zeros_like(o).detach() for o in offsets]

    @torch.no_grad()
    def before_step(self, step: int, lr: float) -> None:
        """Move every gain and offset by ``lr * coefficient`` of its way to the target."""
        torch._foreach_lerp_(self._tensors, self._targets, lr * self.coefficient)

    @classmethod
    def joined(cls, members: Sequence[ScaleDecay], stacks: Stacks) -> Joined:
        """Return the decay of all runs."""
        return _JoinedScaleDecay(members[0], stacks)


class _JoinedScaleDecay(Joined):
    """The decay of runs that are alike; their targets are, too."""

    def __init__(self, first: ScaleDecay, stacks: Stacks) -> None:
        self.coefficient = first.coefficient
        self._tensors = [stacks.parameters[name] for name in first.names]
        pairs = zip(first._targets, self._tensors, strict=True)
        self._targets = [target.expand_as(tensor).contiguous() for target, tensor in pairs]

    def before_step(self, step: int, lr: Rate) -> None:
        """Move every gain and offset by ``lr * coefficient`` of its way to the target."""
        pull_(self._tensors, self._targets, lr * self.coefficient)


@INTERVENTIONS.register("scale_decay")
class ScaleDecayConfig(InterventionConfig):
    """Decay of the gains and offsets of norm layers to zero or their initial values.

    The coefficients of Lyle et al. 2025 are 1 and 10.
    """

    side_by_side: ClassVar[bool] = True
    kind: Literal["scale_decay"] = "scale_decay"
    coefficient: Annotated[float, Field(ge=0)] = 1.0
    towards: Literal["zero", "init"] = "zero"

    def skip_reason(self, has_norm_layers: bool) -> str | None:
        """There must be gains."""
        return None if has_norm_layers else "scale_decay on a network without norm layers"

    def bind(self, bound: Bound) -> Intervention:
        """Return a `ScaleDecay`."""
        return ScaleDecay(self, bound)
