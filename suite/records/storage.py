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

from suite.errors import ConfigError


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
    """

    def __init__(self, address: str | Path) -> None:
        text = str(address)
        self.remote = "://" in text
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

    def pull(self, relative: str) -> None:
        """Fetch a file or folder from the remote address, if it is there; local: nothing to do."""
        if not self.remote:
            return
        from pyarrow import fs

        system, base = fs.FileSystem.from_uri(self.address)
        source, target = f"{base}/{relative}", self.root / relative
        kind = system.get_file_info(source).type
        if kind == fs.FileType.NotFound:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        local = fs.LocalFileSystem()
        fs.copy_files(source, str(target), source_filesystem=system, destination_filesystem=local)

    def remove(self, relative: str) -> None:
        """Delete a folder, here and at the remote address; no error if it is not there."""
        shutil.rmtree(self.root / relative, ignore_errors=True)
        if self.remote:
            from pyarrow import fs

            system, base = fs.FileSystem.from_uri(self.address)
            if system.get_file_info(f"{base}/{relative}").type == fs.FileType.Directory:
                system.delete_dir(f"{base}/{relative}")

    def push(self, relative: str) -> None:
        """Send a file or folder to the remote address; local: nothing to do."""
        if not self.remote:
            return
        from pyarrow import fs

        system, base = fs.FileSystem.from_uri(self.address)
        source, target = self.root / relative, f"{base}/{relative}"
        system.create_dir(target if source.is_dir() else str(Path(target).parent), recursive=True)
        local = fs.LocalFileSystem()
        fs.copy_files(str(source), target, source_filesystem=local, destination_filesystem=system)
