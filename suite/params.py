"""Parameter roles: the one answer to "which tensors are projected, decayed, reset".

A role says what a tensor is for. It follows from the type and position of modules, never from a
part of a name. Modules do not show which weights are scale-invariant: see `suite.invariance`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal, get_args

from pydantic import Field
from torch import nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList

NORM_LAYERS = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
)
"""Modules whose weight is a gain and whose bias is an offset."""

LINEAR_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Modules whose weight is a linear map."""


class ParamRole(StrEnum):
    """What a parameter tensor is for."""

    WEIGHT = "weight"
    """A hidden linear map or convolution kernel."""
    OUTPUT = "output"
    """The last linear map, whose scale sets the scale of the outputs."""
    EMBEDDING = "embedding"
    """A token or position table."""
    GAIN = "gain"
    """The scale of a normalisation layer."""
    OFFSET = "offset"
    """The offset of a normalisation layer."""
    BIAS = "bias"
    """The additive bias of a linear map."""


RoleName = Literal["weight", "output", "embedding", "gain", "offset", "bias"]
"""The roles as a config spells them."""

Roles = Annotated[tuple[RoleName, ...], Field(strict=False, min_length=1)]
"""A key of a config that chooses parameters."""

ALL_ROLES: tuple[RoleName, ...] = get_args(RoleName)
MATRIX_ROLES: tuple[RoleName, ...] = ("weight", "output", "embedding")


def is_linear_map(module: nn.Module) -> bool:
    """Return whether a module's weight is a linear map, also of a type that says so itself."""
    return isinstance(module, LINEAR_LAYERS) or getattr(module, "is_linear_map", False)


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that hold parameters or normalise, in order of registration."""
    kinds = (*LINEAR_LAYERS, *NORM_LAYERS, nn.Embedding)
    for name, module in model.named_modules():
        if isinstance(module, kinds) or any(True for _ in module.parameters(recurse=False)):
            yield name, module


def output_layers(model: nn.Module) -> set[str]:
    """Return the names of the modules that give the outputs.

    Those listed in the model's attribute ``output_layers`` if it has one, else the last linear map
    registered.
    """
    declared = getattr(model, "output_layers", None)
    if declared is not None:
        return set(declared)
    return set([name for name, module in _layers(model) if is_linear_map(module)][-1:])


def head_layers(model: nn.Module) -> set[str]:
    """Return the names of the layers behind the torso: the last hidden maps, the outputs, norms.

    Those inside the modules listed in the model's attribute ``head_modules`` if it has one, else
    all that are registered from the last linear map before the outputs on; the outputs alone where
    there is no other map.
    """
    layers = list(_layers(model))
    declared = getattr(model, "head_modules", None)
    if declared is not None:
        inside = {id(m) for name in declared for m in model.get_submodule(name).modules()}
        return {name for name, module in layers if id(module) in inside}
    outputs = output_layers(model)
    first = next((i for i, (name, _) in enumerate(layers) if name in outputs), len(layers))
    hidden = [i for i, (_, module) in enumerate(layers[:first]) if is_linear_map(module)]
    return {name for name, _ in layers[(hidden or [first])[-1] :]}


def parameters_of(model: nn.Module, layers: set[str]) -> list[str]:
    """Return the names of the parameters that the modules called `layers` hold themselves."""
    return [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in layers]


def layer_name(name: str) -> str:
    """Return the name of the layer that a parameter belongs to, also if it is parametrized.

    >>> layer_name("torso.0.weight"), layer_name("torso.0.parametrizations.weight.original")
    ('torso.0', 'torso.0')
    """
    owner = name.rpartition(".")[0]
    return f".{owner}.".partition(".parametrizations.")[0][1:].removesuffix(".")


def _magnitude(module: nn.Module, leaf: str) -> bool:
    """Return whether a parameter holds the norms of a weight that is kept as norm and direction."""
    if isinstance(module, ParametrizationList):
        return leaf == "original0" and any(isinstance(p, _WeightNorm) for p in module)
    stem = leaf.removesuffix("_g")
    return stem != leaf and f"{stem}_v" in module._parameters


def classify(model: nn.Module) -> dict[str, ParamRole]:
    """Return the role of every trainable parameter of `model`, by its qualified name.

    A parameter held by a module of another type than linear maps, norm layers and embeddings counts
    as a weight when it has two or more dimensions and as a bias otherwise, unless that module
    declares ``param_roles`` (name -> role). Which maps are outputs: see `output_layers`. One that
    modules share is listed once, under its first name; the norms of weight normalisation are gains.
    """
    outputs = output_layers(model)
    roles: dict[str, ParamRole] = {}
    seen: set[int] = set()
    for prefix, module in _layers(model):
        layer = layer_name(f"{prefix}.")
        kind = model.get_submodule(layer)
        own: dict[str, ParamRole] = getattr(kind, "param_roles", {})
        for leaf, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if leaf in own:
                role = own[leaf]
            elif _magnitude(module, leaf):
                role = ParamRole.GAIN
            elif isinstance(kind, NORM_LAYERS):
                gain = "weight" in (leaf, prefix.rpartition(".")[2])
                role = ParamRole.GAIN if gain else ParamRole.OFFSET
            elif isinstance(kind, nn.Embedding):
                role = ParamRole.EMBEDDING
            elif parameter.ndim < 2:
                role = ParamRole.BIAS
            else:
                role = ParamRole.OUTPUT if layer in outputs else ParamRole.WEIGHT
            roles[f"{prefix}.{leaf}" if prefix else leaf] = role
    return roles
