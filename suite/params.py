"""Parameter roles: the one answer to "which tensors are projected, decayed, reset".

A role says what a tensor is for, decided from the modules themselves (their type and their place),
never from a substring of a name. Which weights a normalisation layer follows is read from the order
in which modules are registered; `suite.interventions.normalize_project` checks it numerically.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Literal

from torch import nn

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


def classify(model: nn.Module) -> dict[str, ParamRole]:
    """Return the role of every trainable parameter of `model`, by its qualified name.

    A parameter held by a module of another type than linear maps, norm layers and embeddings counts
    as a weight when it has two or more dimensions and as a bias otherwise, unless that module
    declares ``param_roles`` (name -> role). Which maps are outputs: see `output_layers`.
    """
    outputs = output_layers(model)
    roles: dict[str, ParamRole] = {}
    for prefix, module in _layers(model):
        own: dict[str, ParamRole] = getattr(module, "param_roles", {})
        for leaf, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if leaf in own:
                role = own[leaf]
            elif isinstance(module, NORM_LAYERS):
                role = ParamRole.GAIN if leaf == "weight" else ParamRole.OFFSET
            elif isinstance(module, nn.Embedding):
                role = ParamRole.EMBEDDING
            elif parameter.ndim < 2:
                role = ParamRole.BIAS
            else:
                role = ParamRole.OUTPUT if prefix in outputs else ParamRole.WEIGHT
            roles[f"{prefix}.{leaf}" if prefix else leaf] = role
    return roles


def scale_invariant(model: nn.Module) -> list[str]:
    """Return the names of the weights that a normalisation layer follows directly.

    For such a weight W, f(cW) = f(W) for any c > 0, up to the layer's epsilon, provided that the
    linear map has no bias (Lyle et al. 2024, section 2). A model whose structure the order of
    registration does not tell may list the names itself in ``scale_invariant_weights``.
    """
    declared = getattr(model, "scale_invariant_weights", None)
    if declared is not None:
        return list(declared)
    roles = classify(model)
    layers = list(_layers(model))
    names: list[str] = []
    for (prefix, module), (_, following) in pairwise(layers):
        weight = f"{prefix}.weight" if prefix else "weight"
        if (
            is_linear_map(module)
            and module.bias is None
            and isinstance(following, NORM_LAYERS)
            and roles.get(weight) is ParamRole.WEIGHT
        ):
            names.append(weight)
    return names
