"""Hidden units: their incoming weights, their outgoing weights, and their activity.

They are found by one forward pass, in which every module is watched. A linear map or convolution,
norm layers after it if any, and a nonlinearity form a layer of units. The linear maps that read the
nonlinearity's output, directly or after flattening or pooling, are its outgoing maps. In a
convolution a unit is a channel.

Units may have other readers too, such as a residual sum or a second map before the nonlinearity.
Weights cannot be zeroed there, so these are listed separately.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from suite.models.base import ACTIVATIONS, Activation
from suite.params import NORM_LAYERS, is_linear_map

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

KEEP_UNITS = (
    *NORM_LAYERS,
    nn.Flatten,
    nn.Identity,
    nn.Sequential,  # one without modules in it
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
        others: what else reads the units, or what the nonlinearity makes them from: modules by
            name, other code by its operation. If there is any, `outgoing` is not the whole story.
        activity: mean of |activation| over inputs, positions and copies, (units,).
        channels: whether the units are channels of a convolution.
        copies: features that the nonlinearity makes of each unit, one block of all units after the
            other.
    """

    incoming: str
    norms: list[str] = field(default_factory=list)
    name: str = ""
    outgoing: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    activity: Tensor = field(default_factory=lambda: torch.empty(0))
    channels: bool = False
    copies: int = 1


def unit_axis(weight: Tensor, convolution: bool) -> int:
    """Return the axis of a linear map's weight along which its units lie.

    The next one is that of its inputs. Noisy maps stack means and noise along an axis before both.
    """
    return 0 if convolution else weight.ndim - 2


class _Operations(TorchFunctionMode):
    """Tells of tensors that operations read, while inside.

    Args:
        read: is given each tensor that a tensor is made from, and the operation's name.
    """

    def __init__(self, read: Callable[[Tensor, str], None]) -> None:
        super().__init__()
        self.read = read

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = out if isinstance(out, tuple | list) else (out,)
        if any(isinstance(value, Tensor) for value in made):  # not where a shape was asked for
            name = getattr(func, "__name__", str(func)).strip("_")
            for value in (*args, *(kwargs or {}).values()):
                for tensor in value if isinstance(value, tuple | list) else (value,):
                    if isinstance(tensor, Tensor):
                        self.read(tensor, name)
        return out


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
    active: set[int] = set()  # tensors behind the nonlinearity of their layer
    spent: set[int] = set()  # tensors before it that were read
    used: set[str] = set()
    kept: list[Tensor] = []  # so that no tensor of the pass takes the identity of an earlier one
    inside = 0  # modules that are at work

    def read(tensor: Tensor, by: str) -> None:
        if inside == 0 and id(tensor) in layers:
            layers[id(tensor)].others.append(by)

    def enter(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal inside
        inside += 1

    def look(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal inside
        follow(name, module, inputs, output)
        inside -= 1

    def follow(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        source = id(inputs[0]) if inputs else 0
        layer, behind = layers.get(source), source in active
        linear = is_linear_map(module)
        passes = isinstance(module, ACTIVATIONS + KEEP_UNITS)
        if layer is not None:
            fits = passes or linear if behind else passes and source not in spent
            if not fits:
                layer.others.append(name)
            if not behind and output is not inputs[0]:
                spent.add(source)
        if linear:
            if name in used:
                raise ValueError(f"{name!r} is used more than once in a pass; expected once")
            used.add(name)
            if layer is not None and behind:
                layer.outgoing.append(name)
            layer, behind = HiddenLayer(name, channels=isinstance(module, CONVOLUTIONS)), False
        elif layer is None or not passes:
            return
        elif isinstance(module, ACTIVATIONS):
            behind = True
            if not layer.name:
                layer.name = name
                layer.copies = module.copies if isinstance(module, Activation) else 1
                features = activity(output, layer.channels)
                layer.activity = features.view(layer.copies, -1).mean(0)
                found.append(layer)
        elif isinstance(module, NORM_LAYERS) and not behind:
            layer.norms.append(name)
        layers[id(output)] = layer
        if behind:
            active.add(id(output))
        kept.append(output)

    leaves = [(n, m) for n, m in model.named_modules() if not any(True for _ in m.children())]
    handles = [module.register_forward_pre_hook(enter) for _, module in leaves]
    handles += [module.register_forward_hook(partial(look, name)) for name, module in leaves]
    try:
        with _Operations(read):
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
