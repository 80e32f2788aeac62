"""MNIST (LeCun et al. 1998) from its IDX files."""

from __future__ import annotations

from suite.data.base import DataSet
from suite.data.idx import files_of, read_set

FILES = files_of(
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    (
        ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
        ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)
"""Sums as public loaders check them."""


def read() -> DataSet:
    """Return MNIST.

    Raises:
        ConfigError: if its files are nowhere, or are not the published ones.
    """
    return read_set("mnist", "MNIST/raw", FILES)
