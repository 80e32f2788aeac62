"""A user's own arrays in one file of numpy's ``npz`` form.

The names are ``x_train, y_train, x_test, y_test`` as in the files of Keras, or ``train_images,
train_labels, test_images, test_labels``. Bytes are images, (n, height, width) or with channels
last; floats may have any shape (n, ...), channels first. Labels are integers from 0, (n,) or
(n, 1).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet, DataSpec, Labels
from suite.data.checks import fault, reading
from suite.data.own import OwnData, OwnPath, classes_of, own_set

NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
"""Inputs and labels for training, inputs and labels for testing; Keras and others."""

EXPECTED = f"an npz file with arrays {', '.join(NAMES[0])}"
INPUTS = "bytes (n, height, width) or (n, height, width, 1 to 4 channels), or floats (n, ...)"

Header = tuple[tuple[int, ...], np.dtype[Any]]
"""Shape and type of an array."""


class NpzData(OwnData):
    """Arrays in a file, as ``{npz: PATH}``."""

    npz: OwnPath

    def describe(self) -> DataSpec:
        """Return the description, from the headers of the inputs, and the labels."""
        path = Path(self.npz)
        with reading(path, EXPECTED), _opened(path) as arrays:
            names = _names(path, arrays)
            train, test = (_header(arrays.zip, names[i]) for i in (0, 2))
            labels = tuple(_labels(path, arrays, names[i]) for i in (1, 3))
            images, shape = _check(path, names, (train, test), labels)
            classes = classes_of((path, path), labels)
        if images:
            shape = (shape[2], *shape[:2])
        return DataSpec(shape, classes, len(labels[0]), len(labels[1]), images, path.stem)

    def load(self) -> DataSet:
        """Return the arrays."""  # noqa: DOC501
        path = Path(self.npz)
        with reading(path, EXPECTED), _opened(path) as arrays:
            names = _names(path, arrays)
            inputs = [arrays[names[i]] for i in (0, 2)]
            labels = tuple(_labels(path, arrays, names[i]) for i in (1, 3))
            headers = tuple((array.shape, array.dtype) for array in inputs)
            images, shape = _check(path, names, headers, labels)
            classes = classes_of((path, path), labels)
            parts = []
            for name, array in zip((names[0], names[2]), inputs, strict=True):
                kind = np.uint8 if images else np.float32
                plain = np.ascontiguousarray(array, kind).reshape(-1, *shape)
                if not images and not np.isfinite(plain).all():
                    raise fault(path, f"numbers in {name} that are not finite", "finite floats")
                parts.append(plain)
        return own_set(self.npz, (parts[0], labels[0]), (parts[1], labels[1]), classes)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file of arrays, which are read when they are asked for; nothing is unpickled."""  # noqa: DOC501
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise fault(path, "no npz file", EXPECTED)
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as arrays:
            yield arrays


def _names(path: Path, arrays: Any) -> tuple[str, ...]:
    """Return the names of the four arrays."""  # noqa: DOC501
    for names in NAMES:
        if set(names) <= set(arrays.files):
            return names
    raise fault(path, f"arrays {arrays.files}", f"{EXPECTED}, or {', '.join(NAMES[1])}")


def _header(file: zipfile.ZipFile, name: str) -> Header:
    """Return the shape and type of an array, without reading it."""
    with file.open(f"{name}.npy") as stream:
        first = np.lib.format.read_magic(stream) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
    return shape, kind


def _labels(path: Path, arrays: Any, name: str) -> Labels:
    """Return labels as (n,)."""  # noqa: DOC501
    labels: NDArray[Any] = arrays[name]
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or flat.dtype.kind not in "iu":
        found = f"{name} of shape {labels.shape} and type {labels.dtype}"
        raise fault(path, found, "labels that are integers from 0 on, of shape (n,)")
    return np.ascontiguousarray(flat, np.int64)


def _check(
    path: Path, names: tuple[str, ...], inputs: tuple[Header, ...], labels: tuple[Labels, ...]
) -> tuple[bool, tuple[int, ...]]:
    """Return whether inputs are images, and the shape that each is kept in."""  # noqa: DOC501
    kept = []
    for i, ((shape, kind), part) in enumerate(zip(inputs, labels, strict=True)):
        images = kind == np.uint8
        if images and len(shape) == 3:
            shape = (*shape, 1)
        right = len(shape) == 4 and 1 <= shape[3] <= 4 if images else kind.kind == "f"
        if not right or len(shape) < 2 or 0 in shape[1:]:
            found = f"{names[2 * i]} of shape {inputs[i][0]} and type {kind}"
            raise fault(path, found, INPUTS)
        if shape[0] != len(part):
            found = f"{shape[0]:,} {names[2 * i]} and {len(part):,} {names[2 * i + 1]}"
            raise fault(path, found, "as many of both")
        kept.append((images, shape[1:]))
    if kept[0] != kept[1]:
        found = f"{names[0]} of shape {inputs[0][0]} and {names[2]} of shape {inputs[1][0]}"
        kinds = f"{inputs[0][1]} and {inputs[1][1]}"
        raise fault(path, f"{found}, of types {kinds}", "examples of one shape and kind")
    return kept[0]
