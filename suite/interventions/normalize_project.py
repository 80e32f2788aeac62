"""Normalize-and-Project: rescale each weight to its norm at initialisation (Lyle et al. 2024).

After the optimizer's step, ``W <- W * |W_0| / |W|`` (2024, Algorithm 1; 2025, Eq. 2). With the norm
pinned, the effective learning rate of a scale-invariant weight follows the schedule alone: it is
``lr / |W|^2`` for plain gradient steps and ``lr / |W|`` for normalised ones such as Adam's.

Which tensors: ``invariant`` takes the weights that a normalisation layer follows, for which
f(cW) = f(W), leaving output layer, gains and offsets (2024, 1.3); ``matrices`` takes every tensor
of two or more dimensions, embeddings and decoder included, as the grokking experiments do with and
without norm layers (2025, section 4); a list takes the tensors it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from suite.errors import ConfigError, nearest
from suite.interventions.base import INTERVENTIONS, Bound, Intervention, InterventionConfig, Slot
from suite.norms import Flats, Per, dense, flat_views, squared_norms
from suite.params import NORM_LAYERS, ParamRole, classify, scale_invariant

Which = Literal["invariant", "matrices"]
TINY = 1e-30


def project_(
    tensors: Sequence[Tensor],
    targets: Sequence[Tensor] | Tensor,
    per: Per = "tensor",
    flats: Flats | None = None,
    axes: Sequence[int] | None = None,
) -> None:
    """Rescale `tensors` in place to the norms `targets`; no value visits the host.

    Args:
        tensors: weights.
        targets: norms, shaped as `squared_norms` gives them; of scalars a vector will do.
        per: one norm per tensor, or one per row.
        flats: `flat_views` of the tensors, if they are at hand.
        axes: of each tensor's rows; the first by default.
    """
    if per == "tensor":
        wanted = targets if isinstance(targets, Tensor) else torch.stack(list(targets))
        squared = (flat_views(tensors) if flats is None else flats).squared()
        factors = wanted * squared.clamp_min_(TINY).rsqrt_()
        torch._foreach_mul_(list(tensors), list(factors.unbind()))
    else:
        rows = squared_norms(tensors, per, axes=axes)
        for tensor, target, square in zip(tensors, targets, rows, strict=True):
            tensor.mul_(target * square.clamp_min(TINY).rsqrt())


def _row_axis(model: nn.Module, name: str) -> int:
    """Return the axis of a tensor's output units; noisy maps stack mean and noise before it."""
    owner = model.get_submodule(name.rpartition(".")[0])
    return model.get_parameter(name).ndim - 2 if getattr(owner, "is_linear_map", False) else 0


class Projection:
    """The projection of Normalize-and-Project, for anybody's training loop.

    >>> net = nn.Sequential(
    ...     nn.Linear(4, 8, bias=False), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)
    ... )
    >>> nap = Projection(net)
    >>> list(nap.names)
    ['0.weight']
    >>> _ = net[0].weight.data.mul_(3)
    >>> nap.step()
    >>> bool(torch.isclose(net[0].weight.norm(), nap.targets["0.weight"]))
    True

    Args:
        model: the network, at its initialisation: its norms now are the targets.
        every: project on every `every`-th call of `step`.
        per: one norm per tensor (a convolution kernel is one tensor) or per row (output unit).
        which: ``invariant``, ``matrices``, or the names of the tensors.
        probe: a batch of inputs; given one, ``invariant`` is checked numerically.

    Raises:
        ValueError: if nothing would be projected, a name is unknown, `every` is below 1, or a
            tensor that should be scale-invariant is not.
    """

    def __init__(
        self,
        model: nn.Module,
        every: int = 1,
        per: Per = "tensor",
        which: Which | Sequence[str] = "invariant",
        probe: Tensor | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every: got {every}; expected a number of steps of at least 1")
        named = dict(model.named_parameters())
        self.names = tuple(_select(model, which))
        unknown = [name for name in self.names if name not in named]
        if unknown:
            raise ValueError(f"which: got {unknown[0]!r}; expected {nearest(unknown[0], named)}")
        if not self.names:
            raise ValueError(
                f"which: got {which!r}, which selects no tensor of this model; expected "
                "normalisation layers right after bias-free linear maps, or which='matrices'"
            )
        self.every, self.per = every, per
        self._parameters = [named[name] for name in self.names]
        self._tensors = [p.detach() for p in self._parameters]
        self._axes = [_row_axis(model, name) for name in self.names]
        self._flats: Flats | None = None
        self._addresses: list[int] = []
        self._calls = 0
        if which == "invariant" and probe is not None:
            check_invariant(model, self.names, probe)
        with torch.no_grad():
            squared = squared_norms(self._tensors, per, axes=self._axes)
            self._hold([s.sqrt() for s in squared])

    def __repr__(self) -> str:
        """Name the tensors and their norms; this waits for the device."""
        held = ", ".join(f"{name}: {t.norm().item():.4g}" for name, t in self.targets.items())
        return f"Projection(every={self.every}, per={self.per!r}, targets={{{held}}})"

    def _hold(self, targets: list[Tensor]) -> None:
        """Take `targets` as the norms from now on; scalars are kept as one vector."""
        self._targets = torch.stack(targets) if self.per == "tensor" else targets

    @property
    def targets(self) -> dict[str, Tensor]:
        """The norm each tensor is held to, by the tensor's name."""
        return dict(zip(self.names, self._targets, strict=True))

    def _views(self) -> Flats | None:
        """Return flat views of the tensors, made anew if the model was moved meanwhile.

        None if a tensor has no flat view, so that its norm must be read from a copy each time.
        """
        addresses = [p.data_ptr() for p in self._parameters]
        if addresses != self._addresses:
            self._tensors = [p.detach() for p in self._parameters]
            flat = all(dense(t) for t in self._tensors)
            self._flats = flat_views(self._tensors) if flat else None
            self._addresses = addresses
            pairs = zip(self._targets, self._parameters, strict=True)
            self._hold([target.to(p) for target, p in pairs])
        return self._flats

    def step(self) -> None:
        """Count one update and, on every `every`-th, rescale all tensors in place."""
        self._calls += 1
        if self._calls % self.every == 0:
            self.project()

    @torch.no_grad()
    def project(self) -> None:
        """Rescale all tensors in place, now; this is not counted."""
        flats = self._views()
        project_(self._tensors, self._targets, self.per, flats, self._axes)

    def state_dict(self) -> dict[str, Any]:
        """Return the targets and the count of calls."""
        return {"targets": self.targets, "calls": self._calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ValueError: if the state is of a projection of other tensors.
        """
        if set(state["targets"]) != set(self.names):
            raise ValueError(
                f"targets: got {sorted(state['targets'])}; expected {sorted(self.names)}"
            )
        self._calls = state["calls"]
        named = zip(self.names, self._parameters, strict=True)
        self._hold([state["targets"][name].to(p) for name, p in named])


def _select(model: nn.Module, which: Which | Sequence[str]) -> list[str]:
    """Return the names of the tensors that `which` stands for."""
    if which == "invariant":
        return scale_invariant(model)
    if which == "matrices":
        excluded = (ParamRole.GAIN, ParamRole.OFFSET, ParamRole.BIAS)
        return [name for name, role in classify(model).items() if role not in excluded]
    return list(which)


@torch.no_grad()
def check_invariant(
    model: nn.Module, names: Sequence[str], probe: Tensor, tolerance: float = 1e-2
) -> None:
    """Check that doubling each named tensor leaves the outputs on `probe` as they are.

    Args:
        model: maps `probe` to a tensor.
        names: parameters to check.
        probe: a batch of inputs.
        tolerance: largest relative change allowed; above the epsilon of a norm layer.

    Raises:
        ValueError: naming the first tensor that is not scale-invariant.
    """
    named = dict(model.named_parameters())
    training = model.training
    model.eval()
    try:
        before = model(probe)
        scale = before.abs().max().clamp_min(TINY)
        for name in names:
            kept = named[name].clone()
            named[name].mul_(2.0)
            change = ((model(probe) - before).abs().max() / scale).item()
            named[name].copy_(kept)
            if change > tolerance:
                raise ValueError(
                    f"which: {name!r} is not scale-invariant: doubling it changes the outputs by "
                    f"{change:.1%}; expected a normalisation layer right after it"
                )
    finally:
        model.train(training)


def decay_to_init_(gains: Sequence[Tensor], offsets: Sequence[Tensor], alpha: float) -> None:
    """Pull gains to 1 and offsets to 0 in place: ``(g, o) <- (a g + (1 - a), a o)`` (2024, 1.4)."""
    if gains:
        torch._foreach_lerp_(list(gains), [torch.ones_like(g) for g in gains], 1.0 - alpha)
    if offsets:
        torch._foreach_mul_(list(offsets), alpha)


def joint_project_(
    gains: Sequence[Tensor], offsets: Sequence[Tensor | None], targets: Sequence[Tensor]
) -> None:
    """Rescale each (gain, offset) pair in place to a joint norm (2024, 1.4).

    Args:
        gains: gain vectors of norm layers.
        offsets: their offset vectors, None where a layer has none.
        targets: joint norms ``sqrt(|g|^2 + |o|^2)``, scalars.
    """
    for gain, offset, target in zip(gains, offsets, targets, strict=True):
        factor = target / joint_norm(gain, offset).clamp_min(TINY)
        gain.mul_(factor)
        if offset is not None:
            offset.mul_(factor)


def joint_norm(gain: Tensor, offset: Tensor | None) -> Tensor:
    """Return ``sqrt(|gain|^2 + |offset|^2)``, a scalar."""
    return flat_views([gain] if offset is None else [gain, offset]).squared().sum().sqrt()


class NormalizeProject(Intervention):
    """`Projection` and the treatment of gains and offsets, as an intervention."""

    slot = Slot.PROJECT

    def __init__(self, config: NapConfig, bound: Bound) -> None:
        self.projection = Projection(
            bound.model, config.every, config.per, config.which, bound.probe
        )
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
