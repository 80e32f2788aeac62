"""What all sets of a user's own share: paths, labels, and a sum of the content."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from suite.config import Config
from suite.data.base import DataSet, DataSpec, Labels
from suite.data.checks import fault
from suite.errors import ConfigError


def _absolute(value: str) -> str:
    """Return a path as absolute, since workers have other current directories.

    Raises:
        ConfigError: if it is empty, or of the home of nobody.
    """
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ConfigError("", value, "a path; there is no such home folder") from None
    if not value.strip() or "\0" in value:
        raise ConfigError("", value, "a path")
    return str(path.absolute())


OwnPath = Annotated[str, AfterValidator(_absolute)]
"""A path, absolute or relative to the current directory; ``~`` is the home folder."""


MOST_SHOWN = 5
"""Classes that an error names."""


class OwnData(Config):
    """Base of the configs of a user's own data."""

    @abstractmethod
    def describe(self) -> DataSpec:
        """Return the description, without all that loading takes.

        Raises:
            ConfigError: naming the file that is missing or wrong.
        """

    @abstractmethod
    def load(self) -> DataSet:
        """Return the arrays.

        Raises:
            ConfigError: naming the file that is missing or wrong.
        """


def classes_of(paths: Sequence[Path], labels: Sequence[Labels]) -> int:
    """Return the number of classes; those of training must be 0 to the largest, without gaps.

    Args:
        paths: the files of the labels for training and for testing.
        labels: (n,) each.

    Raises:
        ConfigError: if a split is empty, or a class is missing in one of them.
    """  # noqa: DOC501
    expected = "labels that are integers from 0 on, each in training"
    for path, part, split in zip(paths, labels, ("training", "testing"), strict=True):
        if not len(part):
            raise fault(path, f"no examples for {split}", "at least one")
        if part.min() < 0:
            raise fault(path, f"the label {part.min()} for {split}", expected)
    present = np.unique(labels[0])
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if len(gaps):
        found = f"labels for training up to {present[-1]}, but none is {gaps[0]}"
        raise fault(paths[0], found, expected)
    if labels[1].max() >= len(present):
        found = f"the label {labels[1].max()} for testing, which training does not have"
        raise fault(paths[1], found, expected)
    if len(missing := np.setdiff1d(present, labels[1])):
        raise untested(paths[1], [str(label) for label in missing], len(present), str(paths[0]))
    return len(present)


def untested(test: Path, missing: Sequence[str], classes: int, train: str) -> ConfigError:
    """Return the error that classes of the training examples are not among those for testing.

    Accuracies would then be of fewer classes than the network has to tell apart.

    Args:
        test: the file or folder of the examples for testing.
        missing: names or numbers of the classes, at least one.
        classes: number of classes for training.
        train: what has examples of them.
    """
    shown = ", ".join(missing[:MOST_SHOWN]) + (", ..." if len(missing) > MOST_SHOWN else "")
    noun = "class" if len(missing) == 1 else "classes"
    found = f"no examples for testing of {len(missing)} of {classes} classes ({noun} {shown})"
    return fault(test, found, f"some of each class that {train} has")


def sum_of(*arrays: NDArray[Any]) -> str:
    """Return twelve digits that stand for the content of arrays, in whatever file they came."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]


def own_set(
    where: str,
    train: tuple[NDArray[Any], Labels],
    test: tuple[NDArray[Any], Labels],
    classes: int,
) -> DataSet:
    """Return a user's own set, whose source is its path and a sum of its content.

    Args:
        where: its path.
        train: inputs and labels.
        test: inputs and labels.
        classes: number of classes.
    """
    content = sum_of(*train, *test)
    source = f"{where} (sha256 of its arrays {content})"
    return DataSet(*train, *test, classes, source, content)
