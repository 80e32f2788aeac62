"""Small image sets as whole arrays: scikit-learn's digits, MNIST and CIFAR-10.

Digits come with scikit-learn and need no file. CIFAR-10 is read from parquet (columns ``img`` with
encoded ``bytes``, and ``label``) or from the original python archive, MNIST from IDX files.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from suite.data.fetch import RemoteFile, cache_folder, find

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

CLASSES = 10
"""Every set has ten."""

DIGITS_SPLIT_SEED = 0
"""The digits have no published split: 360 of 1,797 images, drawn once for all, are for testing."""

_MNIST = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_CIFAR_ARCHIVE = RemoteFile(
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)


@dataclass(frozen=True)
class ImageSet:
    """A data set in memory.

    Attributes:
        train_images: (n, height, width, channels) bytes.
        train_labels: (n,) integers.
        test_images: as `train_images`.
        test_labels: as `train_labels`.
        source: what the numbers come from, to be stated beside results.
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
        ConfigError: if its files are nowhere to be found.
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
    packed = [f"mnist/{name}" for name in _MNIST]
    plain = [name.removesuffix(".gz") for name in packed]
    torch_style = [name.replace("mnist/", "MNIST/raw/") for name in plain]
    remote = [
        RemoteFile(name, md5, tuple(mirror + name for mirror in _MNIST_MIRRORS))
        for name, md5 in _MNIST.items()
    ]
    paths = find("mnist", [plain, torch_style, packed], remote)
    parts = [_idx(path) for path in paths]
    return ImageSet(
        parts[0][..., None],
        parts[1].astype(np.int64),
        parts[2][..., None],
        parts[3].astype(np.int64),
        "MNIST",
    )


def _idx(path: Path) -> Bytes:
    """Return the array of an IDX file of bytes, gzipped or not."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    dimensions = raw[3]
    shape = struct.unpack(f">{dimensions}I", raw[4 : 4 + 4 * dimensions])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _cifar10() -> ImageSet:
    parquet = ["cifar10/train.parquet", "cifar10/test.parquet"]
    paths = find("cifar10", [parquet, [f"cifar10/{_CIFAR_ARCHIVE.name}"]], [_CIFAR_ARCHIVE])
    read = _cifar_parquet if len(paths) == 2 else _cifar_archive
    return _decoded("cifar10", paths, lambda: read(paths))


def _cifar_parquet(paths: list[Path]) -> ImageSet:
    import pyarrow.parquet as pq
    from PIL import Image

    arrays: list[Any] = []
    lossy = False
    for path in paths:
        table = pq.read_table(path)
        encoded = [row["bytes"] for row in table["img"].to_pylist()]
        lossy = lossy or encoded[0][:3] == b"\xff\xd8\xff"
        arrays.append(np.stack([np.asarray(Image.open(io.BytesIO(code))) for code in encoded]))
        arrays.append(table["label"].to_numpy().astype(np.int64))
    source = "CIFAR-10 (JPEG copy, lossy)" if lossy else "CIFAR-10"
    train_images, train_labels, test_images, test_labels = arrays
    return ImageSet(train_images, train_labels, test_images, test_labels, source)


def _cifar_archive(paths: list[Path]) -> ImageSet:
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    batches = []
    with tarfile.open(paths[0]) as archive:
        for name in names:
            member = archive.extractfile(f"cifar-10-batches-py/{name}")
            assert member is not None
            batches.append(pickle.load(member, encoding="bytes"))

    def images(parts: list[Any]) -> Bytes:
        flat = np.concatenate([part[b"data"] for part in parts])
        return np.ascontiguousarray(flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))

    def labels(parts: list[Any]) -> NDArray[np.int64]:
        return np.concatenate([np.asarray(part[b"labels"], np.int64) for part in parts])

    train, test = batches[:5], batches[5:]
    return ImageSet(images(train), labels(train), images(test), labels(test), "CIFAR-10")


def _decoded(name: str, paths: list[Path], read: Callable[[], ImageSet]) -> ImageSet:
    """Return `read()`, kept decoded in the cache for as long as the files stay the same."""
    identity = "|".join(f"{p.resolve()}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in paths)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    kept = cache_folder() / "decoded" / f"{name}-{digest}.npz"
    fields = ("train_images", "train_labels", "test_images", "test_labels")
    if kept.is_file():
        with np.load(kept) as stored:
            a, b, c, d = (stored[field] for field in fields)
            return ImageSet(a, b, c, d, str(stored["source"]))
    images = read()
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_suffix(f".{os.getpid()}.npz")
    np.savez(temporary, source=images.source, **{f: getattr(images, f) for f in fields})
    temporary.replace(kept)
    return images
