"""Sets of IDX files: only the published bytes are accepted, compressed or not."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet
from suite.data.checks import CLASSES, fault, reading
from suite.data.fetch import RemoteFile, find

NAMES = (
    ("train-images-idx3-ubyte", (60_000, 28, 28)),
    ("train-labels-idx1-ubyte", (60_000,)),
    ("t10k-images-idx3-ubyte", (10_000, 28, 28)),
    ("t10k-labels-idx1-ubyte", (10_000,)),
)
"""Training images and labels, test images and labels of MNIST and of sets in its form."""


@dataclass(frozen=True)
class IdxFile:
    """An IDX file of bytes.

    Attributes:
        owner: the set that it belongs to.
        name: of the file, unpacked.
        shape: of the array.
        md5: checksum of the file, unpacked.
        packed_md5: of the file as it can be downloaded.
        mirrors: addresses of the folder that it can be downloaded from.
    """

    owner: str
    name: str
    shape: tuple[int, ...]
    md5: str
    packed_md5: str
    mirrors: tuple[str, ...]

    @property
    def remote(self) -> RemoteFile:
        """Where to download it."""
        packed = f"{self.name}.gz"
        addresses = tuple(mirror + packed for mirror in self.mirrors)
        return RemoteFile(packed, self.packed_md5, addresses)


def files_of(
    owner: str, mirrors: tuple[str, ...], sums: Sequence[tuple[str, str]]
) -> tuple[IdxFile, ...]:
    """Return the four files of a set in the form of MNIST.

    Args:
        owner: name of the set in messages.
        mirrors: addresses of the folder that they can be downloaded from.
        sums: MD5 of each file, unpacked and packed, in the order of `NAMES`.
    """
    return tuple(
        IdxFile(owner, name, shape, md5, packed, mirrors)
        for (name, shape), (md5, packed) in zip(NAMES, sums, strict=True)
    )


def read_set(folder: str, other: str, files: Sequence[IdxFile]) -> DataSet:
    """Return a set of ten classes of images, found in the data folders or downloaded.

    Args:
        folder: of the files, in a data folder; also the set's name in messages.
        other: folder that torchvision unpacks them to.
        files: training images and labels, test images and labels.

    Raises:
        ConfigError: if the files are nowhere, or are not the published ones.
    """
    plain = [f"{folder}/{file.name}" for file in files]
    torch_style = [f"{other}/{file.name}" for file in files]
    packed = [f"{name}.gz" for name in plain]
    paths = find(folder, [plain, torch_style, packed], [file.remote for file in files])
    parts = [read_idx(path, file) for path, file in zip(paths, files, strict=True)]
    return DataSet(
        parts[0][..., None],
        parts[1].astype(np.int64),
        parts[2][..., None],
        parts[3].astype(np.int64),
        CLASSES,
        files[0].owner,
    )


def read_idx(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Return the array of an IDX file, gzipped or not.

    Raises:
        ConfigError: naming the file, if it is not the published one.
    """  # noqa: DOC501
    header = 4 + 4 * len(file.shape)
    size = header + int(np.prod(file.shape))
    expected = f"{file.owner}'s {file.name}: bytes of shape {file.shape}, MD5 {file.md5} unpacked"
    with reading(path, expected):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as stream:
            raw: bytes = stream.read(size + 1)  # however much a packed file holds
        said = _header(raw)
        if said != file.shape:
            shape = "no IDX file of bytes" if said is None else f"an array of shape {said}"
            raise fault(path, shape, expected)
        if len(raw) != size:
            much = f"more than {size:,}" if len(raw) > size else f"{len(raw):,}"
            raise fault(path, f"{much} bytes for an array of shape {said}", expected)
        md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if md5 != file.md5:
            raise fault(path, f"an array of the right shape, but MD5 {md5}", expected)
        # A copy, since torch warns of arrays that cannot be written to.
        return np.frombuffer(raw, np.uint8, offset=header).reshape(file.shape).copy()


def _header(raw: bytes) -> tuple[int, ...] | None:
    """Return the shape that an IDX file of bytes states; None if it is none."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        return None
    return struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
