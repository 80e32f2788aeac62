"""Decoded copies of data sets in the cache folder, since decoding takes seconds."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args
from zipfile import BadZipFile

import numpy as np

from suite.data import fetch
from suite.data.base import ARRAYS, DataName, DataSet

CHECKED = "3|"
"""Raised when the checks of what is read change, so that copies from before are not taken."""


def identity_of(paths: list[Path]) -> str:
    """Return a text that changes when the files do."""
    return "|".join(f"{p.resolve()}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in paths)


def is_near(name: str) -> bool:
    """Return whether a named data set seems to be there, as files or decoded: nothing to download.

    No other text is near: it might be a pattern, or a path.
    """
    if name not in get_args(DataName):
        return False
    if any((fetch.cache_folder() / "decoded").glob(f"{name}-*.npz")):
        return True
    return any(any((folder / name).glob("*")) for folder in fetch.data_folders())


def kept(name: str, identity: str, read: Callable[[], DataSet]) -> DataSet:
    """Return `read()`, kept decoded in the cache for as long as `identity` stays the same.

    Args:
        name: of the data set; begins the name of the copy.
        identity: what the numbers depend on.
        read: makes the data set.
    """
    digest = hashlib.sha256((CHECKED + identity).encode()).hexdigest()[:12]
    copy = fetch.cache_folder() / "decoded" / f"{name}-{digest}.npz"
    if copy.is_file():
        try:
            with copy.open("rb") as file, np.load(file) as stored:
                a, b, c, d = (stored[field] for field in ARRAYS)
                return DataSet(a, b, c, d, int(stored["classes"]), str(stored["source"]))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
            pass  # a damaged copy, which is made again
    data = read()
    temporary = copy.with_suffix(f".{os.getpid()}.npz")
    arrays = {field: getattr(data, field) for field in ARRAYS}
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, classes=data.classes, source=data.source, **arrays)
        temporary.replace(copy)
    except OSError:  # a full or read-only disk costs only the time that a copy would save
        with suppress(OSError):
            temporary.unlink()
    return data
