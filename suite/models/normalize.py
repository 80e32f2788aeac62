"""The "Normalize" of Normalize-and-Project: the norm layer at a nonlinearity.

Lyle et al. 2024, section 3: a normalisation layer before every nonlinearity that follows a
parametric map, and no bias in that map, make its weight scale-invariant. Behind the nonlinearity it
does so too if that is homogeneous, as ReLU is: ``norm(relu(c W x)) = norm(c relu(W x))``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import ValidationInfo
from torch import Tensor, nn

from suite.errors import ConfigError
from suite.models.activations import copies_of

NormKind = Literal["none", "layer", "rms"]
"""``none``, LayerNorm (mean and variance, gain and offset) or RMSNorm (root mean square, gain)."""

NormPlace = Literal["before", "after"]
"""Where a norm layer stands: before the nonlinearity, or behind it."""

RMS_EPS = 1e-6
"""Of RMSNorm, added to the mean square."""


class RmsNorm(nn.RMSNorm):
    """RMSNorm in the precision of its gain, also where autocast gives it less, like LayerNorm."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features over their root mean square, times the gain; same shape."""
        return super().forward(x if self.weight is None else x.to(self.weight.dtype))


def norm(kind: NormKind, width: int) -> list[nn.Module]:
    """Return the modules that normalise features of shape (batch, ..., width): none or one."""
    if kind == "layer":
        return [nn.LayerNorm(width)]
    if kind == "rms":
        return [RmsNorm(width, eps=RMS_EPS)]
    return []


class RmsNorm2d(nn.RMSNorm):
    """Divides images by their root mean square over channels and positions; a gain per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=RMS_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, height, width), as given."""
        x = x.to(self.weight.dtype)
        mean_square = x.square().mean((1, 2, 3), keepdim=True)
        return x * torch.rsqrt(mean_square + (self.eps or 0.0)) * self.weight.view(-1, 1, 1)


def norm_2d(kind: NormKind, channels: int) -> list[nn.Module]:
    """Return the modules that normalise images of shape (batch, channels, height, width).

    The statistics cover channels and positions of one image (of a LayerNorm: a group norm with one
    group); gain and offset are per channel. The papers do not say which axes a convolution's norm
    layer covers.
    """
    if kind == "rms":
        return [RmsNorm2d(channels)]
    return [nn.GroupNorm(1, channels)] if kind == "layer" else []


def with_norm(
    nonlinearity: nn.Module,
    norms: Callable[[int], list[nn.Module]],
    width: int,
    place: NormPlace = "before",
) -> list[nn.Module]:
    """Return a nonlinearity and the norm layer at it, if any, in the order of use.

    Args:
        nonlinearity: the module.
        norms: returns the modules that normalise so many features: none or one.
        width: features that the nonlinearity reads.
        place: where the norm layer stands.
    """
    if place == "before":
        return [*norms(width), nonlinearity]
    return [nonlinearity, *norms(width * copies_of(nonlinearity))]


def check_place(place: NormPlace, info: ValidationInfo) -> NormPlace:
    """Return a place; a validator of configs, behind their key `norm`.

    Raises:
        ConfigError: if it is said where norm layers stand that are not there.
    """
    if place != "before" and info.data.get("norm") == "none":
        raise ConfigError("", place, "'before': with norm = 'none' there are no norm layers")
    return place
