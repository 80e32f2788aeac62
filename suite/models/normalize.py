"""The "Normalize" of Normalize-and-Project: the norm layer before a nonlinearity.

Lyle et al. 2024, section 3: a normalisation layer before every nonlinearity that follows a
parametric map, and no bias in that map, make its weight scale-invariant.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

NormKind = Literal["none", "layer", "rms"]
"""``none``, LayerNorm (mean and variance, gain and offset) or RMSNorm (root mean square, gain)."""


def norm(kind: NormKind, width: int) -> list[nn.Module]:
    """Return the modules that normalise features of shape (batch, ..., width): none or one."""
    if kind == "layer":
        return [nn.LayerNorm(width)]
    if kind == "rms":
        return [nn.RMSNorm(width, eps=1e-6)]
    return []


def norm_2d(kind: Literal["none", "layer"], channels: int) -> list[nn.Module]:
    """Return the modules that normalise images of shape (batch, channels, height, width).

    The statistics cover channels and positions of one image (a group norm with one group); gain
    and offset are per channel. The papers do not say which axes a convolution's LayerNorm covers.
    """
    return [nn.GroupNorm(1, channels)] if kind == "layer" else []
