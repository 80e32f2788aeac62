"""The digits that come with scikit-learn, 8 x 8 pixels; they need no file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet
from suite.data.checks import CLASSES

TRAIN = 1437
"""Training images, of 1,797."""

SPLIT_SEED = 0
"""The digits have no published split: 360 of 1,797 images, drawn once for all, are for testing."""


def _table() -> NDArray[np.float64]:
    """Return scikit-learn's table: a row of 64 pixels, from 0 to 16, and a class for each digit.

    Its file is read as it is, because the import of scikit-learn takes a second.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits  # a later version, which may keep it elsewhere

    bunch = load_digits()
    return np.column_stack([bunch.images.reshape(-1, 64), bunch.target])


def read() -> DataSet:
    """Return the digits."""
    table = _table()
    images = np.round(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)[..., None]
    labels = table[:, -1].astype(np.int64)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    train, test = np.split(order, [TRAIN])
    return DataSet(
        images[train],
        labels[train],
        images[test],
        labels[test],
        CLASSES,
        "scikit-learn digits (8x8)",
    )
