"""``rows.jsonl`` while a run writes it: whole lines or nothing, with a running checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from suite.records.json_file import dumps
from suite.records.manifest import Extent, beginning
from suite.records.row_line import row_of
from suite.rows import Row


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


class RowsFile:
    """The rows of a run, appended to.

    Args:
        path: the file; made if there is none.
        run_id: the run.
        keep: bytes to keep of what is there; the rest is dropped.
    """

    def __init__(self, path: Path, run_id: str, keep: int) -> None:
        self.run_id = run_id
        # A link in a folder that came from elsewhere is not followed: it would be cut short there.
        self._file = open(path, "a+b", buffering=0, opener=_no_link)  # noqa: SIM115
        self._file.truncate(keep)
        self._digest = beginning(self._file, keep) or hashlib.sha256()
        self._bytes = keep
        self.frames = self._last_frames()

    def _last_frames(self) -> int:
        """Return the frames of the last row, 0 before the first."""
        self._file.seek(max(0, self._bytes - (1 << 16)))
        lines = self._file.read().splitlines()
        try:
            return row_of(lines[-1], self.run_id).frames
        except (IndexError, ValueError):
            return 0

    @property
    def extent(self) -> Extent:
        """Size and checksum of the rows so far."""
        return Extent(self._bytes, self._digest.hexdigest())

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows, or none of them: what a full disk cuts short is taken back.

        Raises:
            OSError: if they cannot be written.
        """
        lines = "".join(f"{dumps(row.as_json(self.run_id))}\n" for row in rows).encode()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._bytes)
            raise
        self._digest.update(lines)
        self._bytes += len(lines)
        self.frames = rows[-1].frames

    def sync(self) -> None:
        """Make sure that the rows are on the disk, not only in memory."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
