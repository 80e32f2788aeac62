"""Inputs of a data set on a device, standardised a batch at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from suite.data.base import DataSet


class Standardised:
    """The inputs of a split on a device, in the type that they are stored in.

    Args:
        inputs: bytes (n, height, width, channels) of images, or floats (n, channels, ...).
        device: that they are kept on.
        like: the training set, whose mean and deviation are used; None if this is it.

    Attributes:
        mean: of each channel in the training set; (channels,) for images, else it broadcasts.
        std: standard deviation alike; 1 for a channel that is constant. Of images both are of
            pixels in [0, 1].
    """

    def __init__(
        self, inputs: NDArray[Any], device: torch.device, like: Standardised | None = None
    ) -> None:
        self._inputs = torch.from_numpy(inputs).to(device)
        self._images = self._inputs.dtype == torch.uint8
        if like is None:
            self.mean, self.std = self._moments()
        else:
            self.mean, self.std = like.mean, like.std

    @classmethod
    def splits(cls, data: DataSet, device: torch.device) -> tuple[Self, Self]:
        """Return the inputs for training and for testing."""
        train = cls(data.train_inputs, device)
        return train, cls(data.test_inputs, device, train)

    def _moments(self) -> tuple[Tensor, Tensor]:
        if self._images:
            pixels = self._inputs.float() / 255
            mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
        else:
            others = [axis for axis in range(self._inputs.ndim) if axis != 1]
            mean = self._inputs.mean(others, keepdim=True)[0]
            many = self._inputs[:, 0].numel() > 1
            std = self._inputs.std(others, correction=int(many), keepdim=True)[0]
        return mean, torch.where(std > 0, std, 1.0)

    def __len__(self) -> int:
        return len(self._inputs)

    def __call__(self, index: Tensor | slice) -> Tensor:
        """Return model inputs in float32.

        Args:
            index: (n,) integers on the device, or a slice.

        Returns:
            (n, channels, ...); images have channels last in memory.
        """
        if isinstance(index, slice):
            picked = self._inputs[index]
        else:  # faster than brackets, as all of index_select
            picked = self._inputs.index_select(0, index)
        if not self._images:
            return (picked - self.mean) / self.std
        floats = picked.float().div_(255).sub_(self.mean).div_(self.std)
        return floats.permute(0, 3, 1, 2)


@lru_cache(maxsize=1)
def standardised(data: DataSet, device: torch.device) -> tuple[Standardised, Standardised]:
    """Return `Standardised.splits`; the latest are kept, and runs of one process share them."""
    return Standardised.splits(data, device)


@lru_cache(maxsize=1)
def test_inputs(data: DataSet, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return all inputs for testing, standardised; nobody may change them."""
    return standardised(data, device)[1](slice(None)).to(dtype)
