"""Rows of many runs as one table: read in bulk, and line by line only after an error.

A row counts if it belongs to the run of its folder; other lines are left out with a warning.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from suite.records.row_line import row_of

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("run_id", pa.string()),
    ("step", pa.int64()),
    ("frames", pa.int64()),
    ("wall_s", pa.float64()),
    ("metric", pa.string()),
    ("layer", pa.string()),
    ("value", pa.float64()),
]
SCHEMA = pa.schema(_COLUMNS)
_LABELS = ("run_id", "metric", "layer")
_CHUNK = 32 << 20
"""Bytes of rows parsed at once; no line is longer."""
_FEW = 32
"""Lines that are parsed one by one where there is a fault among them."""
_NAMED = 3
"""Faulty lines that a warning names."""


class _Piece(NamedTuple):
    """Complete lines of one file, the first of them by its number."""

    path: Path
    first: int
    data: bytes

    @property
    def run_id(self) -> str:
        return self.path.parent.name


_Faults = dict[Path, list[int]]
"""Numbers of the lines that are no rows, by file."""


def read_rows(paths: Iterable[Path], metrics: Collection[str] | None) -> pa.Table:
    """Return the rows of ``rows.jsonl`` of several runs, in order, labels dictionary-encoded.

    Args:
        paths: the files, each in the folder that its run names.
        metrics: names of the metrics to read; None for all.
    """
    encoded = pa.schema(
        [
            (f.name, pa.dictionary(pa.int32(), pa.string()) if f.name in _LABELS else f.type)
            for f in SCHEMA
        ]
    )
    tables = [encoded.empty_table()]
    faults: _Faults = {}
    for pieces in _batches(paths):
        table = _parse(pieces, faults)
        if metrics is not None:
            table = table.filter(pc.is_in(table["metric"], pa.array(list(metrics), pa.string())))
        tables.append(table.cast(encoded))
    _warn(faults)
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _warn(faults: _Faults) -> None:
    for path, lines in faults.items():
        for number in lines[:_NAMED]:
            warnings.warn(f"{path}: line {number} is not a row; left out", stacklevel=2)
        if (more := len(lines) - _NAMED) > 0:
            warnings.warn(f"{path}: {more:,} more lines are not rows; left out", stacklevel=2)


def _batches(paths: Iterable[Path]) -> Iterator[list[_Piece]]:
    """Yield the complete lines of the files, many small files at a time."""
    batch: list[_Piece] = []
    size = 0
    for path in paths:
        for piece in _pieces(path):
            batch.append(piece)
            size += len(piece.data)
            if size >= _CHUNK:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _pieces(path: Path) -> Iterator[_Piece]:
    """Yield a file's complete lines, a chunk at a time; what follows the last line end is torn."""
    if not path.is_file():
        if path.is_symlink() or path.exists():
            warnings.warn(f"{path}: not a file; left out", stacklevel=2)
        return
    with path.open("rb") as file:
        number, rest = 1, b""
        while block := file.read(_CHUNK):
            data = rest + block
            end = data.rfind(b"\n") + 1
            if end == 0 and len(block) == _CHUNK:
                warnings.warn(
                    f"{path}: left out from line {number}, which has no end", stacklevel=2
                )
                return
            if data[:end].strip():
                yield _Piece(path, number, data[:end])
            number += data.count(b"\n", 0, end)
            rest = data[end:]


def _parse(pieces: Sequence[_Piece], faults: _Faults) -> pa.Table:
    """Parse lines of JSON: all at once, fewer at a time only if there is a fault in them."""
    options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    text = b"".join(piece.data for piece in pieces)
    try:
        if _objects(text):
            table = pyarrow.json.read_json(io.BytesIO(text), parse_options=options)
            if _fits(table, pieces):
                return table
    except (pa.ArrowException, UnicodeDecodeError):
        pass
    if len(pieces) > 1:
        return pa.concat_tables([_parse([piece], faults) for piece in pieces])
    (piece,) = pieces
    lines = piece.data.splitlines(keepends=True)
    if len(lines) <= _FEW:
        return _parse_lines(piece, faults)
    middle = len(lines) // 2
    halves = (
        _Piece(piece.path, piece.first, b"".join(lines[:middle])),
        _Piece(piece.path, piece.first + middle, b"".join(lines[middle:])),
    )
    return pa.concat_tables([_parse([half], faults) for half in halves])


def _objects(text: bytes) -> bool:
    """Return whether every line has the braces of an object; pyarrow crashes at a bare null."""
    lines = text.count(b"\n")
    return text.startswith(b"{") and text.count(b"\n{") + 1 == text.count(b"}\n") == lines


def _fits(table: pa.Table, pieces: Sequence[_Piece]) -> bool:
    """Return whether every line is a row, and one of its folder's run."""
    if any(table[name].null_count for name in SCHEMA.names if name != "value"):
        return False
    if table.num_rows and not (
        pc.min(table["step"]).as_py() >= 0
        and pc.min(table["frames"]).as_py() >= 0
        and pc.all(pc.is_finite(table["wall_s"])).as_py()
    ):
        return False
    counts = [piece.data.count(b"\n") for piece in pieces]
    owners = pa.array([piece.run_id for piece in pieces], pa.string())
    expected = owners.take(pa.array(np.repeat(np.arange(len(pieces)), counts), pa.int64()))
    return bool(pa.chunked_array([expected]).equals(table["run_id"]))


def _parse_lines(piece: _Piece, faults: _Faults) -> pa.Table:
    """Parse line by line; a line that is no row of this run is left out, its number noted."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(piece.data.splitlines(), start=piece.first):
        if not line.strip():
            continue
        try:
            rows.append(row_of(line, piece.run_id).as_json(piece.run_id))
        except ValueError:
            faults.setdefault(piece.path, []).append(number)
    return pa.Table.from_pylist(rows, SCHEMA)
