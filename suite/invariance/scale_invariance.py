"""Which weights are scale-invariant: f(cW) = f(W) for any c > 0 (Lyle et al. 2024, section 2).

The names and the order of modules do not answer this. A residual branch may or may not end in a
normalisation layer, a head may be registered first, a bias is harmless before BatchNorm but not
before LayerNorm. So each weight is multiplied by a large power of two and by a small one, and the
outputs on a batch of inputs must not change, with the network in training mode.

The question is about the network, not about its current values. An output layer that starts at 0
would make everything before it look invariant, and so would a bias of 0, a small residual branch or
a gain of 0. So the test uses values where nothing vanishes: matrices of the scale 1 / sqrt(fan-in),
other parameters moved away from their initial values. It runs twice, to exclude chance. With large
inputs, weights are made even smaller; otherwise biases and the bends of nonlinearities would not
show. Rows (output units) are invariant if each can be multiplied by a different factor: true before
BatchNorm; before LayerNorm only whole tensors are invariant.

At the network's own values an invariant weight may be so small that the epsilon of a normalisation
layer matters. This is checked by doubling the weight, and refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log2
from typing import Any

import torch
from torch import Tensor, nn

from suite.invariance.forward_passes import Passes, Values, change, reach, unwrap, widened
from suite.invariance.guessed_inputs import made_up
from suite.norms import Per, wide_type
from suite.params import ParamRole, classify, layer_name

LOG = logging.getLogger(__name__)

POWER = 10
"""Of two, what a weight is multiplied by where nothing vanishes: small effects show."""

DOWN = 2
"""The least power it is divided by besides: a bias that drowned shows."""

EPSILON = 1e-3
"""Factor on epsilons there, beside inputs of size 1: those of norm layers count for nothing."""

TOLERANCE = 1e-2
"""Largest relative change of the outputs that counts as none; above what an epsilon does."""

DRAWS = 8
"""Of a network that draws, as with dropout or layers that are dropped at random."""

SMALL = 0.05
"""Entries of gains, biases and the like below this are replaced rather than stretched."""

NOT = "not scale-invariant"
NO_ROWS = "its output units do not lie along one axis"
ASK = (
    "pass probe=, a batch of inputs as the model takes them, or the names of the tensors in which="
)


@dataclass(frozen=True)
class Selection:
    """Which tensors are taken, and why others are not.

    Attributes:
        names: those taken.
        left: reasons, by the name of a tensor that is left.
    """

    names: tuple[str, ...]
    left: dict[str, str] = field(default_factory=dict)


def row_axis(model: nn.Module, name: str) -> int | None:
    """Return the axis of a tensor's output units, None if they do not lie along one.

    Noisy maps stack mean and noise before it; transposed convolutions have inputs first, and with
    groups their outputs lie along no single axis.
    """
    layer = model.get_submodule(layer_name(name))
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return 1 if layer.groups == 1 else None
    return model.get_parameter(name).ndim - 2 if getattr(layer, "is_linear_map", False) else 0


def scale_invariant(model: nn.Module, probe: Any = None, per: Per = "tensor") -> Selection:
    """Return the hidden weights of a network whose scale does not change its outputs.

    A network that says itself which they are, in ``scale_invariant_weights``, is taken at its word,
    and its word is checked if there is a probe.

    Args:
        model: the network; its values, modes and the random generators do not change.
        probe: inputs: a tensor; a tuple or list of arguments; a mapping of keyword arguments.
            Without any, inputs are made up from the sizes of the layers.
        per: whether whole tensors or their rows are asked about.

    Raises:
        ValueError: if there are no inputs, the network fails on them, or what it returns cannot
            tell; if a weight is so small that the epsilon of a normalisation layer counts.
    """
    model, _ = unwrap(model)
    if type(model).forward is nn.Module.forward:
        LOG.warning(
            "%s has no forward: its modules are assumed to run in order; if they do not, pass "
            "the names of the tensors in which=",
            type(model).__name__,
        )
    roles = classify(model)
    declared = getattr(model, "scale_invariant_weights", None)
    if declared is not None:
        if declared and probe is not None:
            check_invariant(model, declared, probe, per)
        others = [name for name, role in roles.items() if role in ASKED and name not in declared]
        return Selection(tuple(declared), dict.fromkeys(others, "the network does not list it"))
    left = {
        name: "an embedding: only linear maps are taken unless they are named"
        for name, role in roles.items()
        if role is ParamRole.EMBEDDING
    }
    candidates = [name for name, role in roles.items() if role in ASKED]
    alike = (getattr(model, "dry_of", None), per)  # plans bind thousands of models that are alike
    if probe is None and alike in _DRY:
        return _DRY[alike]
    trial = ProbedNetwork.find(model, probe) if candidates else None
    if trial is None:
        return Selection(tuple(candidates), left)
    left |= trial.objections(candidates, per)
    names = [name for name in candidates if name not in left]
    trial.check_size(names, per)
    found = Selection(tuple(names), left)
    if probe is None and alike[0] is not None:
        _DRY[alike] = found
    return found


_DRY: dict[tuple[Any, Per], Selection] = {}
"""What is known of models without values, by config, spec and grain."""

ASKED = (ParamRole.WEIGHT, ParamRole.OUTPUT)
"""Roles of the tensors that are asked about; which map is the output, the passes tell."""


def check_invariant(
    model: nn.Module, names: Sequence[str], probe: Any, per: Per = "tensor"
) -> None:
    """Check that the outputs on `probe` do not depend on the scale of the named tensors.

    Args:
        model: the network; it does not change.
        names: parameters to check.
        probe: inputs, as for `scale_invariant`.
        per: whether whole tensors or their rows are asked about.

    Raises:
        ValueError: naming the first tensor that is not scale-invariant, and why.
    """
    trial = ProbedNetwork.find(model, probe)
    if trial is None:
        return
    for name, reason in trial.objections(names, per).items():
        raise ValueError(f"which: {name!r} is {NOT}: {reason.removeprefix(f'{NOT}: ')}")
    trial.check_size(names, per)


class Point:
    """A network on a probe at certain values, and what changes there.

    Args:
        passes: the network on the probe.
        values: its parameters.
        seed: of what the network draws.

    Raises:
        ValueError: if its outputs are not finite there, or vary from pass to pass.
    """

    def __init__(self, passes: Passes, values: Values, seed: int = 0) -> None:
        self.passes, self.values, self._seed = passes, values, seed
        size = round(log2(passes.size))
        self.powers = [POWER + max(0, -size), -max(DOWN, size)]
        self._epsilon = EPSILON / max(1.0, passes.size) ** 2
        self.outputs = self._pass(values)
        if not any(t.is_floating_point() or t.is_complex() for t in self.outputs):
            raise ValueError(f"probe: the model returns no tensor of real numbers; {NAMES}")
        if any(t.isnan().any() for t in self.outputs):
            raise ValueError(f"probe: the outputs are not finite, so there is no answer; {NAMES}")
        self._sizes = reach(self.outputs, self._pass(_shaken(values)))
        if self.moved({}) > TOLERANCE / 10:
            raise ValueError(f"probe: the outputs vary from pass to pass; {NAMES}")

    def moved(self, other: Values) -> float:
        """Return how much `other` values of some parameters change the outputs."""
        return change(self.outputs, self._pass({**self.values, **other}), self._sizes)

    def _pass(self, values: Values) -> list[Tensor]:
        return self.passes(values, self._epsilon, self._seed)

    def scaled(self, names: Sequence[str], axes: Mapping[str, int | None], per: Per) -> float:
        """Return how much the outputs change where all these tensors are scaled at once."""
        return max(
            self.moved({n: _scaled(self.values[n], axes[n], per, power) for n in names})
            for power in self.powers
        )

    def objection(self, name: str, axis: int | None, per: Per) -> str | None:
        """Return what keeps a tensor from being scale-invariant, as far as passes tell, or None."""
        value = self.values[name]
        for power in self.powers:
            for draw in range(1 if per == "tensor" else 3):
                scaled = {name: _scaled(value, axis, per, power, draw)}
                if self.moved(scaled) > TOLERANCE:
                    return self._because(name, scaled, per, power)
        return None

    def _because(self, name: str, scaled: Values, per: Per, power: int) -> str:
        if per == "row" and self.moved({name: self.values[name] * 2.0**power}) <= TOLERANCE:
            return f"{NOT} by row, only as a whole: expected per='tensor'"
        bias = f"{layer_name(name)}.bias".removeprefix(".")
        if bias in self.values:
            silent = {**self.values, bias: torch.zeros_like(self.values[bias])}
            after = self._pass({**silent, **scaled})
            if change(self._pass(silent), after, self._sizes) <= TOLERANCE:
                return f"{NOT} because its bias would have to be scaled too"
        return f"{NOT}: the outputs depend on its scale"

    def redrawn(self, seed: int) -> Point | None:
        """Return this point with other draws, None if they change nothing."""
        outputs = self.passes(self.values, self._epsilon, seed)
        if change(self.outputs, outputs, self._sizes) == 0:
            return None
        return Point(self.passes, self.values, seed)

    def indifferent(self, name: str) -> bool:
        """Return whether the outputs do not depend on a tensor at all."""
        value = self.values[name]
        noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(1)).to(value)
        return self.moved({name: noise * value.norm() / noise.norm()}) == 0


class ProbedNetwork:
    """A network on a probe, at values where nothing vanishes, twice, and at its own.

    Args:
        passes: the network on the probe.

    Raises:
        ValueError: if its outputs are not finite there, or vary from pass to pass.
    """

    def __init__(self, passes: Passes) -> None:
        self.passes, self.model = passes, passes.model
        self.own: Values = {}
        if not passes.meta:
            self.own = {name: widened(p.detach()) for name, p in self.model.named_parameters()}
        self._points = [Point(passes, self._typical(like_own=True))]

    def _typical(self, like_own: bool) -> Values:
        generator = torch.Generator().manual_seed(int(like_own))
        named = self.model.named_parameters()
        return {name: _typical(p.detach(), generator, like_own) for name, p in named}

    @cached_property
    def points(self) -> list[Point]:
        """Both points; one alone without values or if drawn matrices make the network fail."""
        if self.passes.meta:
            return self._points
        try:
            return [*self._points, Point(self.passes, self._typical(like_own=False))]
        except Exception as error:  # whatever a network may raise
            LOG.warning(
                "%s fails with matrices drawn at random (%s): only values near its own decide what "
                "is scale-invariant",
                type(self.model).__name__,
                _said(error),
            )
            return self._points

    @cached_property
    def others(self) -> list[Point]:
        """The first point with other draws; none where the network draws nothing."""
        drawn = (self._points[0].redrawn(seed) for seed in range(1, DRAWS))
        return [point for point in drawn if point is not None]

    @classmethod
    def find(cls, model: nn.Module, probe: Any) -> ProbedNetwork | None:
        """Return the trial on a probe, or on inputs made up.

        None if the network has no values and no inputs are found: then nothing can be said yet.

        Raises:
            ValueError: if the network fails on the probe, or on all that was made up.
        """
        if probe is not None:
            try:
                return cls(Passes(model, probe))
            except ValueError as error:
                if str(error).startswith("probe: "):
                    raise
                raise ValueError(_failed(error)) from error
            except Exception as error:  # whatever a network may raise
                raise ValueError(_failed(error)) from error
        for inputs in made_up(model):
            try:
                return cls(Passes(model, inputs))
            except Exception:  # these do not fit
                continue
        if any(p.is_meta for p in model.parameters()):
            return None
        raise ValueError(f"probe: got None, and no inputs could be made up; expected {ASK}")

    def objections(self, names: Sequence[str], per: Per) -> dict[str, str]:
        """Return why tensors are not to be taken, by the names of those that are not."""
        axes = {name: row_axis(self.model, name) for name in names}
        found = {name: self._objection(name, axes[name], per) for name in names}
        for point in self.others:  # what a layer that is dropped at random hides
            taken = [name for name in names if found[name] is None]
            if taken and point.scaled(taken, axes, per) > TOLERANCE:
                found |= {name: point.objection(name, axes[name], per) for name in taken}
        return {name: reason for name, reason in found.items() if reason is not None}

    def _objection(self, name: str, axis: int | None, per: Per) -> str | None:
        if per == "row" and axis is None:
            return NO_ROWS
        first = self._points[0].objection(name, axis, per)
        if first is not None:
            return first
        if self._points[0].indifferent(name):
            if all(point.indifferent(name) for point in self.others):
                return "the outputs on the probe do not depend on it"
            return None
        return self.points[1].objection(name, axis, per) if len(self.points) > 1 else None

    def check_size(self, names: Sequence[str], per: Per) -> None:
        """Check that scale-invariant tensors are large compared with the epsilons after them.

        Raises:
            ValueError: naming one that is not.
        """
        if self.own and names:
            self._check_size(names, per, self.own)
            # A head or a gain of 0 would hide everything in front of it.
            self._check_size(names, per, {n: _awake(p) for n, p in self.own.items()})

    def _check_size(self, names: Sequence[str], per: Per, values: Values) -> None:
        before = self.passes(values)
        sizes = reach(before, self.passes(_shaken(values)))

        def moved(*some: str) -> float:
            doubled = {n: _scaled(values[n], row_axis(self.model, n), per, 1) for n in some}
            return change(before, self.passes({**values, **doubled}), sizes)

        if (together := moved(*names)) <= TOLERANCE:
            return
        alone = {name: moved(name) for name in names}
        name = max(alone, key=lambda one: alone[one])
        told = f"doubling it changes the outputs by {alone[name]:.1%}"
        if len(names) > 1:
            told += f" and doubling all {len(names)} by {together:.1%}"
        raise ValueError(
            f"which: {name!r} is scale-invariant, but not at its own values: {told}, as when "
            "the epsilon of a norm layer is not small compared with its input; expected larger "
            "initial weights, or a list of names without it"
        )


NAMES = "expected other inputs, or the names of the tensors in which="


def _failed(error: Exception) -> str:
    return f"probe: the model fails on it ({_said(error)}); expected {ASK}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().split("\n", 1)[0]


def _typical(tensor: Tensor, generator: torch.Generator, like_own: bool) -> Tensor:
    """Return a parameter's value where nothing vanishes.

    Tensors of two or more dimensions get the scale 1 / sqrt(fan-in); they are their own with a
    tenth of noise if `like_own`, else drawn. Entries of others are stretched at random, small ones
    replaced. On the meta device all are drawn.
    """
    noise = torch.randn(tensor.shape, generator=generator)
    if not (tensor.is_floating_point() or tensor.is_meta):
        return tensor.clone()
    dtype = wide_type(tensor.dtype)
    device = torch.device("cpu") if tensor.is_meta else tensor.device
    noise = noise.to(device, dtype)
    own = torch.ones_like(noise) if tensor.is_meta else tensor.to(dtype)
    if tensor.ndim < 2:
        return torch.where(own.abs() < SMALL, own + 0.5 * noise, own * (0.3 * noise).exp())
    scale = (tensor.shape[0] / max(tensor.numel(), 1)) ** 0.5
    rms = own.square().mean().sqrt()
    if like_own and not tensor.is_meta and rms > 0:
        noise = own / rms + 0.1 * noise
    return noise.mul_(scale)


def _awake(tensor: Tensor) -> Tensor:
    """Return a parameter's own value, with another in place of what is zero."""
    if not tensor.is_floating_point() or (tensor.ndim > 1 and bool(tensor.any())):
        return tensor
    generator = torch.Generator().manual_seed(3)
    return torch.where(tensor == 0, _typical(tensor, generator, like_own=True), tensor)


def _shaken(values: Values) -> Values:
    """Return values whose entries are multiplied by random positive factors, each by its own."""
    generator = torch.Generator().manual_seed(4)
    return {
        name: value * torch.randn(value.shape, generator=generator).to(value).exp()
        if value.is_floating_point()
        else value
        for name, value in values.items()
    }


def _scaled(value: Tensor, axis: int | None, per: Per, power: int, draw: int = 0) -> Tensor:
    """Return a tensor times 2 to the `power`, or each row by a power of its own up to it."""
    if per == "tensor":
        return value * 2.0**power
    assert axis is not None
    number = value.shape[axis]
    if draw < 2:  # every second row, and the others
        powers = power * ((torch.arange(number) + draw + 1) % 2)
    else:
        generator = torch.Generator().manual_seed(2)
        powers = power - torch.randperm(number, generator=generator) % power
    shape = [-1 if d == axis else 1 for d in range(value.ndim)]
    return value * (2.0**powers).to(value).view(shape)
