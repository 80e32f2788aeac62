"""Where results lie: a local folder, or a remote address that a local copy is synchronised with.

Runs always write to local files. With an address such as ``s3://bucket/sweep`` those files are sent
up at every checkpoint and at the end, and fetched before a run continues elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from suite.errors import ConfigError
from suite.secrets import refuse_secrets

LOCK = ".lock"
"""Name of the files that processes lock; they never leave the machine."""


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Storage:
    """A results folder by path or address.

    Args:
        address: a path, or ``scheme://...`` of a file system that pyarrow knows (s3, gs, file).

    Attributes:
        root: the local folder; for a remote address, a copy in the temporary directory.
        address: the address in absolute form.

    Raises:
        ConfigError: if the address has a password in it.
    """

    def __init__(self, address: str | Path) -> None:
        text = str(address)
        self.remote = "://" in text
        refuse_secrets("--results", text)
        if self.remote:
            self.address = text.rstrip("/")
            digest = hashlib.sha256(self.address.encode()).hexdigest()[:16]
            self.root = Path(tempfile.gettempdir()) / "rewarm-suite" / digest
        else:
            self.root = Path(text).expanduser().absolute()
            self.address = str(self.root)

    def create(self, key: str) -> None:
        """Make the local folder.

        Raises:
            ConfigError: naming `key`, if it cannot be made or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                key, self.address, f"a folder that can be made ({error.strerror})"
            ) from None
        if not os.access(self.root, os.W_OK):
            raise ConfigError(key, self.address, "a folder that can be written to")

    def _system(self) -> tuple[Any, str]:
        """Return pyarrow's file system of the remote address, and the path in it.

        Raises:
            ConfigError: if there is none that can be reached.
        """
        import pyarrow as pa
        from pyarrow import fs

        try:
            system, base = fs.FileSystem.from_uri(self.address)
        except (pa.ArrowException, OSError, ValueError) as error:
            said = " ".join(str(error).split())
            wanted = f"a path, or an address of a file system that can be reached ({said})"
            raise ConfigError("--results", self.address, wanted) from None
        return system, base

    def pull(self, relative: str) -> None:
        """Make a file or folder what it is at the remote address; local: nothing to do.

        What is not there is deleted here too, save for locks. A folder's own files only are
        deleted before its copy comes, so whoever holds a lock in it keeps it.
        """
        if not self.remote:
            return
        from pyarrow import fs

        system, base = self._system()
        source, target = f"{base}/{relative}", self.root / relative
        _clear(target)
        kind = system.get_file_info(source).type
        if kind == fs.FileType.NotFound:
            return
        folder = target if kind == fs.FileType.Directory else target.parent
        folder.mkdir(parents=True, exist_ok=True)
        local = fs.LocalFileSystem()
        fs.copy_files(source, str(target), source_filesystem=system, destination_filesystem=local)

    def remove(self, relative: str) -> None:
        """Delete a folder, here and at the remote address; no error if it is not there."""
        if self.remote:
            from pyarrow import fs

            system, base = self._system()
            if system.get_file_info(f"{base}/{relative}").type == fs.FileType.Directory:
                system.delete_dir(f"{base}/{relative}")
        shutil.rmtree(self.root / relative, ignore_errors=True)

    def push(self, *relatives: str) -> None:
        """Send files or folders to the remote address, one after the other; local: nothing to do.

        Locks and files that are still being written stay behind.
        """
        if not self.remote:
            return
        from pyarrow import fs

        system, base = self._system()
        local = fs.LocalFileSystem()
        for relative in relatives:
            source = self.root / relative
            for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
                if file.is_dir() or _hidden(file):
                    continue
                target = f"{base}/{file.relative_to(self.root).as_posix()}"
                system.create_dir(str(Path(target).parent), recursive=True)
                fs.copy_files(
                    str(file), target, source_filesystem=local, destination_filesystem=system
                )


def _hidden(file: Path) -> bool:
    """Return whether a file is a lock or not yet whole."""
    return file.name == LOCK or file.name.endswith(".tmp")


def _clear(target: Path) -> None:
    """Delete a file or all of a folder but its locks."""
    if not target.is_dir():
        target.unlink(missing_ok=True)
        return
    for path in target.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
