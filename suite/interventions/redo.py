"""ReDo: hidden units that have become dormant are recycled (Sokar et al. 2023, Algorithm 1).

The score of a unit is its mean |activation| over a batch, divided by the layer's mean (Eq. 1)::

    s_i = a_i / (mean_j a_j + 1e-9);   unit i is dormant if s_i <= tau

In a convolution a unit is a channel, with its activation averaged over positions. A dormant unit
gets fresh incoming weights, bias, gain and offset, and outgoing weights of zero, so that recycling
hardly changes the outputs. A weight that is both becomes zero. The optimizer's moments of these
elements are zeroed; its step count, one per tensor, is kept.

Constants: the paper recycles every 1,000 updates with tau = 0.025 in the default setting of DQN and
tau = 0.1 at high update-to-data ratios, scores from 64 observations; 0.1 is the default here. The
authors' code (google/dopamine, labs/redo) has other defaults (tau = 0, every 200,000). It zeroes
the moments and keeps the count, which the paper does not mention, and does not change the target
network; this code does the same. It also sets the bias to zero, the initial value in its networks.

A layer is skipped if anything other than linear maps reads its units: after a residual sum, zeroing
the outgoing weights would not be enough. In ``impala_cnn`` these are the first convolutions of each
section; those inside its residual units are recycled.

Recycling ignores normalisation (Lyle et al. 2024, section 5): a later projection rescales the whole
tensor, including its recycled rows and columns.

References:
    Sokar, Agarwal, Castro, Evci 2023, The Dormant Neuron Phenomenon in Deep Reinforcement Learning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.clock import Duration
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS, Bound, Intervention
from suite.interventions.timing import Timed, TimedConfig
from suite.models.base import ACTIVATIONS
from suite.models.predict import evaluating
from suite.models.units import CONVOLUTIONS, HiddenLayer, hidden_layers, unit_axis
from suite.optimizers import clear_moments
from suite.params import is_linear_map

Masks = list[tuple[str, Tensor]]
"""Parameters by name, each with booleans that broadcast to its shape."""


def dormant(activity: Tensor, tau: float) -> Tensor:
    """Return which units are dormant, (units,) booleans.

    Args:
        activity: mean |activation| of each unit, (units,).
        tau: largest score, in units of the layer's mean, of a dormant unit.

    >>> dormant(torch.tensor([0.0, 0.1, 1.9, 2.0]), tau=0.1)
    tensor([ True,  True, False, False])
    """
    return activity / (activity.mean() + 1e-9) <= tau


def along(mask: Tensor, parameter: Tensor, axis: int) -> Tensor:
    """Return `mask` shaped to broadcast to `parameter`, its entries along `axis`."""
    return mask.view([-1 if i == axis else 1 for i in range(parameter.ndim)])


def incoming(model: nn.Module, layer: HiddenLayer, mask: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters that lead to a layer's units, masked where they lead to those in `mask`.

    Args:
        model: the network.
        layer: its units.
        mask: which units, (units,).

    Raises:
        ValueError: if a norm layer's gains do not belong to units.
    """
    convolution = isinstance(model.get_submodule(layer.incoming), CONVOLUTIONS)
    for leaf, p in model.get_submodule(layer.incoming).named_parameters(recurse=False):
        axis = p.ndim - 1 if leaf == "bias" else unit_axis(p, convolution)
        yield f"{layer.incoming}.{leaf}", along(mask, p, axis)
    for name in layer.norms:
        for leaf, p in model.get_submodule(name).named_parameters(recurse=False):
            if len(p) != len(mask):
                raise ValueError(f"{name}.{leaf} has {len(p)} entries; expected {len(mask)} units")
            yield f"{name}.{leaf}", along(mask, p, 0)


def outgoing(model: nn.Module, layer: HiddenLayer, mask: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights that read a layer's units, masked where they read those in `mask`.

    A unit has several features behind a doubling nonlinearity; all of them are masked.

    Raises:
        ValueError: if the inputs of a map are not the units, once or once per position.
    """
    features = mask.repeat(layer.copies)
    for name in layer.outgoing:
        module = model.get_submodule(name)
        weight = model.get_parameter(f"{name}.weight")
        axis = unit_axis(weight, isinstance(module, CONVOLUTIONS)) + 1
        positions, rest = divmod(weight.shape[axis], len(features))
        if rest or positions < 1:
            raise ValueError(
                f"{name} has {weight.shape[axis]} inputs; "
                f"expected a multiple of {len(features)} features"
            )
        # Flattening puts the positions of a channel side by side; else the units of a position.
        each = features.repeat_interleave(positions)
        wide = each if layer.channels else features.repeat(positions)
        yield f"{name}.weight", along(wide, weight, axis)


@torch.no_grad()
def recycle_(
    parameters: Mapping[str, nn.Parameter],
    initial: Mapping[str, Tensor],
    renewed: Masks,
    silenced: Masks,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Renew and silence elements in place, and zero their moments.

    Args:
        parameters: by name.
        initial: fresh initial values, by name.
        renewed: elements that get fresh values.
        silenced: elements that get zero, also if they were drawn before.
        optimizer: what holds the moments; None leaves them.
    """
    for name, mask in renewed:
        parameters[name].copy_(torch.where(mask, initial[name], parameters[name]))
    for name, mask in silenced:
        parameters[name].masked_fill_(mask, 0.0)
    if optimizer is not None:
        for name, mask in [*renewed, *silenced]:
            clear_moments(optimizer, parameters[name], mask)


class Redo(Timed):
    """Finds dormant units on the probe and recycles them, now and then.

    Attributes:
        skipped: why layers are left alone, by name of their nonlinearity.
    """

    def __init__(self, config: RedoConfig, bound: Bound) -> None:
        super().__init__(config, bound)
        self.tau, self.probe = config.tau, bound.probe
        self.skipped: dict[str, str] = {}
        modules = list(bound.model.modules())
        if sum(map(is_linear_map, modules)) < 2 or not any(
            isinstance(m, ACTIVATIONS) for m in modules
        ):
            raise ConfigError("interventions.redo", None, "a network with hidden units")
        if self.probe is not None:
            self._check()

    def set_probe(self, probe: Tensor) -> None:
        """Score units on `probe` from now on."""
        self.probe = probe

    def _layers(self) -> list[HiddenLayer]:
        forward, probe = self.bound.forward or self.bound.model, self.probe
        if probe is None:
            raise ValueError("probe: got None; expected a batch of inputs to score units on")
        with evaluating(self.bound.model):
            layers = hidden_layers(self.bound.model, lambda: forward(probe))
        self.skipped = {
            layer.name: f"its units are also read by {', '.join(dict.fromkeys(layer.others))}"
            for layer in layers
            if layer.others
        }
        return [layer for layer in layers if not layer.others]

    def _check(self) -> None:
        """Check that the network's units and their weights can be separated.

        Raises:
            ConfigError: if they cannot, with the reasons.
        """  # noqa: DOC501
        try:
            layers = self._layers()
            if not layers:
                reasons = [f"{name}: {reason}" for name, reason in self.skipped.items()]
                nothing = "no linear map reads the output of a nonlinearity"
                raise ValueError("; ".join(reasons) or nothing)
            for layer in layers:
                mask = torch.zeros_like(layer.activity, dtype=torch.bool)
                for name, wide in [
                    *incoming(self.bound.model, layer, mask),
                    *outgoing(self.bound.model, layer, mask),
                ]:
                    wide.expand_as(self.bound.model.get_parameter(name))
        except (ValueError, RuntimeError) as error:
            expected = f"a network with hidden units between linear maps ({error})"
            raise ConfigError("interventions.redo", None, expected) from error

    def act(self, done: int) -> bool:
        """Recycle the units that are dormant now."""
        model, layers = self.bound.model, self._layers()
        masks = [dormant(layer.activity, self.tau) for layer in layers]
        counts = torch.stack([mask.sum() for mask in masks]).tolist()
        for layer, count in zip(layers, counts, strict=True):
            self.happened(done, "recycled_units", layer.name, float(count))
        if any(counts):
            pairs = list(zip(layers, masks, strict=True))
            renewed = [part for layer, mask in pairs for part in incoming(model, layer, mask)]
            silenced = [part for layer, mask in pairs for part in outgoing(model, layer, mask)]
            parameters = dict(model.named_parameters())
            recycle_(parameters, self.bound.initial(done), renewed, silenced, self.optimizer)
        return False


@INTERVENTIONS.register("redo")
class RedoConfig(TimedConfig):
    """ReDo: gives dormant units new incoming weights at intervals (Sokar et al. 2023)."""

    looks_at_batches: ClassVar[bool] = True
    side_by_side: ClassVar[bool] = True
    kind: Literal["redo"] = "redo"
    every: Duration | None = Duration(steps=1000)
    tau: Annotated[float, Field(ge=0)] = 0.1

    def bind(self, bound: Bound) -> Intervention:
        """Return a `Redo`.

        Raises:
            ConfigError: if the network has no hidden units, or none that can be separated.
        """
        return Redo(self, bound)
