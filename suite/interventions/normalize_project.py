"""Normalize-and-Project: rescale each weight to its norm at initialisation (Lyle et al. 2024).

After the optimizer's step, ``W <- W * |W_0| / |W|`` (2024, Algorithm 1; 2025, Eq. 2). With a fixed
norm, the effective learning rate of a scale-invariant weight follows only the schedule: it is ``lr
/ |W|^2`` for plain gradient steps and ``lr / |W|`` for normalised ones such as Adam's.

Which tensors: ``invariant`` selects the weights whose scale a normalisation layer removes, for
which f(cW) = f(W), but not output layer, gains and offsets (2024, 1.3); ``matrices`` selects every
tensor of two or more dimensions, including embeddings and decoder, as the grokking experiments do
with and without norm layers (2025, section 4); a list selects the tensors it names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from suite.interventions.places import Places, check_finite, check_plain, plain
from suite.invariance.scale_invariance import NO_ROWS, row_axis
from suite.invariance.select_weights import Which, select
from suite.norms import Flats, Per, dense, squared_norms, wide, wide_type

LOG = logging.getLogger(__name__)
TINY = 1e-30


def project_(
    tensors: Sequence[Tensor],
    targets: Sequence[Tensor] | Tensor,
    per: Per = "tensor",
    flats: Flats | None = None,
    axes: Sequence[int] | None = None,
) -> None:
    """Rescale `tensors` in place to the norms `targets`; no value visits the host.

    A tensor whose norm is not finite becomes nan, so that the loss says so; one whose norm is below
    1e-15 is rescaled as if it were that.

    Args:
        tensors: weights.
        targets: norms, shaped as `squared_norms` gives them; of scalars a vector will do.
        per: one norm per tensor, or one per row.
        flats: `Flats` of the tensors, if available.
        axes: of each tensor's rows; the first by default.
    """
    if per == "tensor":
        wanted = targets if isinstance(targets, Tensor) else torch.stack(list(targets))
        squared = (Flats(tensors) if flats is None else flats).squared()
        squared.clamp_min_(TINY)
        factors = wanted * squared.rsqrt() * (squared / squared)  # 1, or nan if it is infinite
        torch._foreach_mul_(list(tensors), list(factors.unbind()))
    else:
        rows = squared_norms(tensors, per, axes=axes)
        for tensor, target, square in zip(tensors, targets, rows, strict=True):
            square = square.clamp_min(TINY)
            tensor.mul_(target * square.rsqrt() * (square / square))


class _Group:
    """Tensors of one device and type, rescaled together.

    Args:
        parameters: what holds them.
        targets: norms, shaped as `squared_norms` gives them.
        axes: of the tensors' rows.
        per: one norm per tensor, or one per row.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        targets: Sequence[Tensor],
        axes: Sequence[int],
        per: Per,
    ) -> None:
        self.tensors, self.axes, self.per = [p.detach() for p in parameters], list(axes), per
        self.targets = torch.stack(list(targets)) if per == "tensor" else list(targets)
        self.half = wide_type(self.tensors[0].dtype) != self.tensors[0].dtype
        flat = not self.half and all(dense(t) for t in self.tensors)
        self.flats = Flats(self.tensors) if flat else None
        self.free: list[tuple[int, Tensor]] = []  # rows without a norm, by tensor
        if per == "row" and not self.tensors[0].is_meta:
            rows = [(target.flatten() == 0).nonzero().flatten() for target in targets]
            self.free = [(i, row) for i, row in enumerate(rows) if len(row)]

    def project(self) -> None:
        """Rescale the tensors in place."""
        tensors = [t.float() for t in self.tensors] if self.half else self.tensors
        kept = [(i, rows, tensors[i].index_select(self.axes[i], rows)) for i, rows in self.free]
        project_(tensors, self.targets, self.per, self.flats, self.axes)
        for i, rows, values in kept:
            tensors[i].index_copy_(self.axes[i], rows, values)
        if self.half:
            torch._foreach_copy_(self.tensors, tensors)

    @classmethod
    def of_all(cls, groups: Sequence[_Group]) -> _Group:
        """Return the groups of networks of one shape as one."""
        tensors = [tensor for group in groups for tensor in group.tensors]
        targets = [target for group in groups for target in group.targets]
        return cls(tensors, targets, [a for group in groups for a in group.axes], groups[0].per)


class Projection:
    """The projection of Normalize-and-Project, for anybody's training loop.

    >>> net = nn.Sequential(
    ...     nn.Linear(4, 8, bias=False), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)
    ... )
    >>> nap = Projection(net)
    >>> list(nap.names)
    ['0.weight']
    >>> nap.left
    {'3.weight': 'not scale-invariant: the outputs depend on its scale'}
    >>> _ = net[0].weight.data.mul_(3)
    >>> nap.step()
    >>> bool(torch.isclose(net[0].weight.norm(), nap.targets["0.weight"]))
    True

    Args:
        model: the network, at its initialisation: its norms now are the targets. Tensors and
            modules that are replaced later are found again by their names.
        every: project on every `every`-th call of `step`.
        per: one norm per tensor (a convolution kernel is one tensor) or per row (output unit).
        which: ``invariant``, found by passes through the network (`suite.invariance`);
            ``matrices``; or the names of the tensors.
        probe: a batch of inputs for these passes: a tensor, a tuple of arguments or a mapping of
            keyword arguments. Without one, inputs are made up where sizes of layers tell them.

    Attributes:
        names: of the tensors that are projected.
        left: why other matrices are not, by name.

    Raises:
        ValueError: if nothing would be projected, a name is unknown, `every` is below 1, a tensor
            that is named is zero, or if scale invariance cannot be decided.
    """

    def __init__(
        self,
        model: nn.Module,
        every: int = 1,
        per: Per = "tensor",
        which: Which | Sequence[str] = "invariant",
        probe: Any = None,
    ) -> None:
        if type(every) is not int or every < 1:
            raise ValueError(f"every: got {every!r}; expected a whole number of steps, at least 1")
        if per not in get_args(Per):
            raise ValueError(f"per: got {per!r}; expected {' or '.join(get_args(Per))}")
        self.every, self.per = every, per
        self._calls = 0
        self._places = Places(model)
        selection = select(self._places.model, which, per, probe)
        names, aliases = self._places.resolve(selection.names)
        left = selection.left | {n: f"the same tensor as {of!r}" for n, of in aliases.items()}
        self._take(names, aliases)
        for name, parameter in zip(names, self._parameters, strict=True):
            check_plain(name, parameter)
        kept: dict[str, Tensor] = {}
        for name, parameter, axis in zip(names, self._parameters, self._axes, strict=True):
            # One by one, because they may be on several devices.
            (kept[name],) = squared_norms([wide(parameter.detach())], per, axes=[axis])
        for name, square in kept.items():
            check_finite(name, square)
        self.left = {self._places.prefix + name: reason for name, reason in left.items()}
        self._free: list[str] = []
        none = {n for n, s in kept.items() if not s.is_meta and not bool((s > TINY).any())}
        if none and not isinstance(which, str):
            raise ValueError(
                f"which: got {min(none)!r}, which is zero and would stay zero; expected tensors "
                "that are not zero at the start"
            )
        self._leave(none)
        if not self._names:
            told = [f"{name!r}: {reason}" for name, reason in self.left.items()]
            why = "; ".join([*told[:4], *([f"and {len(told) - 4} more"] if told[4:] else [])])
            raise ValueError(
                f"which: got {which!r}, which selects no tensor of this model"
                f"{why and f' ({why})'}; expected normalisation layers directly after bias-free "
                "linear maps (those of a transformer read sums of its stream, whose parts keep "
                "their scale), or which='matrices'"
            )
        self._hold({n: torch.where(kept[n] > TINY, kept[n], 0.0).sqrt() for n in self._names})
        self._say()

    def _take(self, names: Sequence[str], aliases: Mapping[str, str]) -> None:
        """Bind to the tensors of these names.

        Raises:
            ValueError: if there is none of a name, or rows are asked for where there are none.
        """
        self._names, self._aliases = list(names), list(aliases.items())
        self._parameters = self._places.bind(self._names, self._aliases)
        axes = [row_axis(self._places.model, name) for name in self._names]
        if self.per == "row" and None in axes:
            name = self._names[axes.index(None)]
            raise ValueError(f"which: {name!r}: {NO_ROWS}; expected per='tensor' for it")
        self._axes = [axis or 0 for axis in axes]

    def _leave(self, zero: set[str]) -> None:
        """Leave tensors free that were zero at the start."""
        self._free += [name for name in self._names if name in zero]
        why = "all zeros at the start, no norm to be held at"
        self.left |= {self._places.prefix + name: why for name in self._free}
        names = [name for name in self._names if name not in zero]
        self._take(names, {other: name for other, name in self._aliases if name in names})

    def _hold(self, targets: dict[str, Tensor]) -> None:
        """Take `targets`, by name inside of wrappers, as the norms from now on."""
        grouped: dict[Any, list[int]] = {}
        self._targets = {}
        for i, (name, p) in enumerate(zip(self._names, self._parameters, strict=True)):
            self._targets[name] = targets[name].to(p.device, wide_type(p.dtype))
            grouped.setdefault((p.device, p.dtype), []).append(i)
        self._groups = [
            _Group(
                [self._parameters[i] for i in members],
                [self._targets[self._names[i]] for i in members],
                [self._axes[i] for i in members],
                self.per,
            )
            for members in grouped.values()
        ]
        self._addresses = [p.data_ptr() for p in self._parameters]

    def _say(self) -> None:
        """Log what is taken and what is left."""
        left = [f"{name} ({reason})" for name, reason in self.left.items()] or ["nothing"]
        LOG.info("projects %s; leaves %s", ", ".join(self.names), ", ".join(left))
        for name, target in self._targets.items():
            if self.per == "row" and not target.is_meta and (zeros := int((target == 0).sum())):
                LOG.warning("%s: %d rows are zero, have no norm to be held at: free", name, zeros)

    def __repr__(self) -> str:
        """Name the tensors and their norms, and those left; this waits for the device."""
        held = ", ".join(f"{name}: {t.norm().item():.4g}" for name, t in self.targets.items())
        left = ", ".join(f"{name}: {reason}" for name, reason in self.left.items())
        return (
            f"Projection(every={self.every}, per={self.per!r}, targets={{{held}}}, left={{{left}}})"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors that are projected, as the model has them."""
        return tuple(self._places.prefix + name for name in self._names)

    @property
    def targets(self) -> dict[str, Tensor]:
        """The norm each tensor is held to, by the tensor's name."""
        return dict(zip(self.names, self._targets.values(), strict=True))

    def _follow(self) -> None:
        """Notice tensors that were replaced, and models that were moved, since the last call."""
        if self._places.moved:
            self._take(self._names, dict(self._aliases))
            LOG.warning("tensors of the model were replaced: the new ones are projected")
        elif self._addresses == [p.data_ptr() for p in self._parameters]:
            return
        self._hold(self._targets)

    def step(self) -> None:
        """Count one update and, on every `every`-th, rescale all tensors in place.

        Raises:
            ValueError: if a tensor is gone from the model, or has another shape.
        """
        if self.counted():
            self.project()

    def counted(self) -> bool:
        """Count one update; return whether it is one after which to rescale."""
        self._calls += 1
        return self._calls % self.every == 0

    @torch.no_grad()
    def project(self) -> None:
        """Rescale all tensors in place, now; this is not counted.

        Raises:
            ValueError: if a tensor is gone from the model, or has another shape.
        """
        self._follow()
        for group in self._groups:
            group.project()

    def state_dict(self) -> dict[str, Any]:
        """Return the targets, by names without what wrappers put into them, and the calls.

        Names of tensors that were zero and are left free come with it, if there are any.
        """
        targets = {plain(name): target for name, target in self._targets.items()}
        free = {"free": [plain(name) for name in self._free]} if self._free else {}
        return {"targets": targets, "calls": self._calls, **free}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ValueError: if the state is of a projection of other tensors or at another grain, or
                holds a norm that is not finite. Nothing is changed then.
        """
        given = state["targets"]
        free = {name for name in self._names if plain(name) in state.get("free", [])}
        expected = {
            plain(name): self._targets[name].shape for name in self._names if name not in free
        }
        if set(given) != set(expected):
            raise ValueError(f"targets: got {sorted(given)}; expected {sorted(expected)}")
        for name, shape in expected.items():
            if given[name].shape != shape:
                raise ValueError(
                    f"targets: got norms of shape {tuple(given[name].shape)} for {name!r}; "
                    f"expected {tuple(shape)}, those of a projection per {self.per}"
                )
            check_finite(name, given[name])
        if free:
            self._leave(free)
        self._calls = state["calls"]
        self._hold({name: given[plain(name)] for name in self._names})


class Projections:
    """Projections of networks of one shape that are trained side by side, made together.

    The networks' tensors must stay where they are.

    Args:
        members: one of each network, alike and equally often called.
    """

    def __init__(self, members: Sequence[Projection]) -> None:
        self.members = members
        for member in members:
            member._follow()
        alike = zip(*(member._groups for member in members), strict=True)
        self._groups = [_Group.of_all(groups) for groups in alike]

    @torch.no_grad()
    def step(self) -> None:
        """Do what `Projection.step` does, for all."""
        due = [member.counted() for member in self.members]
        if due[0]:
            for group in self._groups:
                group.project()


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
    return Flats([gain] if offset is None else [gain, offset]).squared().sum().sqrt()
