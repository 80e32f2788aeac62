"""The intervention protocol and the stack that both trainers share.

After the optimizer is made, `attach` passes it on once. An update then runs the slots in this
order, independent of the order of the list in the config::

    begin_phase                                      # where a phase begins; then PROJECT
    loss   = task loss + sum(extra_loss)             # slot LOSS
    backward
    before_step                                      # slot BEFORE: gradients or weights, e.g. decay
    optimizer.step
    after_step                                       # slot AFTER, then RESET, then PROJECT (last)
    take_events                                      # what happened, for the rows

Interventions act on parameters and optimizer state in place, by identity and by role. A hook that a
method does not override is not called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import SerializeAsAny
from torch import Tensor, nn

from suite.clock import Clock
from suite.config import Component, one_of
from suite.errors import ConfigError
from suite.interventions.joined import Joined, Rate, Stacks
from suite.params import ParamRole, classify
from suite.registry import Registry
from suite.rows import Event
from suite.seeding import Seeds


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
        fresh: maps k >= 0 to a newly initialised network of the same architecture, drawn from the
            run's own stream ``reset/<k>``; None where there is none.
        seeds: of the run, for other draws; None where there are none.
    """

    model: nn.Module
    roles: Mapping[str, ParamRole]
    clock: Clock
    probe: Tensor | None = None
    forward: Callable[[Tensor], Tensor] | None = None
    fresh: Callable[[int], nn.Module] | None = None
    seeds: Seeds | None = None

    @classmethod
    def of(
        cls,
        model: nn.Module,
        clock: Clock,
        probe: Tensor | None = None,
        fresh: Callable[[int], nn.Module] | None = None,
        seeds: Seeds | None = None,
    ) -> Bound:
        """Bind to `model`, its roles read off its modules."""
        return cls(model, classify(model), clock, probe, fresh=fresh, seeds=seeds)

    def parameters(self, *roles: ParamRole) -> list[tuple[str, nn.Parameter]]:
        """Return the named parameters that have one of `roles`."""
        named = dict(self.model.named_parameters())
        return [(name, named[name]) for name, role in self.roles.items() if role in roles]

    def of_roles(self, kind: str, roles: Sequence[str]) -> dict[str, nn.Parameter]:
        """Return the parameters that an intervention acts on, by name.

        Args:
            kind: name of the intervention, for the message.
            roles: its key `roles`.

        Raises:
            ConfigError: if the network has no parameter of these roles.
        """
        named = dict(self.parameters(*map(ParamRole, roles)))
        if not named:
            has = ", ".join(sorted(set(self.roles.values())))
            raise ConfigError(
                f"interventions.{kind}.roles", list(roles), f"roles that this network has: {has}"
            )
        return named

    def initial(self, index: int) -> dict[str, Tensor]:
        """Return fresh initial values of every parameter, by name, from the stream ``reset/index``.

        Raises:
            ValueError: if there is no way to draw them.
        """
        if self.fresh is None:
            raise ValueError("fresh: got None; expected a function that builds the network again")
        drawn = dict(self.fresh(index).named_parameters())
        named = dict(self.model.named_parameters())
        return {name: drawn[name].detach().to(named[name]) for name in self.roles}

    def generator(self, stream: str, device: torch.device) -> torch.Generator:
        """Return a generator on `device` at the start of one of the run's streams.

        Raises:
            ValueError: if there are no seeds.
        """
        if self.seeds is None:
            raise ValueError("seeds: got None; expected those of the run")
        return torch.Generator(device).manual_seed(self.seeds.seed(stream))


class Intervention:
    """Base class: every hook does nothing unless a subclass says otherwise.

    A hook's `step` is the gradient step it belongs to, counted from 0, and `lr` the rate in force.
    """

    slot: Slot = Slot.AFTER

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer, before the first update; its state may be changed in place."""

    def set_probe(self, probe: Tensor) -> None:
        """Take a batch of inputs to look at from now on; a trainer may pass that of each update."""

    def begin_phase(self, step: int) -> bool:
        """Act where a phase of the task begins, before its first update; return as `after_step`."""
        return False

    def project(self) -> None:
        """Put norms that are held back to where they belong; of slot PROJECT alone."""

    def extra_loss(self) -> Tensor | None:
        """Return a scalar to add to the loss, or None."""
        return None

    def before_step(self, step: int, lr: float) -> None:
        """Act between the backward pass and the optimizer's step."""

    def after_step(self, step: int, lr: float) -> bool | None:
        """Act after the optimizer's step.

        Returns:
            True if the network was reset, so that a copy of it, such as an agent's target network,
            has to be made again.
        """

    def take_events(self) -> list[Event]:
        """Return what happened since the last call, for the rows."""
        return []

    @classmethod
    def joined(cls, members: Sequence[Self], stacks: Stacks) -> Joined | None:
        """Return what does at every update what the members do, for all their runs at once.

        None if each acts on its own run, as is right for what is done now and then; in the slot
        LOSS there must be a joined form, if the config says `side_by_side`.

        Args:
            members: of runs that are trained side by side, alike but for their tensors.
            stacks: the tensors of all runs; those of a member's run are slices of them.
        """
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


class InterventionConfig(Component):
    """Base of every intervention's config.

    Attributes:
        looks_at_batches: whether what it does depends on the inputs of an update.
        side_by_side: whether runs with it can be trained side by side: it finds parameters and
            optimizer state where they are at each call, keeps nothing that runs of one process
            would share, and does nothing to the rate.
    """

    looks_at_batches: ClassVar[bool] = False
    side_by_side: ClassVar[bool] = False

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
        own: further ones, of the task itself; within a slot they come first.
    """

    def __init__(
        self,
        configs: Sequence[InterventionConfig],
        bound: Bound,
        own: Sequence[Intervention] = (),
    ) -> None:
        self.members = [*(config.bind(bound) for config in configs), *own]
        # Within a slot by the config's text, so that the order of the list does not matter.
        texts = [*(config.canonical() for config in configs), *[""] * len(own)]
        pairs = zip(self.members, texts, strict=True)
        ordered = sorted(pairs, key=lambda pair: (pair[0].slot, pair[1]))
        self._ordered = [member for member, _ in ordered]
        self._adds_loss = [m for m in self._ordered if m.slot is Slot.LOSS]
        self._phases = frozenset(bound.clock.starts[1:])
        self._beginning = self._with("begin_phase")
        self._projecting = self._with("project")
        self._looking = self._with("set_probe")
        self._before = self._with("before_step")
        self._after = self._with("after_step")
        self._telling = self._with("take_events")

    def _with(self, hook: str) -> list[Intervention]:
        """Return the members that do something at a hook, in order."""
        default = getattr(Intervention, hook)
        return [m for m in self._ordered if getattr(type(m), hook) is not default]

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Hand every member the optimizer, once, before the first update."""
        for member in self._ordered:
            member.attach(optimizer)

    def set_probe(self, probe: Tensor) -> None:
        """Give a batch of inputs to the members that look at one."""
        for member in self._looking:
            member.set_probe(probe)

    def begin_update(self, step: int) -> bool:
        """Where a phase begins with this update, call the members that act there; then project.

        What was measured and evaluated at the end of the phase before has seen nothing of it.

        Returns:
            Whether the network was reset, so that copies of it have to be made again.
        """
        if step not in self._phases or not self._beginning:
            return False
        reset = [member.begin_phase(step) for member in self._beginning]
        for member in self._projecting:
            member.project()
        return any(reset)

    def extra_loss(self) -> Tensor | None:
        """Return the sum of the extra losses, or None if there are none."""
        terms = [term for m in self._adds_loss if (term := m.extra_loss()) is not None]
        return torch.stack(terms).sum() if terms else None

    def before_step(self, step: int, lr: float) -> None:
        """Call the members between the backward pass and the optimizer's step."""
        for member in self._before:
            member.before_step(step, lr)

    def after_step(self, step: int, lr: float) -> bool:
        """Call the members after the optimizer's step, projection last.

        Returns:
            Whether the network was reset, so that copies of it have to be made again.
        """
        reset = False
        for member in self._after:
            reset = bool(member.after_step(step, lr)) or reset
        return reset

    def take_events(self) -> list[Event]:
        """Return what happened since the last call, for the rows."""
        return [event for member in self._telling for event in member.take_events()]

    @staticmethod
    def join(stacks: Sequence[InterventionStack], tensors: Stacks) -> JoinedStack:
        """Return what the stacks of runs do at every update, for all runs at once.

        Args:
            stacks: of runs that are alike.
            tensors: of the runs.

        Raises:
            NotImplementedError: if one adds to the loss and has no joined form.
        """
        made: dict[Intervention, Joined] = {}
        for members in zip(*(stack._ordered for stack in stacks), strict=True):
            kind = type(members[0])
            found = kind.joined(members, tensors)
            if found is None and kind.extra_loss is not Intervention.extra_loss:
                raise NotImplementedError(
                    f"{kind.__name__}.joined: side_by_side needs it for losses"
                )
            made[members[0]] = _Each(members) if found is None else found
        first = stacks[0]
        return JoinedStack(
            adds_loss=[made[m] for m in first._adds_loss],
            before=[made[m] for m in first._before],
            after=[made[m] for m in first._after],
            tells=bool(first._telling),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the members' states, in the order of the config."""
        return {str(i): member.state_dict() for i, member in enumerate(self.members)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        for i, member in enumerate(self.members):
            member.load_state_dict(state[str(i)])


@dataclass(frozen=True)
class JoinedStack:
    """The interventions of runs that are trained side by side, by hook and in order.

    Attributes:
        adds_loss: those with a term of the loss.
        before: those that act before the optimizer's step.
        after: those that act after it.
        tells: whether any of a run has events to tell of.
    """

    adds_loss: Sequence[Joined]
    before: Sequence[Joined]
    after: Sequence[Joined]
    tells: bool


class _Each(Joined):
    """Interventions that act one by one, each on its own run.

    Args:
        members: of the runs, in their order.
    """

    def __init__(self, members: Sequence[Intervention]) -> None:
        self.members = members

    def _with_rates(self, lr: Rate) -> Iterator[tuple[Intervention, float]]:
        every = [lr] * len(self.members) if isinstance(lr, float) else lr.tolist()
        return zip(self.members, every, strict=True)

    def before_step(self, step: int, lr: Rate) -> None:
        """Call every member."""
        for member, rate in self._with_rates(lr):
            member.before_step(step, rate)

    def after_step(self, step: int, lr: Rate) -> bool:
        """Call every member; return whether any of them has reset its network."""
        reset = [member.after_step(step, rate) for member, rate in self._with_rates(lr)]
        return any(reset)
