"""What a data set is: its description, and its arrays in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]

DataName = Literal["mnist1d", "digits", "mnist", "fashion_mnist", "cifar10", "cifar100"]
"""A set that is known by name; a user's own have a path."""


@dataclass(frozen=True)
class DataSpec:
    """What a model and a table need to know of a data set.

    Attributes:
        shape: of one example as a model sees it; channels come first.
        classes: number of classes; labels run from 0.
        train: number of examples for training.
        test: number of examples for testing.
        images: whether `shape` is channels, height and width of images of bytes.
        label: short name for tables.
    """

    shape: tuple[int, ...]
    classes: int
    train: int
    test: int
    images: bool
    label: str


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set in memory; each is equal to itself alone.

    Attributes:
        train_inputs: bytes (n, height, width, channels) of images, else float32 (n, *shape).
        train_labels: (n,) integers from 0.
        test_inputs: as `train_inputs`.
        test_labels: as `train_labels`.
        classes: number of classes.
        source: the origin of the numbers, to be stated with results.
        content: what stands for the arrays of a user's own data; "" for sets with a name.
    """

    train_inputs: NDArray[Any]
    train_labels: Labels
    test_inputs: NDArray[Any]
    test_labels: Labels
    classes: int
    source: str
    content: str = ""

    @property
    def images(self) -> bool:
        """Whether the inputs are images of bytes."""
        return self.train_inputs.dtype == np.uint8

    def spec(self, label: str) -> DataSpec:
        """Return the description of these arrays.

        Args:
            label: short name for tables.
        """
        shape = self.train_inputs.shape[1:]
        if self.images:
            shape = (shape[2], *shape[:2])
        sizes = len(self.train_labels), len(self.test_labels)
        return DataSpec(shape, self.classes, *sizes, self.images, label)


ARRAYS = tuple(field.name for field in fields(DataSet))[:4]
"""Names of the arrays."""
