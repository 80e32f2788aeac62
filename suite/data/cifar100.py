"""CIFAR-100 (Krizhevsky 2009), with its 100 fine labels: its archive, and its mean colours.

A parquet copy has columns ``img`` or ``image`` (with encoded ``bytes``) and ``fine_label`` or
``label``. Only the mean colour of each split is known here, not that of each class, so the same
images with permuted labels would pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet
from suite.data.checks import fault
from suite.data.cifar import Archive, Split, read_set
from suite.data.fetch import RemoteFile

CLASSES = 100

ARCHIVE = Archive(
    RemoteFile(
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    ),
    "cifar-100-python",
    (("train",), ("test",)),
    b"fine_labels",
)
SPLITS = tuple(
    Split(name, each, "CIFAR-100", CLASSES, ("img", "image"), ("fine_label", "label"))
    for name, each in (("train", 500), ("test", 100))
)
TOLERANCE = 0.004
"""On mean colours in [0, 1], as for CIFAR-10, whose own are 0.016 away in red."""

COLOURS = {"train": (0.5071, 0.4865, 0.4409), "test": (0.5089, 0.4874, 0.4419)}
"""Mean red, green and blue, as public loaders of the set normalise with."""


def check_colours(
    path: Path, split: Split, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    """Check that a split has the mean colour of that of CIFAR-100.

    Raises:
        ConfigError: naming the file, if it has not.
    """  # noqa: DOC501
    known = COLOURS[split.name]
    colour = images.mean((0, 1, 2), dtype=np.float64) / 255
    if np.abs(colour - known).max() > TOLERANCE:
        found = f"images with mean colour {colour.round(3).tolist()}"
        raise fault(path, found, f"{split.expected}; there it is {list(known)}")


def read() -> DataSet:
    """Return CIFAR-100, kept decoded in the cache folder.

    Raises:
        ConfigError: if its files are nowhere, or have other content.
    """
    return read_set("cifar100", ARCHIVE, SPLITS, check_colours)
