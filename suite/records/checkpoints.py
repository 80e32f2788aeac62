"""The checkpoints of one run: the last two are kept, each sealed, and a damaged one is refused.

A checkpoint is a folder that is filled under a temporary name, sealed (`suite.records.manifest`)
and renamed. An interruption does not change the earlier ones.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from suite.records import layout
from suite.records.manifest import MANIFEST, Damaged, Mark, check, seal, step_of, sync
from suite.records.storage import Storage

KEPT = 2
"""Number of checkpoints that are kept: the newest, and the one before it."""

PARTIAL = ".partial-"
"""What a folder's name begins with while it is being made or deleted."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk."""

_LOG = logging.getLogger(__name__)


class Checkpoints:
    """Makes, chooses and removes checkpoints.

    Args:
        storage: the results folder.
        run_id: the run.

    Attributes:
        kept: the checkpoints that a run may be continued from, oldest first.
        refused: a sentence on each that may not, newest first.
    """

    def __init__(self, storage: Storage, run_id: str) -> None:
        self._storage, self._run_id = storage, run_id
        self._relative = f"{layout.RUNS}/{run_id}"
        self._path = storage.root / self._relative
        self.kept: list[Path] = []
        self.refused: list[str] = []

    @property
    def latest(self) -> Path | None:
        """The newest checkpoint, if there is one."""
        return self.kept[-1] if self.kept else None

    def choose(self) -> Mark | None:
        """Take the newest checkpoint that is whole; note those that are refused on the way.

        At a remote address one without a manifest is no loss: it was cut short on its way there.
        """
        for leftover in self._path.glob(f"{PARTIAL}*"):
            discard(leftover)
        self.kept, self.refused = [], []
        found = [p for p in self._path.glob(f"{layout.CHECKPOINT}*") if step_of(p) is not None]
        for folder in sorted(found, key=lambda p: -(step_of(p) or 0)):
            try:
                mark = check(folder, self._run_id, self._path / layout.ROWS)
            except Damaged as error:
                sentence = f"{folder.name} was refused: {error}"
                _LOG.warning("%s/%s", self._relative, sentence)
                if not self._storage.remote or (folder / MANIFEST).exists():
                    self.refused.append(sentence)
            else:
                older = (p for p in found if (step_of(p) or 0) < mark.step)
                before = max(older, key=lambda p: step_of(p) or 0, default=None)
                self.kept = [folder] if before is None else [before, folder]
                return mark
        return None

    def make(self, mark: Callable[[], Mark], write: Callable[[Path], object]) -> Path:
        """Make a checkpoint and return its folder; the older ones are still there.

        On a full disk the older of two is deleted first.

        Args:
            mark: called when the files are there.
            write: fills the folder.

        Raises:
            OSError: if it cannot be written; the newest one before it is as it was.
        """
        try:
            return self._make(mark, write)
        except OSError as error:
            if not _is_full(error) or len(self.kept) < KEPT:
                raise
            _LOG.warning("%s: %s; %s is deleted", self._relative, error, self.kept[0].name)
        self._remove(self.kept.pop(0))
        return self._make(mark, write)

    def _make(self, mark: Callable[[], Mark], write: Callable[[Path], object]) -> Path:
        partial = self._path / f"{PARTIAL}new"
        discard(partial)
        try:
            partial.mkdir()
            write(partial)
            made = mark()
            seal(partial, made)
        except BaseException:
            with suppress(OSError):
                discard(partial)
            raise
        final = self._path / f"{layout.CHECKPOINT}{made.step}"
        _hide(final)  # one of the same step, or one that was refused
        partial.rename(final)
        sync(self._path)
        self.kept = [p for p in self.kept if p != final] + [final]
        return final

    def tidy(self) -> None:
        """Remove all checkpoints but the last two, here and at a remote address."""
        self.kept = self.kept[-KEPT:]
        for folder in self._path.glob(f"{layout.CHECKPOINT}*"):
            if folder not in self.kept:
                self._remove(folder)
        discard(self._path / f"{PARTIAL}gone")

    def clear(self) -> None:
        """Remove all checkpoints."""
        self.kept = []
        self.tidy()

    def _remove(self, folder: Path) -> None:
        """Remove a checkpoint as a whole: what is half deleted goes by no checkpoint's name."""
        self._storage.remove_remote(f"{self._relative}/{folder.name}")
        _hide(folder)
        discard(folder.with_name(f"{PARTIAL}gone"))


def _is_full(error: OSError) -> bool:
    """Return whether an error is of a full disk; numpy says only how much it wrote."""
    short = type(error) is OSError and "requested and" in str(error)
    return error.errno in FULL or (error.errno is None and short)


def _hide(folder: Path) -> None:
    """Rename a folder to what is deleted sooner or later; no error if it is not there."""
    gone = folder.with_name(f"{PARTIAL}gone")
    discard(gone)
    with suppress(FileNotFoundError):
        folder.rename(gone)


def discard(path: Path) -> None:
    """Delete a file, a link or a folder; no error if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
