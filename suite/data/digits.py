"""The digits that come with scikit-learn, 8 x 8 pixels; they need no file."""

from __future__ import annotations

import numpy as np

from suite.data.base import DataSet
from suite.data.checks import CLASSES

TRAIN = 1437
"""Training images, of 1,797."""

SPLIT_SEED = 0
"""The digits have no published split: 360 of 1,797 images, drawn once for all, are for testing."""


def read() -> DataSet:
    """Return the digits."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
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
