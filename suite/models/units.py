"""Hidden units: which weights lead to each of them, which read it, and how active it is.

Found by one pass of inputs through the network, in which every module is watched. A linear map or
convolution, norm layers behind it if there are any, and a nonlinearity make a layer of units; the
linear maps that read the nonlinearity's output, directly or behind a flattening or a pooling, are
its outgoing maps. Of a convolution a unit is a channel.

What a network does outside its modules is not seen: a unit that is read by such code as well (a
residual sum, say) shows only the maps that are modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from suite.models.base import ACTIVATIONS
from suite.params import NORM_LAYERS, is_linear_map

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

KEEP_UNITS = (
    *NORM_LAYERS,
    nn.Flatten,
    nn.Identity,
    nn.Dropout,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
"""Modules behind a nonlinearity that hand every unit on by itself, once or once per position."""


@dataclass
class HiddenLayer:
    """A layer of hidden units.

    Attributes:
        incoming: name of the linear map that leads to the units.
        norms: names of the norm layers behind it.
        name: name of the nonlinearity.
        outgoing: names of the linear maps that read the units.
        activity: mean of |activation| over inputs and positions, (units,).
        channels: whether the units are channels of a convolution.
    """

    incoming: str
    norms: list[str] = field(default_factory=list)
    name: str = ""
    outgoing: list[str] = field(default_factory=list)
    activity: Tensor = field(default_factory=lambda: torch.empty(0))
    channels: bool = False


def unit_axis(weight: Tensor, convolution: bool) -> int:
    """Return the axis of a linear map's weight along which its units lie.

    The next one is that of its inputs. Noisy maps stack means and noise along an axis before both.
    """
    return 0 if convolution else weight.ndim - 2


@torch.no_grad()
def hidden_layers(model: nn.Module, forward: Callable[[], object]) -> list[HiddenLayer]:
    """Return the layers of hidden units of `model` that linear maps read, in the order of use.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> (layer,) = hidden_layers(net, lambda: net(torch.zeros(4, 2)))
    >>> layer.incoming, layer.name, layer.outgoing, layer.activity.shape
    ('0', '1', ['2'], torch.Size([3]))

    Args:
        model: the network.
        forward: passes inputs through it.

    Raises:
        ValueError: if a linear map is used more than once in a pass.
    """
    found: list[HiddenLayer] = []
    layers: dict[int, HiddenLayer] = {}  # by the tensor that holds their values
    used: set[str] = set()
    kept: list[Tensor] = []  # so that no tensor of the pass takes the identity of an earlier one

    def look(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layer = layers.get(id(inputs[0])) if inputs else None
        if is_linear_map(module):
            if name in used:
                raise ValueError(f"{name!r} is used more than once in a pass; expected once")
            used.add(name)
            if layer is not None and layer.name:
                layer.outgoing.append(name)
            layer = HiddenLayer(name, channels=isinstance(module, CONVOLUTIONS))
        elif layer is None:
            return
        elif isinstance(module, ACTIVATIONS):
            if not layer.name:
                layer.name = name
                layer.activity = activity(output, layer.channels)
                found.append(layer)
        elif not isinstance(module, KEEP_UNITS):
            return
        elif isinstance(module, NORM_LAYERS) and not layer.name:
            layer.norms.append(name)
        layers[id(output)] = layer
        kept.append(output)

    handles = [
        module.register_forward_hook(partial(look, name))
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return [layer for layer in found if layer.outgoing]


def activity(features: Tensor, channels: bool) -> Tensor:
    """Return the mean of |activation| of each unit over all else, (units,).

    Args:
        features: (batch, units, positions...) of channels, (batch, ..., units) elsewhere.
        channels: whether the units are channels.
    """
    axis = 1 if channels else features.ndim - 1
    return features.abs().mean(dim=[i for i in range(features.ndim) if i != axis])
