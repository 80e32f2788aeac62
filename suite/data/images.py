"""The image sets of tasks that take no other data: scikit-learn's digits, MNIST and CIFAR-10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from suite.data.sets import describe, load

ImageSetName = Literal["digits", "mnist", "cifar10"]
Bytes = NDArray[np.uint8]

TRAIN_SIZES: dict[str, int] = {name: describe(name).train for name in get_args(ImageSetName)}
"""Training images of each set."""

SHAPES = {name: cast(tuple[int, int, int], describe(name).shape) for name in get_args(ImageSetName)}
"""Channels, height and width of each set's images."""


@dataclass(frozen=True)
class ImageSet:
    """A data set in memory.

    Attributes:
        train_images: (n, height, width, channels) bytes.
        train_labels: (n,) integers.
        test_images: as `train_images`.
        test_labels: as `train_labels`.
        source: the origin of the numbers, to be stated with results.
    """

    train_images: Bytes
    train_labels: NDArray[np.int64]
    test_images: Bytes
    test_labels: NDArray[np.int64]
    source: str


def load_images(name: ImageSetName) -> ImageSet:
    """Return a data set, read once per process.

    Raises:
        ConfigError: if its files are nowhere to be found, or are not what they are called.
    """
    data = load(name)
    return ImageSet(
        data.train_inputs, data.train_labels, data.test_inputs, data.test_labels, data.source
    )
