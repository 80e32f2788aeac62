"""CIFAR-10 from parquet (columns ``img`` with encoded ``bytes``, and ``label``) or the archive.

The original archive holds pickles, so it is read only if its checksum matches. There are many
parquet copies, so these are checked by content: the right number of images per class, 32 x 32 in
RGB, with the mean colours of the classes of CIFAR-10. This rejects other sets of the same shape,
and the same images with other labels. A copy in JPEG passes, and is reported as JPEG.
"""

from __future__ import annotations

import codecs
import io
import pickle
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from suite.data.checks import CLASSES, check_labels, fault, md5_of, reading
from suite.data.fetch import RemoteFile

ARCHIVE = RemoteFile(
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)
SHAPE = (32, 32, 3)
TOLERANCE = 0.004
"""On mean colours in [0, 1]; JPEG at quality 75 moves them by less than 0.001."""

COLOURS = {
    "train": (
        (0.526, 0.560, 0.589),
        (0.471, 0.454, 0.447),
        (0.489, 0.491, 0.424),
        (0.495, 0.456, 0.416),
        (0.472, 0.465, 0.378),
        (0.500, 0.465, 0.417),
        (0.470, 0.438, 0.346),
        (0.502, 0.480, 0.417),
        (0.490, 0.525, 0.555),
        (0.498, 0.485, 0.478),
    ),
    "test": (
        (0.534, 0.572, 0.606),
        (0.471, 0.454, 0.448),
        (0.490, 0.495, 0.428),
        (0.493, 0.455, 0.416),
        (0.465, 0.459, 0.371),
        (0.509, 0.475, 0.425),
        (0.475, 0.442, 0.346),
        (0.505, 0.483, 0.426),
        (0.495, 0.525, 0.553),
        (0.505, 0.490, 0.485),
    ),
}
"""Mean red, green and blue of each class, from airplane to truck."""


@dataclass(frozen=True)
class Split:
    """What one split must be.

    Attributes:
        name: ``train`` or ``test``.
        each: images of each class.
    """

    name: str
    each: int

    @property
    def expected(self) -> str:
        """What would be right, in words."""
        return (
            f"the {self.name} split of CIFAR-10: {CLASSES * self.each:,} images of 32 x 32 in RGB, "
            f"{self.each:,} of each of {CLASSES} classes, in columns 'img' (with 'bytes') and "
            "'label'"
        )


SPLITS = (Split("train", 5000), Split("test", 1000))

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


def check_split(path: Path, split: Split, images: NDArray[np.uint8], labels: Any) -> None:
    """Check that images and labels are those of a split of CIFAR-10.

    Raises:
        ConfigError: naming the file, if they are not.
    """  # noqa: DOC501
    check_labels(path, labels, [split.each] * CLASSES)
    if images.shape != (len(labels), *SHAPE) or images.dtype != np.uint8:
        found = f"images of shape {images.shape} and type {images.dtype}"
        raise fault(path, found, split.expected)
    for label, known in enumerate(COLOURS[split.name]):
        colour = images[labels == label].mean((0, 1, 2), dtype=np.float64) / 255
        if np.abs(colour - known).max() > TOLERANCE:
            found = f"images of class {label} with mean colour {colour.round(3).tolist()}"
            raise fault(path, found, f"{split.expected}; there its colour is {list(known)}")


def read_parquet(paths: list[Path]) -> tuple[list[Any], str]:
    """Return images and labels of both splits, and what they are.

    Raises:
        ConfigError: naming the file that is not CIFAR-10.
    """
    arrays: list[Any] = []
    lossy = False
    for path, split in zip(paths, SPLITS, strict=True):
        with reading(path, split.expected):
            images, labels, of_jpeg = _table(path, split)
            check_split(path, split, images, labels)
        arrays += [images, labels]
        lossy = lossy or of_jpeg
    return arrays, "CIFAR-10 (JPEG copy, lossy)" if lossy else "CIFAR-10"


def _table(path: Path, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64], bool]:
    """Return images, labels, and whether any image is a JPEG."""  # noqa: DOC501
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    rows, schema = file.metadata.num_rows, file.schema_arrow
    if rows != CLASSES * split.each:
        raise fault(path, f"{rows:,} rows", split.expected)
    if not {"img", "label"} <= set(schema.names):
        raise fault(path, f"columns {schema.names}", split.expected)
    kinds = schema.field("img").type, schema.field("label").type
    if not pa.types.is_struct(kinds[0]) or kinds[0].get_field_index("bytes") < 0:
        raise fault(path, f"images of type {kinds[0]}", split.expected)
    if not pa.types.is_integer(kinds[1]):
        raise fault(path, f"labels of type {kinds[1]}", split.expected)
    table = file.read(["img", "label"])
    if table["label"].null_count:
        raise fault(path, f"{table['label'].null_count:,} rows without a label", split.expected)
    images = np.empty((rows, *SHAPE), np.uint8)
    lossy = False
    for row, encoded in enumerate(table["img"].to_pylist()):
        code = b"" if encoded is None else encoded["bytes"] or b""
        images[row] = _decoded(path, split, row, code)
        lossy = lossy or code[:3] == b"\xff\xd8\xff"
    return images, table["label"].to_numpy().astype(np.int64), lossy


def _decoded(path: Path, split: Split, row: int, code: bytes) -> NDArray[np.uint8]:
    """Return the image of a row, (32, 32, 3); nothing larger is unpacked."""  # noqa: DOC501
    from PIL import Image

    if not code:
        raise fault(path, f"no image in row {row:,}", split.expected)
    try:
        with Image.open(io.BytesIO(code), formats=("PNG", "JPEG")) as image:
            if image.size != SHAPE[:2] or image.mode != "RGB":
                found = f"in row {row:,} an image of {image.size} in {image.mode}"
                raise fault(path, found, split.expected)
            return np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        found = f"in row {row:,} bytes that are not PNG or JPEG ({type(error).__name__})"
        raise fault(path, found, split.expected) from error


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
            raise pickle.UnpicklingError(f"{module}.{name} is not part of CIFAR-10")
        return self.known[module, name]


def read_archive(path: Path) -> tuple[list[Any], str]:
    """Return images and labels of both splits, and what they are.

    Raises:
        ConfigError: naming the file, if it is not the archive that its makers published.
    """  # noqa: DOC501
    expected = f"the published archive, MD5 {ARCHIVE.md5}"
    with reading(path, expected):
        if (md5 := md5_of(path)) != ARCHIVE.md5:
            raise fault(path, f"MD5 {md5}", f"{expected}; nothing else is unpickled")
        with tarfile.open(path, "r:gz") as archive:
            train = [_batch(path, archive, f"data_batch_{i}", expected) for i in range(1, 6)]
            parts = (train, [_batch(path, archive, "test_batch", expected)])
        arrays: list[Any] = []
        for split, batches in zip(SPLITS, parts, strict=True):
            images = np.concatenate([part for part, _ in batches])
            labels = np.concatenate([part for _, part in batches])
            check_split(path, split, images, labels)
            arrays += [images, labels]
    return arrays, "CIFAR-10"


def _batch(path: Path, archive: tarfile.TarFile, name: str, expected: str) -> Arrays:
    """Return images and labels of one file of the archive, read in place."""  # noqa: DOC501
    member = archive.getmember(f"cifar-10-batches-py/{name}")
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:  # a link, say, to somewhere else
        raise fault(path, f"{member.name} that is not a plain file", expected)
    batch = _Unpickler(stream, encoding="bytes").load()
    flat = np.asarray(batch[b"data"], np.uint8)
    images = np.ascontiguousarray(flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.asarray(batch[b"labels"], np.int64)
