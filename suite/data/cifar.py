"""Both sets of CIFAR (Krizhevsky 2009) from parquet with encoded images, or from the archives.

The archives hold pickles, so they are read only if their checksum matches. There are many parquet
copies, so these are checked by content: the right number of images per class, 32 x 32 in RGB, and
the colours that each set's module knows. A copy in JPEG passes, and is reported as JPEG.
"""

from __future__ import annotations

import codecs
import pickle
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from suite.data.base import DataSet
from suite.data.checks import check_labels, fault, md5_of, reading
from suite.data.encoded import JPEG, decoded
from suite.data.fetch import RemoteFile, find
from suite.data.kept import identity_of, kept

SHAPE = (32, 32, 3)

Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (n, 32, 32, 3) and labels (n,)."""


@dataclass(frozen=True)
class Split:
    """What one split must be.

    Attributes:
        name: ``train`` or ``test``.
        each: images of each class.
        owner: the set that it belongs to.
        classes: number of classes.
        images: names that the column of images may have.
        labels: names that the column of labels may have; the first that is there is taken.
    """

    name: str
    each: int
    owner: str
    classes: int
    images: tuple[str, ...] = ("img",)
    labels: tuple[str, ...] = ("label",)

    @property
    def expected(self) -> str:
        """What would be right, in words."""
        images, labels = (" or ".join(map(repr, names)) for names in (self.images, self.labels))
        return (
            f"the {self.name} split of {self.owner}: {self.classes * self.each:,} images of "
            f"32 x 32 in RGB, {self.each:,} of each of {self.classes} classes, in columns {images} "
            f"(with 'bytes') and {labels}"
        )


CheckColours = Callable[[Path, Split, NDArray[np.uint8], NDArray[np.int64]], None]
"""Raises an error that names the file, if images have not the colours of the split."""


def check_split(path: Path, split: Split, images: NDArray[np.uint8], labels: Any) -> None:
    """Check the numbers, shapes and labels of a split.

    Raises:
        ConfigError: naming the file, if they are not right.
    """  # noqa: DOC501
    check_labels(path, labels, [split.each] * split.classes)
    if images.shape != (len(labels), *SHAPE) or images.dtype != np.uint8:
        found = f"images of shape {images.shape} and type {images.dtype}"
        raise fault(path, found, split.expected)


def read_parquet(paths: Sequence[Path], splits: Sequence[Split], check: CheckColours) -> DataSet:
    """Return the set in two parquet files.

    Raises:
        ConfigError: naming the file that is not what it should be.
    """
    parts: list[Rows] = []
    lossy = False
    for path, split in zip(paths, splits, strict=True):
        with reading(path, split.expected):
            images, labels, of_jpeg = _table(path, split)
            check_split(path, split, images, labels)
            check(path, split, images, labels)
        parts.append((images, labels))
        lossy = lossy or of_jpeg
    source = f"{splits[0].owner} (JPEG copy, lossy)" if lossy else splits[0].owner
    return DataSet(*parts[0], *parts[1], splits[0].classes, source)


def _table(path: Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64], bool]:
    """Return images, labels, and whether any image is a JPEG."""  # noqa: DOC501
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    rows, schema = file.metadata.num_rows, file.schema_arrow
    if rows != split.classes * split.each:
        raise fault(path, f"{rows:,} rows", split.expected)
    columns = [
        next((name for name in names if name in schema.names), None)
        for names in (split.images, split.labels)
    ]
    if columns[0] is None or columns[1] is None:
        raise fault(path, f"columns {schema.names}", split.expected)
    kinds = schema.field(columns[0]).type, schema.field(columns[1]).type
    if not pa.types.is_struct(kinds[0]) or kinds[0].get_field_index("bytes") < 0:
        raise fault(path, f"images of type {kinds[0]}", split.expected)
    if not pa.types.is_integer(kinds[1]):
        raise fault(path, f"labels of type {kinds[1]}", split.expected)
    table = file.read(columns)
    labels = table[columns[1]]
    if labels.null_count:
        raise fault(path, f"{labels.null_count:,} rows without a label", split.expected)
    images = np.empty((rows, *SHAPE), np.uint8)
    lossy = False
    for row, encoded in enumerate(table[columns[0]].to_pylist()):
        code = b"" if encoded is None else encoded["bytes"] or b""
        images[row] = _image(path, split, row, code)
        lossy = lossy or code.startswith(JPEG)
    return images, labels.to_numpy().astype(np.int64), lossy


def _image(path: Path, split: Split, row: int, code: bytes) -> NDArray[np.uint8]:
    """Return the image of a row, (32, 32, 3); nothing larger is unpacked."""  # noqa: DOC501
    if not code:
        raise fault(path, f"no image in row {row:,}", split.expected)
    with decoded(code, path, f"in row {row:,}", split.expected) as image:
        if image.size != SHAPE[:2] or image.mode != "RGB":
            found = f"in row {row:,} an image of {image.size} in {image.mode}"
            raise fault(path, found, split.expected)
        return np.asarray(image)


@dataclass(frozen=True)
class Archive:
    """A published archive of pickled batches.

    Attributes:
        remote: its name, checksum and addresses.
        folder: that its members are in.
        members: names of the batches of each split.
        labels: key of the labels in a batch.
    """

    remote: RemoteFile
    folder: str
    members: tuple[tuple[str, ...], tuple[str, ...]]
    labels: bytes


def read_set(
    folder: str, archive: Archive, splits: Sequence[Split], check: CheckColours
) -> DataSet:
    """Return a set from its parquet files or its archive, kept decoded in the cache folder.

    Args:
        folder: of the parquet files, and name of the set.
        archive: the other form.
        splits: what each must be.
        check: looks at their colours.

    Raises:
        ConfigError: if its files are nowhere, or have other content.
    """
    parquet = [f"{folder}/{split.name}.parquet" for split in splits]
    packed = [f"{folder}/{archive.remote.name}"]
    paths = find(folder, [parquet, packed], [archive.remote])

    def decode() -> DataSet:
        if len(paths) == len(parquet):
            return read_parquet(paths, splits, check)
        return read_archive(paths[0], archive, splits, check)

    return kept(folder, identity_of(paths), decode)


def read_archive(
    path: Path, archive: Archive, splits: Sequence[Split], check: CheckColours
) -> DataSet:
    """Return the set in an archive.

    Raises:
        ConfigError: naming the file, if it is not the archive that its makers published.
    """  # noqa: DOC501
    expected = f"the published archive, MD5 {archive.remote.md5}"
    with reading(path, expected):
        if (md5 := md5_of(path)) != archive.remote.md5:
            raise fault(path, f"MD5 {md5}", f"{expected}; nothing else is unpickled")
        with tarfile.open(path, "r:gz") as opened:
            parts = [
                [_batch(path, opened, archive, name, expected) for name in names]
                for names in archive.members
            ]
        whole: list[Rows] = []
        for split, batches in zip(splits, parts, strict=True):
            images = np.concatenate([part for part, _ in batches])
            labels = np.concatenate([part for _, part in batches])
            check_split(path, split, images, labels)
            check(path, split, images, labels)
            whole.append((images, labels))
    return DataSet(*whole[0], *whole[1], splits[0].classes, splits[0].owner)


class _Unpickler(pickle.Unpickler):
    """Makes arrays and plain data, and refuses to call anything else."""

    known: ClassVar[Mapping[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of CIFAR")
        return self.known[module, name]


def _batch(path: Path, opened: tarfile.TarFile, archive: Archive, name: str, expected: str) -> Rows:
    """Return images and labels of one file of the archive, read in place."""  # noqa: DOC501
    member = opened.getmember(f"{archive.folder}/{name}")
    stream = opened.extractfile(member) if member.isreg() else None
    if stream is None:  # a link, say, to somewhere else
        raise fault(path, f"{member.name} that is not a plain file", expected)
    batch = _Unpickler(stream, encoding="bytes").load()
    flat = np.asarray(batch[b"data"], np.uint8)
    images = np.ascontiguousarray(flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.asarray(batch[archive.labels], np.int64)
