"""The manifest of a checkpoint: its files with size and checksum, its run and its step.

``manifest.json`` is written last and makes a checkpoint valid. It holds the size and the SHA-256 of
every file and of ``rows.jsonl`` at that time, the run, the step and a checksum of itself. A
checkpoint that does not match is refused, with the reason in words.

Checkpoints of version 0.9 and earlier have ``rows.json`` instead: the length of the rows and no
checksums. These are checked as far as possible: rows must be whole lines, and archives must match
their own CRC-32.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from suite.records import layout
from suite.records.json_file import dumps, loads, read_json
from suite.records.storage import write_text

MANIFEST = "manifest.json"
LEGACY = "rows.json"
_MOST_BYTES = 16 << 20
_BLOCK = 1 << 20
_CHECKSUM = "sha256"


class Damaged(Exception):
    """A checkpoint that is not what was written, or not of this run; the message says why."""


@dataclass(frozen=True)
class Extent:
    """Size in bytes and SHA-256 of a file, or of its beginning."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Mark:
    """How far a run was at a checkpoint.

    Attributes:
        run_id: the run; "" if the checkpoint does not say.
        step: gradient steps made.
        total: gradient steps of the whole run.
        wall_s: seconds of training by then.
        rows: the rows by then; no checksum ("") in an old checkpoint.
    """

    run_id: str
    step: int
    total: int
    wall_s: float
    rows: Extent


def step_of(folder: Path) -> int | None:
    """Return the step that a checkpoint's folder is named after, None if it is named otherwise."""
    named = re.fullmatch(rf"{layout.CHECKPOINT}(\d{{1,18}})", folder.name, re.ASCII)
    return None if named is None else int(named.group(1))


def extent(path: Path) -> Extent:
    """Return the size and checksum of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, hashlib.sha256)
        return Extent(file.tell(), digest.hexdigest())


def beginning(file: BinaryIO, size: int) -> Any:
    """Return the running SHA-256 of the first `size` bytes of a file, None if it is shorter."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0:
        block = file.read(min(size, _BLOCK))
        if not block:
            return None
        digest.update(block)
        size -= len(block)
    return digest


def _files(folder: Path) -> dict[str, Path]:
    """Return all files of a checkpoint but its manifest, by relative path.

    Raises:
        Damaged: if there is anything else than files and folders.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Damaged(f"{name} is not a plain file")
        if path.is_file() and name != MANIFEST:
            found[name] = path
    return found


def seal(folder: Path, mark: Mark) -> None:
    """Put all files of a finished checkpoint on the disk, then its manifest."""
    files = _files(folder)
    content: dict[str, Any] = {
        **asdict(mark),
        "files": {name: asdict(extent(path)) for name, path in files.items()},
    }
    for path in (*files.values(), *(p for p in folder.rglob("*") if p.is_dir())):
        sync(path)
    content[_CHECKSUM] = _own_checksum(content)
    write_text(folder / MANIFEST, dumps(content, indent=1))
    sync(folder)


def sync(path: Path) -> None:
    """Make sure that a file, or the entries of a folder, are on the disk, not only in memory."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _own_checksum(content: dict[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != _CHECKSUM}
    return hashlib.sha256(dumps(rest).encode()).hexdigest()


def check(folder: Path, run_id: str, rows: Path) -> Mark:
    """Return a checkpoint's mark, once every byte of it is known to be what was written.

    Args:
        folder: the checkpoint.
        run_id: the run that is to be continued.
        rows: its ``rows.jsonl``; longer than it was then, if anything.

    Raises:
        Damaged: if the checkpoint, or the rows before it, are anything else.
    """
    try:
        return _check(folder, run_id, rows)
    except OSError as error:
        raise Damaged(f"it cannot be read ({error})") from None


def _check(folder: Path, run_id: str, rows: Path) -> Mark:
    if folder.is_symlink() or not folder.is_dir():
        raise Damaged("it is not a folder")
    if (folder / MANIFEST).is_file():
        mark, files = _manifest(folder)
        _check_files(folder, files)
    elif (folder / LEGACY).is_file():
        mark = _legacy_mark(folder)
        _check_archives(folder)
    else:
        raise Damaged(f"it has no {MANIFEST}")
    if mark.run_id not in ("", run_id):
        raise Damaged(f"it belongs to the run {mark.run_id}")
    if mark.step != step_of(folder):
        raise Damaged(f"it belongs to step {mark.step}")
    _check_rows(rows, mark, run_id)
    return mark


def _manifest(folder: Path) -> tuple[Mark, dict[str, Extent]]:
    """Return what a manifest says, once it fits its own checksum.

    Raises:
        Damaged: if it does not fit.
    """
    try:
        content = read_json(folder / MANIFEST, _MOST_BYTES)
        if content[_CHECKSUM] != _own_checksum(content):
            raise Damaged(f"{MANIFEST}: the checksum does not match")
        files = {str(name): Extent(**of) for name, of in content["files"].items()}
        facts = {key: content[key] for key in ("run_id", "step", "total", "wall_s")}
        return Mark(**facts, rows=Extent(**content["rows"])), files
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Damaged(f"{MANIFEST} is garbled") from None


def _check_files(folder: Path, files: dict[str, Extent]) -> None:
    found = _files(folder)
    if missing := sorted(files.keys() - found.keys()):
        raise Damaged(f"{missing[0]} is missing")
    if extra := sorted(found.keys() - files.keys()):
        raise Damaged(f"{extra[0]} does not belong to it")
    for name, path in found.items():
        if (size := path.stat().st_size) != files[name].bytes:
            raise Damaged(f"{name}: {size:,} bytes instead of {files[name].bytes:,}")
        if extent(path) != files[name]:
            raise Damaged(f"{name}: the checksum does not match")


def _check_rows(rows: Path, mark: Mark, run_id: str) -> None:
    """Check the rows before a checkpoint's mark.

    Raises:
        Damaged: if they are others.
    """
    if mark.rows.bytes == 0:
        return
    size = rows.stat().st_size if rows.is_file() else 0
    if size < mark.rows.bytes:
        raise Damaged(f"{rows.name}: {size:,} bytes instead of {mark.rows.bytes:,}")
    with rows.open("rb") as file:
        if mark.rows.sha256:
            digest = beginning(file, mark.rows.bytes)
            if digest is None or digest.hexdigest() != mark.rows.sha256:
                raise Damaged(f"{rows.name}: the rows before it have changed")
            return
        text = file.read(mark.rows.bytes)
    try:
        whole = text.endswith(b"\n")
        if not whole or any(loads(line)["run_id"] != run_id for line in text.splitlines()):
            raise Damaged(f"{rows.name}: the rows before it are not its own")
    except (ValueError, TypeError, KeyError):
        raise Damaged(f"{rows.name}: a line before it is not a row") from None


def _legacy_mark(folder: Path) -> Mark:
    """Return what an old checkpoint notes.

    Raises:
        Damaged: if it cannot be read.
    """  # noqa: DOC501
    try:
        noted = read_json(folder / LEGACY, _MOST_BYTES)
        numbers = [noted[key] for key in ("bytes", "step", "total", "wall_s")]
        if not all(type(n) in (int, float) and n >= 0 for n in numbers):
            raise ValueError
        return Mark("", noted["step"], noted["total"], noted["wall_s"], Extent(noted["bytes"], ""))
    except (ValueError, TypeError, KeyError):
        raise Damaged(f"{LEGACY} is garbled") from None


def _check_archives(folder: Path) -> None:
    """Check what PyTorch wrote against the CRC-32 in it, which PyTorch itself does not.

    Raises:
        Damaged: if one does not fit.
    """
    for name, path in _files(folder).items():
        if path.suffix != ".pt":
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                bad = archive.testzip()
        except Exception as error:  # zipfile raises what it likes on garbled archives
            raise Damaged(f"{name}: {error}") from None
        if bad is not None:
            raise Damaged(f"{name}: the checksum of {bad} does not match")
