"""Nonlinearities by name, with those that make two features of each unit.

A doubling nonlinearity gives a layer of n units 2n features, so the next map takes twice as many
inputs. Its other sizes stay: at an equal `width` the network has more parameters than with ReLU.
With ``width / 2`` it has as many features, and with about ``width / sqrt(2)`` as many parameters in
its hidden maps.

Metrics count each of the 2n features by itself. A unit with CReLU has at least one feature of 0, so
shares of dead features are not comparable with ReLU's. ReDo looks at units: with Fourier features
none is ever dormant.

None of this touches scale invariance. A norm layer stands before the nonlinearity and undoes the
scale of the map, whether or not the nonlinearity is homogeneous; Fourier features are not.

References:
    Abbas, Zhao, Modayil, White, Machado 2023, Loss of Plasticity in Continual Deep Reinforcement
    Learning (CReLU). Lewandowski, Schuurmans, Machado 2024, Plastic Learning with Deep Fourier
    Features.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from suite.models.base import Activation

PlainActivation = Literal["relu", "leaky_relu", "gelu"]
"""Nonlinearities that give one feature per unit; the slope of ``leaky_relu`` is 0.01."""

ActivationName = Literal["relu", "leaky_relu", "gelu", "crelu", "fourier"]
"""All of them, the doubling ones too."""


class Doubling(Activation):
    """Base of nonlinearities with two features per unit: one of every unit, then the other."""

    copies: ClassVar[int] = 2


class CRelu(Doubling):
    """``(relu(x), relu(-x))``, with derivatives of 0 at 0 as ReLU has (Abbas et al. 2023)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 2 units, positions...) for (batch, units, positions...)."""
        both = torch.cat([x, -x], 1)
        return torch.where(both > 0, both, torch.zeros_like(both))


class Fourier(Doubling):
    """``(sin x, cos x)``, deep Fourier features (Lewandowski et al. 2024)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 2 units, positions...) for (batch, units, positions...)."""
        return torch.cat([x.sin(), x.cos()], 1)


def activation(name: ActivationName) -> nn.Module:
    """Return a new module of the nonlinearity; ReLU works in place."""
    match name:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU()
        case "gelu":
            return nn.GELU()
        case "crelu":
            return CRelu()
        case "fourier":
            return Fourier()


def copies_of(module: nn.Module) -> int:
    """Return how many features a nonlinearity makes of each unit.

    >>> copies_of(nn.ReLU()), copies_of(CRelu())
    (1, 2)
    """
    return module.copies if isinstance(module, Activation) else 1
