"""Norm layers for networks that are already built, and what is then scale-invariant.

A linear map or convolution with a nonlinearity directly behind it in the same ``nn.Sequential`` is
a hidden map; RLlib's encoders and heads are made of these. Lyle et al. 2024, section 3: a norm
layer before the nonlinearity, and no bias in the map, make its weight scale-invariant.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from suite.models.base import Activation
from suite.params import LINEAR_LAYERS, NORM_LAYERS, is_linear_map

NONLINEARITIES = tuple(
    kind
    for kind in vars(nn.modules.activation).values()
    if isinstance(kind, type)
    and issubclass(kind, nn.Module)
    and kind not in (nn.Module, nn.MultiheadAttention)
)
"""PyTorch's elementwise nonlinearities (softmaxes among them)."""


def is_nonlinearity(module: nn.Module) -> bool:
    """Return whether a module is a nonlinearity of PyTorch or of the suite."""
    return isinstance(module, (*NONLINEARITIES, Activation))


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalises and no more, also if it permutes axes around that."""
    holders = [m for m in module.modules() if isinstance(m, NORM_LAYERS) or m._parameters]
    return bool(holders) and all(isinstance(m, NORM_LAYERS) for m in holders)


def maps_in_order(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Module | None]]:
    """Yield name, module and successor of every linear map in an ``nn.Sequential`` of `model`.

    The successor is None for the last of a sequence.
    """
    for prefix, sequence in model.named_modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        children = list(sequence.named_children())
        for index, (name, module) in enumerate(children):
            if is_linear_map(module):
                after = children[index + 1][1] if index + 1 < len(children) else None
                yield f"{prefix}.{name}" if prefix else name, module, after


def output_maps(model: nn.Module) -> list[str] | None:
    """Return the names of the maps behind which there is neither norm layer nor nonlinearity.

    None if a map is in no ``nn.Sequential``: then their order cannot be read off the modules.
    """
    found = list(maps_in_order(model))
    every = {name for name, module in model.named_modules() if is_linear_map(module)}
    if not every or every != {name for name, _, _ in found}:
        return None
    return [
        n
        for n, _, after in found
        if after is None or not (is_norm(after) or is_nonlinearity(after))
    ]


def norm_for(layer: nn.Module, affine: bool, eps: float) -> nn.Module:
    """Return the norm layer for what a map puts out.

    Features of a linear map; channels and positions of a convolution together, as in the suite's
    own networks.

    Args:
        layer: the map.
        affine: whether the norm layer has gains and offsets.
        eps: added to the variance.
    """
    if isinstance(layer, nn.Linear):
        return nn.LayerNorm(layer.out_features, eps=eps, elementwise_affine=affine)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return nn.GroupNorm(1, layer.out_channels, eps=eps, affine=affine)


def normalise_(model: nn.Module, affine: bool = False, eps: float = 1e-5) -> tuple[str, ...]:
    """Put a norm layer behind every hidden map of `model` in place, and remove the map's bias.

    Where there is a norm layer already, it is kept. Names of other modules stay.

    Args:
        model: of any modules; only maps in an ``nn.Sequential`` are looked at.
        affine: whether the new norm layers have gains and offsets.
        eps: of the new norm layers, added to the variance.

    Returns:
        The names of the weights that are scale-invariant now.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> normalise_(net)
    ('0.weight',)
    >>> list(dict(net.named_children()))
    ['0', '0_norm', '1', '2']
    >>> net[0].bias is None, net[3].bias is None
    (True, False)
    """
    hidden = [
        (name, layer, after)
        for name, layer, after in maps_in_order(model)
        if isinstance(layer, LINEAR_LAYERS)
        and after is not None
        and (is_norm(after) or is_nonlinearity(after))
    ]
    for name, layer, after in hidden:
        layer.register_parameter("bias", None)
        if not is_norm(after):
            norm = norm_for(layer, affine, eps).to(layer.weight.device, layer.weight.dtype)
            parent, _, own = name.rpartition(".")
            _insert_behind(model.get_submodule(parent), own, norm)
    return tuple(f"{name}.weight" for name, _, _ in hidden)


def _insert_behind(sequence: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module behind the child called `name`."""
    children = list(sequence.named_children())
    for child, _ in children:
        del sequence._modules[child]
    for child, kept in children:
        sequence.add_module(child, kept)
        if child == name:
            sequence.add_module(f"{name}_norm", module)
