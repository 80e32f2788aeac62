"""Learning rates proportional to the size of each layer (Lyle et al. 2025, Fig. 5 left).

This is the paper's *even-ratio-abs*: the rate of layer l is proportional to the mean |w| of the
layer. An update with a given size per element, such as Adam's, then changes every layer by the same
share of its L1 norm. The factor is not stated; here the mean of the scales over the layers is 1 at
the start, so that the base rate keeps its meaning::

    scale_l = mean |w_l| / mean over layers of mean |w_l(0)|

A layer is a tensor of role weight, output or embedding; gains, offsets and biases keep their rate.
The factors of ``rate_by_role`` multiply the scales, so the paper's *fast features* and *slow
features* need no intervention: ``optimizer.rate_by_role: {output: 0.1}`` and ``{weight: 0.1}``.

The rate of a parameter group is a Python float: it is logged, and torch's fused optimizers would
read a tensor back anyway. So the means of all layers are copied to the host together, once every
`every` updates. With ``every: 1`` each update waits for the device once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.norms import mean_magnitudes
from suite.optimizers import split_groups
from suite.params import ParamRole

LAYERS = (ParamRole.WEIGHT, ParamRole.OUTPUT, ParamRole.EMBEDDING)
"""Roles of tensors with their own rates."""


class EvenRatioAbs(Intervention):
    """Gives every layer a parameter group with a scale that follows the layer's mean |w|."""

    slot = Slot.BEFORE

    def __init__(self, config: EvenRatioAbsConfig, bound: Bound) -> None:
        self.every = config.every
        named = bound.parameters(*LAYERS)
        if not named:
            raise ConfigError("interventions.even_ratio_abs", None, "a network with weights")
        self.names = [name for name, _ in named]
        self.tensors = [p.detach() for _, p in named]
        self.unit = 0.0  # mean over layers of mean |w| at the start

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Split the optimizer's groups, one per tensor, and set the first scales.

        Raises:
            ConfigError: if a layer starts at zero: its rate would be zero for good.
        """
        split_groups(optimizer)
        self.optimizer = optimizer
        self.factors = {g["names"][0]: g["scale"] for g in optimizer.param_groups}
        means = mean_magnitudes(self.tensors).tolist()
        for name, mean in zip(self.names, means, strict=True):
            if mean == 0.0:
                expected = f"initial weights other than zero; {name} could never move"
                raise ConfigError("interventions.even_ratio_abs", None, expected)
        self.unit = sum(means) / len(means)
        self._set(means)

    def _set(self, means: Sequence[float]) -> None:
        """Set the groups' scales from the layers' mean |w|."""
        scales = {n: mean / self.unit for n, mean in zip(self.names, means, strict=True)}
        for group in self.optimizer.param_groups:
            name = group["names"][0]
            group["scale"] = self.factors[name] * scales.get(name, 1.0)

    def before_step(self, step: int, lr: float) -> None:
        """Every now and then read the layers' sizes and put the rates in force."""
        if step % self.every == 0:
            self._set(mean_magnitudes(self.tensors).tolist())
            for group in self.optimizer.param_groups:
                group["lr"] = lr * group["scale"]

    def state_dict(self) -> dict[str, Any]:
        """Return the unit of the scales, which follows from the initial weights."""
        return {"unit": self.unit}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.unit = state["unit"]


@INTERVENTIONS.register("even_ratio_abs")
class EvenRatioAbsConfig(InterventionConfig):
    """Learning rates proportional to the mean |w| of each layer (Lyle et al. 2025, Fig. 5 left)."""

    kind: Literal["even_ratio_abs"] = "even_ratio_abs"
    every: Annotated[int, Field(ge=1)] = 10

    def bind(self, bound: Bound) -> Intervention:
        """Return an `EvenRatioAbs`."""
        return EvenRatioAbs(self, bound)
