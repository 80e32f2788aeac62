"""Normalize-and-Project as an intervention: `Projection`, and what becomes of gains and offsets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.interventions.normalize_project import (
    Projection,
    decay_to_init_,
    joint_norm,
    joint_project_,
)
from suite.invariance.select import Which
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
        norms = [m for m in bound.model.modules() if isinstance(m, NORM_LAYERS)]
        affine = [(m.weight, getattr(m, "bias", None)) for m in norms if m.weight is not None]
        self._gains = [gain for gain, _ in affine]
        self._offsets = [offset for _, offset in affine]
        self._joint = [joint_norm(gain.detach(), offset) for gain, offset in affine]
        if self.mode == "dropped":
            for parameter in (*self._gains, *self._offsets):
                if parameter is not None:
                    parameter.requires_grad_(False)

    def project(self) -> None:
        """Project the weights."""
        self.projection.project()

    @torch.no_grad()
    def after_step(self, step: int, lr: float) -> None:
        """Project the weights, then treat gains and offsets."""
        self.projection.step()
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


@INTERVENTIONS.register("nap")
class NapConfig(InterventionConfig):
    """How often, at what grain and on which tensors to project; what becomes of the gains.

    `gains`: ``free``; ``decay_to_init`` with factor `alpha` a step; ``joint`` holds each layer's
    (gain, offset) at its joint initial norm; ``dropped`` fixes gains at 1 and offsets at 0.
    """

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
