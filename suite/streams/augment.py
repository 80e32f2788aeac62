"""Random crops and flips of images on the device, the standard augmentation of small images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from suite.seeding import Seeds

PADDING = 4
"""Pixels of black on each side before a crop (He et al. 2016, section 4.2)."""


@dataclass(frozen=True)
class Draws:
    """What is drawn for the images of an epoch, by place in its order.

    Attributes:
        top: (n,) rows of the padded image that the crop leaves out at the top, 0 to 2 `PADDING`.
        left: (n,) columns at the left.
        flip: (n,) booleans, whether it is mirrored.
    """

    top: Tensor
    left: Tensor
    flip: Tensor

    @classmethod
    def of(cls, seeds: Seeds, stream: str, count: int, device: torch.device) -> Draws:
        """Return the draws of an epoch of `count` images, a function of the seeds alone."""
        generator = seeds.torch(stream)
        offsets = torch.randint(0, 2 * PADDING + 1, (2, count), generator=generator)
        flip = torch.randint(0, 2, (count,), generator=generator).bool()
        return cls(offsets[0].to(device), offsets[1].to(device), flip.to(device))

    def __getitem__(self, part: slice) -> Draws:
        return Draws(self.top[part], self.left[part], self.flip[part])


def crop_flip(images: Tensor, draws: Draws, black: Tensor) -> Tensor:
    """Return the images padded with black, cropped to their size and mirrored at random.

    Args:
        images: (n, channels, height, width).
        draws: of n images.
        black: (channels,) the value of a black pixel.
    """
    n, _, height, width = images.shape
    shade = black.view(1, -1, 1, 1)
    padded = functional.pad(images - shade, [PADDING] * 4).permute(0, 2, 3, 1)
    device = images.device
    rows = draws.top.unsqueeze(1) + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(n, width)
    columns = torch.where(draws.flip.unsqueeze(1), width - 1 - columns, columns)
    columns = columns + draws.left.unsqueeze(1)
    index = torch.arange(n, device=device).view(n, 1, 1)
    cut = padded[index, rows.unsqueeze(2), columns.unsqueeze(1)]
    return cut.permute(0, 3, 1, 2) + shade
