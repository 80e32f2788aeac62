"""The session: a trainer's only link to the outside; takes rows, stores and loads checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from suite.rows import Row


class Session(Protocol):
    """What runs a trainer: a trial of a sweep, a test, or nothing but memory."""

    def emit(self, rows: Sequence[Row]) -> None:
        """Take rows, in the order of their steps."""

    def progress(self, step: int, total: int) -> None:
        """Hear how far the run has come, in gradient steps."""

    def checkpoint_due(self) -> bool:
        """Return whether a checkpoint is wanted now."""

    def save(self, step: int, write: Callable[[Path], object]) -> None:
        """Make a checkpoint: `write` fills a new folder, which counts once it is complete."""

    def latest(self) -> Path | None:
        """Return the folder of the newest complete checkpoint, or None at the start of a run."""


class MemorySession:
    """A session that keeps rows in a list and makes no checkpoints."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def emit(self, rows: Sequence[Row]) -> None:
        """Append the rows."""
        self.rows.extend(rows)

    def progress(self, step: int, total: int) -> None:
        """Ignore it."""

    def checkpoint_due(self) -> bool:
        """Never."""
        return False

    def save(self, step: int, write: Callable[[Path], object]) -> None:
        """Do nothing."""

    def latest(self) -> Path | None:
        """There is none."""
        return None
