"""Small image sets as whole arrays: scikit-learn's digits, MNIST and CIFAR-10.

Digits come with scikit-learn and need no file. CIFAR-10 is read from parquet or from the original
python archive (`suite.data.cifar10`), MNIST from IDX files (`suite.data.mnist`). Files with other
content are refused.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from suite.data.cifar10 import ARCHIVE, read_archive, read_parquet
from suite.data.fetch import cache_folder, find
from suite.data.mnist import FILES as MNIST
from suite.data.mnist import read_idx

ImageSetName = Literal["digits", "mnist", "cifar10"]
Bytes = NDArray[np.uint8]

TRAIN_SIZES: dict[str, int] = {"digits": 1437, "mnist": 60_000, "cifar10": 50_000}
"""Training images of each set."""

SHAPES: dict[str, tuple[int, int, int]] = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}
"""Channels, height and width of each set's images."""

CHECKED = "2|"
"""Raised when the checks of what is read change, so that copies from before are not taken."""

DIGITS_SPLIT_SEED = 0
"""The digits have no published split: 360 of 1,797 images, drawn once for all, are for testing."""


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


@lru_cache(maxsize=2)
def load_images(name: ImageSetName) -> ImageSet:
    """Return a data set, read once per process.

    Raises:
        ConfigError: if its files are nowhere to be found, or are not what they are called.
    """
    return {"digits": _digits, "mnist": _mnist, "cifar10": _cifar10}[name]()


def _digits() -> ImageSet:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(DIGITS_SPLIT_SEED).permutation(len(labels))
    train, test = np.split(order, [TRAIN_SIZES["digits"]])
    return ImageSet(
        images[train], labels[train], images[test], labels[test], "scikit-learn digits (8x8)"
    )


def _mnist() -> ImageSet:
    plain = [f"mnist/{file.name}" for file in MNIST]
    torch_style = [f"MNIST/raw/{file.name}" for file in MNIST]
    packed = [f"{name}.gz" for name in plain]
    paths = find("mnist", [plain, torch_style, packed], [file.remote for file in MNIST])
    parts = [read_idx(path, file) for path, file in zip(paths, MNIST, strict=True)]
    return ImageSet(
        parts[0][..., None],
        parts[1].astype(np.int64),
        parts[2][..., None],
        parts[3].astype(np.int64),
        "MNIST",
    )


def _cifar10() -> ImageSet:
    parquet = ["cifar10/train.parquet", "cifar10/test.parquet"]
    paths = find("cifar10", [parquet, [f"cifar10/{ARCHIVE.name}"]], [ARCHIVE])

    def read() -> ImageSet:
        (a, b, c, d), source = read_parquet(paths) if len(paths) == 2 else read_archive(paths[0])
        return ImageSet(a, b, c, d, source)

    return _decoded("cifar10", paths, read)


def _decoded(name: str, paths: list[Path], read: Callable[[], ImageSet]) -> ImageSet:
    """Return `read()`, kept decoded in the cache for as long as the files stay the same."""
    identity = CHECKED + "|".join(
        f"{p.resolve()}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in paths
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    kept = cache_folder() / "decoded" / f"{name}-{digest}.npz"
    fields = ("train_images", "train_labels", "test_images", "test_labels")
    if kept.is_file():
        try:
            with kept.open("rb") as file, np.load(file) as stored:
                a, b, c, d = (stored[field] for field in fields)
                return ImageSet(a, b, c, d, str(stored["source"]))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
            pass  # a damaged copy, which is made again
    images = read()
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}.npz")
    np.savez(temporary, source=images.source, **{f: getattr(images, f) for f in fields})
    temporary.replace(kept)
    return images
