"""Parameters by their place in a network, watched because they may be replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suite.errors import nearest
from suite.invariance.forward_passes import unwrap


def plain(name: str) -> str:
    """Return a name without what ``torch.compile`` puts into it."""
    return name.replace("_orig_mod.", "")


class Places:
    """Where the tensors of a network are.

    Args:
        model: the network; it may be compiled or wrapped for data parallelism.

    Raises:
        ValueError: if there are parameters that are not initialised yet.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.prefix = unwrap(model)
        self._edges: list[tuple[dict[str, Any], str, object]] = []
        self._shapes: dict[str, torch.Size] = {}
        for name, parameter in self.model.named_parameters():
            if nn.parameter.is_lazy(parameter):
                raise ValueError(
                    f"{name!r} has no shape yet; expected a model after its first pass"
                )

    def resolve(self, given: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Return the names inside of wrappers of the tensors named, each tensor once.

        Args:
            given: names, with the wrappers' prefixes or without.

        Returns:
            The first name of each tensor; and by further names of the same tensors that name.

        Raises:
            ValueError: if a name is unknown.
        """
        named = dict(self.model.named_parameters(remove_duplicate=False))
        by_plain = {plain(name): name for name in named}
        first: dict[int, str] = {}
        for one in given:
            inside = plain(one.removeprefix(self.prefix) if one not in named else one)
            if inside not in by_plain:
                raise ValueError(f"which: got {one!r}; expected {nearest(one, by_plain)}")
            first.setdefault(id(named[by_plain[inside]]), by_plain[inside])
        names = list(first.values())
        aliases = {n: first[id(p)] for n, p in named.items() if id(p) in first and n not in names}
        return names, aliases

    def bind(self, names: Sequence[str], aliases: Sequence[tuple[str, str]]) -> list[nn.Parameter]:
        """Return the parameters at `names` and watch these places from now on.

        Args:
            names: inside of wrappers.
            aliases: pairs of names of one tensor.

        Raises:
            ValueError: if there is none at a place or one of another shape than before, or what was
                one tensor no longer is.
        """
        named = dict(self.model.named_parameters(remove_duplicate=False))
        for name in names:
            if name not in named:
                raise ValueError(
                    f"{name!r} was projected and is no longer a parameter of the model; expected "
                    "the structure it had: make a new Projection after changing it"
                )
            shape = named[name].shape
            if shape != self._shapes.setdefault(name, shape):
                raise ValueError(
                    f"{name!r} was replaced by a tensor of shape {tuple(shape)}; expected "
                    f"{tuple(self._shapes[name])}, or a new Projection"
                )
        for other, name in aliases:
            if named.get(other) is not named[name]:
                raise ValueError(
                    f"{other!r} and {name!r} were one tensor and are not any more; expected them "
                    "tied as before: tie them again, or make a new Projection"
                )
        places = [*names, *(other for other, _ in aliases)]
        unique = {(id(held), key): (held, key, value) for held, key, value in self._walk(places)}
        self._edges = list(unique.values())
        return [named[name] for name in names]

    def _walk(self, names: Sequence[str]) -> Iterator[tuple[dict[str, Any], str, object]]:
        for name in names:
            module = self.model
            *path, leaf = name.split(".")
            for key in path:
                yield module._modules, key, module._modules[key]
                module = module.get_submodule(key)
            yield module._parameters, leaf, module._parameters[leaf]

    @property
    def moved(self) -> bool:
        """Whether a parameter, or a module on the way to it, has been replaced since `bind`."""
        return any(held.get(key) is not value for held, key, value in self._edges)


def check_plain(name: str, parameter: Tensor) -> None:
    """Check that a tensor has a norm that can be read and held here.

    Raises:
        ValueError: if it is no plain tensor of real numbers, such as one spread over processes.
    """
    if type(parameter.data) is not Tensor:
        kind = type(parameter.data).__name__
        raise ValueError(f"{name!r} is a {kind}; expected a plain tensor, whole on its device")
    if not parameter.is_floating_point():
        raise ValueError(f"{name!r} is of {parameter.dtype}; expected real numbers")


def check_finite(name: str, norm: Tensor) -> None:
    """Check that a tensor's norms are finite, if they have values at all.

    Raises:
        ValueError: if they are not.
    """
    if not norm.is_meta and not bool(norm.isfinite().all()):
        raise ValueError(f"{name!r} has a norm that is not finite; expected finite weights")
