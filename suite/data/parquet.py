"""A user's own images in parquet files, in the form of Hugging Face's data sets.

A column ``img`` or ``image`` has encoded images (a struct with ``bytes``, or bytes alone), and a
column ``label`` or ``fine_label`` has integers from 0. All images have one size. If any is in
colour, all are read as RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from suite.config import Config
from suite.data.base import DataSet, DataSpec, Labels
from suite.data.checks import fault, reading
from suite.data.encoded import header, pixels
from suite.data.own import OwnData, OwnPath, classes_of, own_set

IMAGES = ("img", "image")
LABELS = ("label", "fine_label")
EXPECTED = (
    "a parquet file with a column 'img' or 'image' of PNG or JPEG (with 'bytes'), and a column "
    "'label' or 'fine_label' of integers"
)
BATCH = 1000
"""Rows that are held encoded at a time."""

Shape = tuple[int, int, int]
"""Height, width, channels."""


class ParquetFiles(Config):
    """The files of both splits."""

    train: OwnPath
    test: OwnPath


class ParquetData(OwnData):
    """Encoded images in two files, as ``{parquet: {train: PATH, test: PATH}}``."""

    parquet: ParquetFiles

    @property
    def _paths(self) -> tuple[Path, Path]:
        return Path(self.parquet.train), Path(self.parquet.test)

    @property
    def _label(self) -> str:
        """Name of the file for training, or of its folder if that is all that tells."""
        path = self._paths[0]
        return path.parent.name if path.stem.startswith("train") else path.stem

    def describe(self) -> DataSpec:
        """Return the description, from the headers of the images."""
        labels, (height, width, channels), classes = self._headers()
        train, test = (len(part) for part in labels)
        return DataSpec((channels, height, width), classes, train, test, True, self._label)

    def load(self) -> DataSet:
        """Return the images, in the order of the files."""
        labels, shape, classes = self._headers()
        parts = []
        for path, part in zip(self._paths, labels, strict=True):
            images = np.empty((len(part), *shape), np.uint8)
            with reading(path, EXPECTED):
                for row, code in _codes(path):
                    images[row] = pixels(code, path, shape, f"in row {row:,}")
            parts.append((images, part))
        where = f"{self.parquet.train} + {self.parquet.test}"
        return own_set(where, parts[0], parts[1], classes)

    def _headers(self) -> tuple[list[Labels], Shape, int]:
        """Return the labels, the shape of the images, and the number of classes."""
        labels = []
        for path in self._paths:
            with reading(path, EXPECTED):
                labels.append(_labels(path))
        classes = classes_of(self._paths, labels)
        return labels, _shape(self._paths), classes


def _column(path: Path, file: Any, names: tuple[str, ...]) -> str:
    """Return the first of the names that is a column."""  # noqa: DOC501
    for name in names:
        if name in file.schema_arrow.names:
            return name
    raise fault(path, f"columns {file.schema_arrow.names}", EXPECTED)


def _labels(path: Path) -> Labels:
    """Return the labels (n,) of a file."""  # noqa: DOC501
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        name = _column(path, file, LABELS)
        column = file.read([name])[name]
    if not pa.types.is_integer(column.type):
        raise fault(path, f"labels of type {column.type}", EXPECTED)
    if column.null_count:
        raise fault(path, f"{column.null_count:,} rows without a label", EXPECTED)
    return column.to_numpy().astype(np.int64)


def _codes(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the encoded image of each row."""  # noqa: DOC501
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        name = _column(path, file, IMAGES)
        kind = file.schema_arrow.field(name).type
        struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if not (struct or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise fault(path, f"images of type {kind}", EXPECTED)
        row = 0
        for batch in file.iter_batches(BATCH, columns=[name]):
            for cell in batch[name].to_pylist():
                code = cell["bytes"] if isinstance(cell, dict) else cell
                if not code:
                    raise fault(path, f"no image in row {row:,}", EXPECTED)
                yield row, code
                row += 1


def _shape(paths: tuple[Path, Path]) -> Shape:
    """Return the height and width that all images have, and 3 if any has colour, else 1."""  # noqa: DOC501
    size: tuple[int, int] | None = None
    channels = 1
    for path in paths:
        with reading(path, EXPECTED):
            for row, code in _codes(path):
                another, more = header(code, path, f"in row {row:,}")
                channels = max(channels, more)
                size = size or another
                if another != size:
                    found = (
                        f"in row {row:,} {another[0]} x {another[1]} pixels, and {size[0]} x "
                        f"{size[1]} in row 0 of {paths[0]}"
                    )
                    raise fault(path, found, "images of one size; resize them first")
    height, width = size or (0, 0)
    return height, width, channels
