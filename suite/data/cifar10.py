"""CIFAR-10 (Krizhevsky 2009): its archive, and the colours that its copies are known by.

A parquet copy (columns ``img`` with encoded ``bytes``, and ``label``) must have the mean colours of
the classes of CIFAR-10. This rejects other sets of the same shape, and the same images with other
labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet
from suite.data.checks import CLASSES, fault
from suite.data.cifar import Archive, Split, read_set
from suite.data.fetch import RemoteFile

ARCHIVE = Archive(
    RemoteFile(
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    ),
    "cifar-10-batches-py",
    (tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)),
    b"labels",
)
SPLITS = tuple(
    Split(name, each, "CIFAR-10", CLASSES) for name, each in (("train", 5000), ("test", 1000))
)
TOLERANCE = 0.004
"""On mean colours in [0, 1]; JPEG at quality 75 moves them by less than 0.001."""

COLOURS = {
    "train": (
        (0.526, 0.560, 0.589),
        (0.471, 0.454, 0.447),
        (0.489, 0.491, 0.424),
        (0.495, 0.456, 0.416),
        (0.472, 0.465, 0.378),
        (0.500, 0.465, 0.417),
        (0.470, 0.438, 0.346),
        (0.502, 0.480, 0.417),
        (0.490, 0.525, 0.555),
        (0.498, 0.485, 0.478),
    ),
    "test": (
        (0.534, 0.572, 0.606),
        (0.471, 0.454, 0.448),
        (0.490, 0.495, 0.428),
        (0.493, 0.455, 0.416),
        (0.465, 0.459, 0.371),
        (0.509, 0.475, 0.425),
        (0.475, 0.442, 0.346),
        (0.505, 0.483, 0.426),
        (0.495, 0.525, 0.553),
        (0.505, 0.490, 0.485),
    ),
}
"""Mean red, green and blue of each class, from airplane to truck."""


def check_colours(
    path: Path, split: Split, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    """Check that the classes have the mean colours of those of CIFAR-10.

    Raises:
        ConfigError: naming the file, if they have not.
    """  # noqa: DOC501
    for label, known in enumerate(COLOURS[split.name]):
        colour = images[labels == label].mean((0, 1, 2), dtype=np.float64) / 255
        if np.abs(colour - known).max() > TOLERANCE:
            found = f"images of class {label} with mean colour {colour.round(3).tolist()}"
            raise fault(path, found, f"{split.expected}; there its colour is {list(known)}")


def read() -> DataSet:
    """Return CIFAR-10, kept decoded in the cache folder.

    Raises:
        ConfigError: if its files are nowhere, or have other content.
    """
    return read_set("cifar10", ARCHIVE, SPLITS, check_colours)
