"""Large arrays on disk: ``.npy`` files written in pieces and renamed when complete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_rows(path: Path, array: NDArray[Any], filled: int) -> None:
    """Write ``array[:, :filled]`` to `path`, lane by lane, without a copy in memory.

    Args:
        path: of the file, which is there as a whole or not at all.
        array: (lanes, slots, ...).
        filled: number of slots to write.
    """
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(array.dtype),
            "fortran_order": False,
            "shape": (len(array), filled, *array.shape[2:]),
        }
        np.lib.format.write_array_header_1_0(file, header)
        for lane in array:
            lane[:filled].tofile(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_rows(path: Path, array: NDArray[Any]) -> None:
    """Read what `save_rows` wrote into the first slots of each lane of `array`.

    Raises:
        ValueError: if the file is of an array of another kind.
    """
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    lanes, filled = stored.shape[:2]
    fits = lanes == len(array) and filled <= array.shape[1]
    if not fits or stored.shape[2:] != array.shape[2:] or stored.dtype != array.dtype:
        raise ValueError(
            f"{path.name}: got {stored.dtype} {stored.shape}; expected {array.dtype} with at most "
            f"the shape {array.shape}"
        )
    for source, target in zip(stored, array, strict=True):
        target[:filled] = source
