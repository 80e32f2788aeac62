"""Closed forms of a network: its tangent kernel, and the polynomial that it computes.

Besides ``forward`` a network's module may have either of two methods. Both are functions of
trainable tensors by name, so they can be used for the initial and for the current values::

    tangent_kernel(parameters, x, y)    K(x_i, y_j) = sum over parameters of df(x_i) df(y_j)
    quadratic_form(parameters)          v and Q of f(x) = v . x + x^T Q x / 2

Wrappers (`suite.models.scaled`, `suite.models.linearised`) pass the call to the inner network. If a
network has no closed form of its kernel, the kernel is computed from derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

LARGEST = 2**27
"""Most numbers of a matrix of derivatives (points times parameters)."""

Parameters = Mapping[str, Tensor]


def under(prefix: str, parameters: Parameters) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {n.removeprefix(prefix): p for n, p in parameters.items() if n.startswith(prefix)}


def tangent_kernel(
    model: nn.Module, parameters: Parameters, x: Tensor, y: Tensor | None = None
) -> Tensor | None:
    """Return the tangent kernel of a network with one output, (n, m); None if it is too large.

    Args:
        model: the network.
        parameters: its trainable tensors, by name.
        x: inputs (n, ...).
        y: inputs (m, ...); `x` unless given.
    """
    y = x if y is None else y
    own = getattr(model, "tangent_kernel", None)
    if own is not None:
        kernel: Tensor | None = own(parameters, x, y)
        return kernel
    if max(len(x), len(y)) * sum(p.numel() for p in parameters.values()) > LARGEST:
        return None
    of_x = derivatives(model, parameters, x)
    return of_x @ (of_x if y is x else derivatives(model, parameters, y)).T


def derivatives(model: nn.Module, parameters: Parameters, x: Tensor) -> Tensor:
    """Return the derivatives of the one output at each input in all parameters, (n, parameters)."""
    named = {n: p.detach() for n, p in parameters.items()}
    fixed = {
        n: t.detach().to(x.dtype if t.is_floating_point() else t.dtype)
        for n, t in model.state_dict().items()
        if n not in named
    }

    def output(values: dict[str, Tensor], one: Tensor) -> Tensor:
        outputs: Tensor = functional_call(model, {**fixed, **values}, (one.unsqueeze(0),))
        return outputs.sum()

    found = vmap(jacrev(output), in_dims=(None, 0))(named, x)
    return torch.cat([d.reshape(len(x), -1) for d in found.values()], dim=1)


def quadratic_form(model: nn.Module, parameters: Parameters) -> tuple[Tensor, Tensor] | None:
    """Return v (D,) and symmetric Q (D, D) of ``f(x) = v . x + x^T Q x / 2``.

    None if the network is no such polynomial.
    """
    own = getattr(model, "quadratic_form", None)
    return None if own is None else own(parameters)
