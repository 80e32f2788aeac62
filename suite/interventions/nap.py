"""Normalize-and-Project as an intervention: `Projection`, and how to treat gains and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.interventions.joined import Joined, Rate, Stacks
from suite.interventions.normalize_project import (
    Projection,
    Projections,
    decay_to_init_,
    joint_norm,
    joint_project_,
)
from suite.interventions.places import Places
from suite.invariance.select_weights import Which
from suite.norms import Per
from suite.params import NORM_LAYERS

PROBED = 16
"""Inputs of a probe that tell what is scale-invariant."""


class NormalizeProject(Intervention):
    """`Projection` and the treatment of gains and offsets, as an intervention."""

    slot = Slot.PROJECT

    def __init__(self, config: NapConfig, bound: Bound) -> None:
        probe = None if bound.probe is None else bound.probe[:PROBED]
        self.projection = Projection(bound.model, config.every, config.per, config.which, probe)
        self.mode, self.alpha = config.gains, config.alpha
        self._places = Places(bound.model)
        self._names: list[tuple[str, str | None]] = []  # of gains and their offsets
        for name, module in self._places.model.named_modules():
            if isinstance(module, NORM_LAYERS) and module.weight is not None:
                start = f"{name}." if name else ""
                offset = f"{start}bias" if getattr(module, "bias", None) is not None else None
                self._names.append((f"{start}weight", offset))
        self._bind()
        pairs = zip(self._gains, self._offsets, strict=True)
        self._joint = [joint_norm(gain.detach(), offset) for gain, offset in pairs]

    def _bind(self) -> None:
        """Find gains and offsets by their names, since parameters get replaced."""
        names = [name for pair in self._names for name in pair if name is not None]
        found: dict[str | None, nn.Parameter] = dict(
            zip(names, self._places.bind(names, ()), strict=True)
        )
        self._gains = [found[gain] for gain, _ in self._names]
        self._offsets = [found.get(offset) for _, offset in self._names]
        if self.mode == "dropped":
            for parameter in found.values():
                parameter.requires_grad_(False)

    def project(self) -> None:
        """Project the weights."""
        self.projection.project()

    @torch.no_grad()
    def after_step(self, step: int, lr: float) -> None:
        """Project the weights, then treat gains and offsets."""
        self.projection.step()
        if self._places.moved:
            self._bind()
        if self.mode == "decay_to_init":
            decay_to_init_(self._gains, [o for o in self._offsets if o is not None], self.alpha)
        elif self.mode == "joint":
            joint_project_(self._gains, self._offsets, self._joint)

    def state_dict(self) -> dict[str, Any]:
        """Return the projection's state; the joint norms follow from the initial gains."""
        return self.projection.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.projection.load_state_dict(state)

    @classmethod
    def joined(cls, members: Sequence[NormalizeProject], stacks: Stacks) -> Joined:
        """Return the projections of all runs."""
        return _JoinedNap(members)


class _JoinedNap(Joined):
    """The projections of runs that are alike, and the treatment of all their gains and offsets."""

    def __init__(self, members: Sequence[NormalizeProject]) -> None:
        self.mode, self.alpha = members[0].mode, members[0].alpha
        self._projections = Projections([member.projection for member in members])
        self._gains = [gain.detach() for member in members for gain in member._gains]
        self._offsets = [o for member in members for o in member._offsets]
        self._joint = [norm for member in members for norm in member._joint]

    @torch.no_grad()
    def after_step(self, step: int, lr: Rate) -> None:
        """Project the weights, then treat gains and offsets."""
        self._projections.step()
        if self.mode == "decay_to_init":
            decay_to_init_(self._gains, [o for o in self._offsets if o is not None], self.alpha)
        elif self.mode == "joint":
            joint_project_(self._gains, self._offsets, self._joint)


@INTERVENTIONS.register("nap")
class NapConfig(InterventionConfig):
    """Normalize-and-Project: rescales weights to their initial norms after updates.

    `gains`: ``free``; ``decay_to_init`` with factor `alpha` a step; ``joint`` holds each layer's
    (gain, offset) at its joint initial norm; ``dropped`` fixes gains at 1 and offsets at 0.
    """

    side_by_side: ClassVar[bool] = True
    kind: Literal["nap"] = "nap"
    every: Annotated[int, Field(ge=1)] = 1
    per: Per = "tensor"
    which: Which | Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = "invariant"
    gains: Literal["free", "decay_to_init", "joint", "dropped"] = "free"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.999

    def skip_reason(self, has_norm_layers: bool) -> str | None:
        """Without norm layers no weight is scale-invariant."""
        if self.which == "invariant" and not has_norm_layers:
            return "nap on a network without norm layers: nothing is scale-invariant"
        return None

    def bind(self, bound: Bound) -> Intervention:
        """Return a `NormalizeProject`.

        Raises:
            ConfigError: if it would project nothing, or a weight is not scale-invariant.
        """
        try:
            return NormalizeProject(self, bound)
        except ValueError as error:
            raise ConfigError("interventions.nap", self.which, str(error)) from error
