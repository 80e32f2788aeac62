"""The intervention protocol and the stack that both trainers share.

An update runs the slots in this order, whatever the order of the list in the config::

    loss   = task loss + sum(extra_loss)             # slot LOSS
    backward
    before_step                                      # slot BEFORE: gradients or weights, e.g. decay
    optimizer.step
    after_step                                       # slot AFTER, then RESET, then PROJECT (last)

Interventions act on parameters and optimizer state in place, by identity and by role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any

import torch
from pydantic import SerializeAsAny
from torch import Tensor, nn

from suite.clock import Clock
from suite.config import Component, one_of
from suite.params import ParamRole, classify
from suite.registry import Registry


class Slot(IntEnum):
    """When an intervention acts; lower values first."""

    LOSS = 0
    BEFORE = 1
    AFTER = 2
    RESET = 3
    PROJECT = 4


@dataclass(frozen=True)
class Bound:
    """What an intervention is bound to, once, before training.

    Attributes:
        model: the network that is trained (of an agent: the online network).
        roles: role of every trainable parameter, by name.
        clock: lengths of the run.
        probe: a batch of inputs, for numerical checks; None where there is none.
        forward: maps the probe through the model to its outputs; the model itself by default.
    """

    model: nn.Module
    roles: Mapping[str, ParamRole]
    clock: Clock
    probe: Tensor | None = None
    forward: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def of(cls, model: nn.Module, clock: Clock, probe: Tensor | None = None) -> Bound:
        """Bind to `model`, its roles read off its modules."""
        return cls(model, classify(model), clock, probe)

    def parameters(self, *roles: ParamRole) -> list[tuple[str, nn.Parameter]]:
        """Return the named parameters that have one of `roles`."""
        named = dict(self.model.named_parameters())
        return [(name, named[name]) for name, role in self.roles.items() if role in roles]


class Intervention:
    """Base class: every hook does nothing unless a subclass says otherwise.

    A hook's `step` is the gradient step it belongs to, counted from 0, and `lr` the rate in force.
    """

    slot: Slot = Slot.AFTER

    def extra_loss(self) -> Tensor | None:
        """Return a scalar to add to the loss, or None."""
        return None

    def before_step(self, step: int, lr: float) -> None:
        """Act between the backward pass and the optimizer's step."""

    def after_step(self, step: int, lr: float) -> None:
        """Act after the optimizer's step."""

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


class InterventionConfig(Component):
    """Base of every intervention's config."""

    def skip_reason(self, has_norm_layers: bool) -> str | None:
        """Return why this cannot be combined with the network, or None."""
        return None

    def bind(self, bound: Bound) -> Intervention:
        """Return the intervention, bound to a model.

        Raises:
            ConfigError: if it finds nothing to act on.
        """
        raise NotImplementedError


INTERVENTIONS: Registry[type[InterventionConfig]] = Registry("intervention", "suite.interventions")

AnyIntervention = Annotated[
    SerializeAsAny[InterventionConfig], one_of(INTERVENTIONS, shorthand=True)
]
"""A field that holds any registered intervention."""


class InterventionStack:
    """All interventions of a run, called by slot.

    Args:
        configs: the interventions, in the order of the config.
        bound: what they act on.
    """

    def __init__(self, configs: Sequence[InterventionConfig], bound: Bound) -> None:
        self.members = [config.bind(bound) for config in configs]
        # Within a slot by the config's text, so that the order of the list does not matter.
        pairs = zip(self.members, configs, strict=True)
        ordered = sorted(pairs, key=lambda pair: (pair[0].slot, pair[1].canonical()))
        self._ordered = [member for member, _ in ordered]
        self._adds_loss = [m for m in self._ordered if m.slot is Slot.LOSS]

    def extra_loss(self) -> Tensor | None:
        """Return the sum of the extra losses, or None if there are none."""
        terms = [term for m in self._adds_loss if (term := m.extra_loss()) is not None]
        return torch.stack(terms).sum() if terms else None

    def before_step(self, step: int, lr: float) -> None:
        """Call every member between the backward pass and the optimizer's step."""
        for member in self._ordered:
            member.before_step(step, lr)

    def after_step(self, step: int, lr: float) -> None:
        """Call every member after the optimizer's step, projection last."""
        for member in self._ordered:
            member.after_step(step, lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the members' states, in the order of the config."""
        return {str(i): member.state_dict() for i, member in enumerate(self.members)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for i, member in enumerate(self.members):
            member.load_state_dict(state[str(i)])
