"""Storage of a replay's frames: in memory as a numpy array, or on a device as a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

Array = NDArray[Any]
Ints = NDArray[np.int64]


class HostFrames:
    """Frames in memory; pages are only taken once they are written.

    Args:
        size: number of slots.
        frame: shape of one frame.
        dtype: of the frames.

    Attributes:
        data: (size, *frame).
    """

    def __init__(self, size: int, frame: tuple[int, ...], dtype: DTypeLike) -> None:
        self.data: Array = np.zeros((size, *frame), dtype)

    def put(self, index: Ints, frames: Array) -> None:
        """Write frames (..., *frame) to the slots `index` (...)."""
        self.data[index] = frames

    def take(self, index: Ints) -> Array:
        """Return the frames of the slots `index` (...), (..., *frame)."""
        return self.data.take(index, axis=0)


class DeviceFrames:
    """The same on a device, which then also gathers them: only numbers of slots cross over.

    Args:
        size: number of slots.
        frame: shape of one frame.
        dtype: of the frames, as numpy names it.
        device: that keeps them.

    Attributes:
        data: (size, *frame).
    """

    def __init__(
        self, size: int, frame: tuple[int, ...], dtype: DTypeLike, device: torch.device
    ) -> None:
        self.dtype = np.dtype(dtype)
        kind = torch.from_numpy(np.empty(0, self.dtype)).dtype
        self.data: Tensor = torch.zeros((size, *frame), dtype=kind, device=device)

    def put(self, index: Ints, frames: Array) -> None:
        """Write frames (..., *frame) to the slots `index` (...), each of them once."""
        copy = torch.from_numpy(np.array(frames, self.dtype))
        self.data[self._there(index)] = copy.to(self.data.device, non_blocking=True)

    def take(self, index: Ints) -> Tensor:
        """Return the frames of the slots `index` (...), (..., *frame)."""
        rows = self.data.index_select(0, self._there(index.reshape(-1)))
        return rows.view(*index.shape, *self.data.shape[1:])

    def _there(self, index: Ints) -> Tensor:
        """Return slots on the device."""
        return torch.from_numpy(index).to(self.data.device, non_blocking=True)


def frame_store(
    size: int, frame: tuple[int, ...], dtype: DTypeLike, device: torch.device | None
) -> HostFrames | DeviceFrames:
    """Return room for `size` frames: on `device`, or in memory if that is None."""
    if device is None:
        return HostFrames(size, frame, dtype)
    return DeviceFrames(size, frame, dtype, device)
