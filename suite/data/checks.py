"""Checks that a file has the content of its name: sizes, shapes, classes, known checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import ConfigError

CLASSES = 10
"""Digits, MNIST and CIFAR-10 have ten."""


def fault(path: Path, found: str, expected: str) -> ConfigError:
    """Return the error that a file of a data set is not what its name says.

    Args:
        path: the file.
        found: what is in it.
        expected: what would be right.
    """
    return ConfigError("task.dataset", f"{path}: {found}", expected)


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn any exception of a reader into one error that names the file.

    Raises:
        ConfigError: for every error inside.
    """  # noqa: DOC501
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")
        raise fault(path, f"cannot be read ({said})", expected) from error


def md5_of(path: Path) -> str:
    """Return the MD5 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def check_labels(path: Path, labels: NDArray[np.int64], counts: list[int]) -> None:
    """Check that there are so many labels of each class.

    Args:
        path: the file.
        labels: (n,).
        counts: of the classes from 0 on.

    Raises:
        ConfigError: if there are not.
    """  # noqa: DOC501
    if labels.min() < 0 or labels.max() >= len(counts):
        found = f"labels from {labels.min()} to {labels.max()}"
        raise fault(path, found, f"labels from 0 to {len(counts) - 1}")
    numbers = np.bincount(labels, minlength=len(counts)).tolist()
    if numbers != counts:
        raise fault(path, f"labels of each class {numbers}", f"{counts}")
