"""Large arrays on disk: ``.npy`` files written in pieces and renamed when complete.

Files of numpy arrays and of tensors on any device are the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PIECE = 1 << 12
"""Slots of a lane that are copied at a time: 29 MB of Atari frames."""


def save_rows(path: Path, array: NDArray[Any] | Tensor, filled: int) -> None:
    """Write ``array[:, :filled]`` to `path`, lane by lane, without a copy of it all in memory.

    Args:
        path: of the file, which is there as a whole or not at all.
        array: (lanes, slots, ...).
        filled: number of slots to write.
    """
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(to_numpy(array[:0]).dtype),
            "fortran_order": False,
            "shape": (len(array), filled, *array.shape[2:]),
        }
        np.lib.format.write_array_header_1_0(file, header)
        for lane in array:
            for piece in pieces(filled):
                to_numpy(lane[piece]).tofile(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_rows(path: Path, array: NDArray[Any] | Tensor) -> None:
    """Read what `save_rows` wrote into the first slots of each lane of `array`.

    Raises:
        ValueError: if the file is of an array of another kind.
    """
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    lanes, filled = stored.shape[:2]
    dtype = to_numpy(array[:0]).dtype
    fits = lanes == len(array) and filled <= array.shape[1]
    if not fits or stored.shape[2:] != tuple(array.shape[2:]) or stored.dtype != dtype:
        raise ValueError(
            f"{path.name}: got {stored.dtype} {stored.shape}; expected {dtype} with at most "
            f"the shape {tuple(array.shape)}"
        )
    for source, target in zip(stored, array, strict=True):
        for piece in pieces(filled):
            if isinstance(target, Tensor):
                target[piece] = torch.from_numpy(np.array(source[piece]))
            else:
                target[piece] = source[piece]


def pieces(filled: int) -> Iterator[slice]:
    """Return slices that cover the first `filled` slots in turn."""
    return (slice(k, min(k + PIECE, filled)) for k in range(0, filled, PIECE))


def to_numpy(array: NDArray[Any] | Tensor) -> NDArray[Any]:
    """Return an array in memory: itself, or what is in the tensor."""
    return array.numpy(force=True) if isinstance(array, Tensor) else array
