"""MNIST from its IDX files: only the official bytes are accepted, compressed or not."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.data.checks import fault, reading
from suite.data.fetch import RemoteFile

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True)
class IdxFile:
    """An IDX file of bytes.

    Attributes:
        name: of the file, unpacked.
        shape: of the array.
        md5: checksum of the file, unpacked.
        packed_md5: of the file as it can be downloaded.
    """

    name: str
    shape: tuple[int, ...]
    md5: str
    packed_md5: str

    @property
    def remote(self) -> RemoteFile:
        """Where to download it."""
        packed = f"{self.name}.gz"
        return RemoteFile(packed, self.packed_md5, tuple(mirror + packed for mirror in _MIRRORS))


FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "6bbc9ace898e44ae57da46a324031adb",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "a25bea736e30d166cdddb491f175f624",
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "2646ac647ad5339dbf082846283269ea",
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "27ae3e4e09519cfbb04c329615203637",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
"""Training images and labels, test images and labels; sums as public loaders check them."""


def read_idx(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Return the array of an IDX file, gzipped or not.

    Raises:
        ConfigError: naming the file, if it is not the official one.
    """  # noqa: DOC501
    header = 4 + 4 * len(file.shape)
    size = header + int(np.prod(file.shape))
    expected = f"MNIST's {file.name}: bytes of shape {file.shape}, MD5 {file.md5} unpacked"
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
        return np.frombuffer(raw, np.uint8, offset=header).reshape(file.shape)


def _header(raw: bytes) -> tuple[int, ...] | None:
    """Return the shape that an IDX file of bytes states; None if it is none."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * raw[3]:
        return None
    return struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
