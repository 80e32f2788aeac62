"""All data sets for supervised tasks: those with a name, and a user's own by path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator

from suite.data import cifar10, cifar100, digits, fashion_mnist, mnist, mnist1d
from suite.data.base import DataName as DataName
from suite.data.base import DataSet, DataSpec
from suite.data.folder import FolderData
from suite.data.npz import NpzData
from suite.data.own import OwnData
from suite.data.parquet import ParquetData
from suite.errors import ConfigError, nearest

OWN: dict[str, type[OwnData]] = {"folder": FolderData, "npz": NpzData, "parquet": ParquetData}
"""The forms of a user's own data, by the one key of their mapping."""

_FORMS = "{folder: PATH}, {npz: PATH} or {parquet: {train: PATH, test: PATH}}"


def _choose(value: Any) -> Any:
    """Return a name that is known, or the config of a mapping.

    Raises:
        ConfigError: for everything else.
    """
    if isinstance(value, OwnData):
        return value
    if isinstance(value, Mapping):
        if len(value) != 1 or (form := next(iter(value))) not in OWN:
            raise ConfigError("", dict(value), f"a mapping with one key: {_FORMS}")
        return OWN[form].from_mapping(value)
    if not isinstance(value, str) or value not in get_args(DataName):
        names = nearest(str(value), get_args(DataName))
        raise ConfigError("", value, f"{names}; or your own as {_FORMS}")
    return value


AnyData = Annotated[DataName | FolderData | NpzData | ParquetData, BeforeValidator(_choose)]
"""A field of a config that says which data: a name, or one of the mappings of `OWN`."""

_NAMED: dict[str, tuple[DataSpec, Callable[[], DataSet]]] = {
    "mnist1d": (DataSpec((1, 40), 10, 3000, 3000, False, "mnist1d"), mnist1d.read),
    "digits": (DataSpec((1, 8, 8), 10, 1437, 360, True, "digits"), digits.read),
    "mnist": (DataSpec((1, 28, 28), 10, 60_000, 10_000, True, "mnist"), mnist.read),
    "fashion_mnist": (
        DataSpec((1, 28, 28), 10, 60_000, 10_000, True, "fashion_mnist"),
        fashion_mnist.read,
    ),
    "cifar10": (DataSpec((3, 32, 32), 10, 50_000, 10_000, True, "cifar10"), cifar10.read),
    "cifar100": (DataSpec((3, 32, 32), 100, 50_000, 10_000, True, "cifar100"), cifar100.read),
}


@lru_cache(maxsize=16)
def describe(data: DataName | OwnData) -> DataSpec:
    """Return what a model and a table need to know, once per process.

    Sets with a name are not opened. Of a user's own, the labels and the headers of the images or
    arrays are read.

    Args:
        data: a name, or the config of a user's own data.

    Raises:
        ConfigError: naming the file of a user's own data that is missing or wrong.
    """
    return data.describe() if isinstance(data, OwnData) else _NAMED[data][0]


@lru_cache(maxsize=2)
def load(data: DataName | OwnData) -> DataSet:
    """Return the arrays of a data set, read once per process.

    Args:
        data: a name, or the config of a user's own data.

    Raises:
        ConfigError: if its files are nowhere to be found, or are not what they should be.
    """
    return data.load() if isinstance(data, OwnData) else _NAMED[data][1]()
