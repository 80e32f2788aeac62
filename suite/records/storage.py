"""Where results lie: a local folder, or a remote address that a local copy is synchronised with.

Runs always write to local files. With an address such as ``s3://bucket/sweep`` those files are sent
up at every checkpoint and at the end, and fetched before a run continues elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from suite.errors import ConfigError
from suite.text.secrets import refuse_secrets

LOCK = ".lock"
"""Name of the files that processes lock; they never leave the machine."""


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary name, put on the disk, then renamed."""
    write_whole(path, text.encode(), sync=True)


def write_whole(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Write a whole file or nothing: to a temporary name, then renamed.

    Where `path` is a link, the link is replaced; nothing is ever written through one.

    Args:
        path: the file.
        content: of it.
        sync: whether to wait until it is on the disk.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as file:  # "x" follows no link
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


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

    def local(self, relative: str) -> Path:
        """Return where a file or folder of a remote address lies here, always below `root`.

        Raises:
            ConfigError: if the name, or a link on the way, leads out of `root`.
        """
        names = PurePosixPath(relative)
        plain = relative and not names.is_absolute() and ".." not in names.parts
        path = self.root / names
        if not plain or "\0" in relative or not _below(path.parent, self.root):
            raise ConfigError("results", relative, "a name inside the results folder")
        return path

    def pull(self, relative: str) -> None:
        """Make a file or folder what it is at the remote address; local: nothing to do.

        What is not there is deleted here too, save for locks. A folder's own files only are
        deleted before its copy comes, so whoever holds a lock in it keeps it.

        Raises:
            ConfigError: if a name at the address leads out of the results folder; nothing outside
                it is touched.
        """
        if not self.remote:
            return
        from pyarrow import fs

        system, base = self._system()
        source, target = f"{base}/{relative}", self.local(relative)
        kind = system.get_file_info(source).type
        found = {source: target}
        if kind == fs.FileType.Directory:
            listed = system.get_file_info(fs.FileSelector(source, recursive=True))
            files = [info.path for info in listed if info.type == fs.FileType.File]
            found = {path: self.local(path.removeprefix(base).lstrip("/")) for path in files}
        _clear(target)
        if kind == fs.FileType.NotFound:
            return
        local = fs.LocalFileSystem()
        for path, copy in found.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            fs.copy_files(path, str(copy), source_filesystem=system, destination_filesystem=local)

    def remove(self, relative: str) -> None:
        """Delete a folder, here and at the remote address; no error if it is not there."""
        self.remove_remote(relative)
        shutil.rmtree(self.root / relative, ignore_errors=True)

    def remove_remote(self, relative: str) -> None:
        """Delete a folder at the remote address; no error if it is not there. Local: nothing."""
        if not self.remote:
            return
        from pyarrow import fs

        system, base = self._system()
        if system.get_file_info(f"{base}/{relative}").type == fs.FileType.Directory:
            system.delete_dir(f"{base}/{relative}")

    def push(self, *relatives: str) -> None:
        """Send files or folders to the remote address, one after the other; local: nothing to do.

        Locks and files that are still being written stay behind. A file is there whole, or as it
        was: object stores see to that, elsewhere it is sent under another name and renamed.
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
                system.create_dir(str(PurePosixPath(target).parent), recursive=True)
                sent = f"{target}.tmp" if isinstance(system, fs.LocalFileSystem) else target
                fs.copy_files(
                    str(file), sent, source_filesystem=local, destination_filesystem=system
                )
                if sent != target:
                    system.move(sent, target)


def _below(path: Path, root: Path) -> bool:
    """Return whether a path lies in a folder once all links are followed."""
    return path.resolve().is_relative_to(root.resolve())


def _hidden(file: Path) -> bool:
    """Return whether a file is a lock or not yet whole."""
    return file.name == LOCK or file.name.endswith(".tmp")


def _clear(target: Path) -> None:
    """Delete a file, a link, or all of a folder but its locks."""
    if target.is_symlink() or not target.is_dir():
        target.unlink(missing_ok=True)
        return
    for path in target.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
