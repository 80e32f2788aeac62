"""The folder of one run: rows are appended, checkpoints replaced, and every state is recoverable.

A checkpoint is a folder that is filled under a temporary name and renamed when complete. It notes
how long ``rows.jsonl`` was, so that a run which continues drops the rows past its checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from suite.records import layout
from suite.records.storage import LOCK, Storage, write_text
from suite.rows import Row

State = Literal["running", "complete", "diverged", "failed"]
FINAL: tuple[State, ...] = ("complete", "diverged")
"""States that running the same config again would not change."""

FILES = (layout.CONFIG, layout.PROVENANCE, layout.ROWS, layout.ERROR, layout.STATUS)
"""Files of a run beside its checkpoints, in the order in which they are sent up."""

MARK = "rows.json"
PARTIAL = ".partial-"
LOCK_TIMEOUT_S = 30.0


def read_status(folder: Path) -> dict[str, Any] | None:
    """Return ``status.json`` of a run's folder; None if there is none or it cannot be read."""
    try:
        status = json.loads((folder / layout.STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) else None


def mark_failed(folder: Path, reason: str) -> None:
    """Write into the status of a run whose process died that it failed, and why."""
    status = read_status(folder) or {"step": 0, "total": 0, "wall_s": 0.0}
    if status.get("state") not in FINAL:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(
            folder / layout.STATUS, json.dumps({**status, "state": "failed", "reason": reason})
        )


def _sync(folder: Path) -> None:
    """Make sure that a folder and its files are on the disk, not only in the system's memory."""
    for path in (*folder.rglob("*"), folder):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


class RunFolder:
    """The `suite.training.session.Session` of a run that is recorded in files.

    Args:
        storage: the results folder.
        run_id: id of the run, which names its folder.
        checkpoint_every_s: least number of seconds between checkpoints.
        listen: called with every batch of rows and with progress, for live displays.
    """

    def __init__(
        self,
        storage: Storage,
        run_id: str,
        checkpoint_every_s: float = 60.0,
        listen: Callable[[Sequence[Row], int, int], None] | None = None,
    ) -> None:
        self.storage, self.run_id = storage, run_id
        self.relative = f"{layout.RUNS}/{run_id}"
        self.path = storage.root / self.relative
        self.checkpoint_every_s = checkpoint_every_s
        self._listen = listen
        self._step = self._total = 0
        self._wall_s = 0.0
        self._saved = time.monotonic()

    def open(self, config: dict[str, Any], provenance: dict[str, Any]) -> None:
        """Make the folder or continue the one that is there, dropping rows past its checkpoint."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        self.storage.pull(self.relative)
        for leftover in self.path.glob(f"{PARTIAL}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        write_text(self.path / layout.CONFIG, yaml.safe_dump(config, sort_keys=False))
        latest = self.latest()
        size = 0
        if latest is not None:
            mark = json.loads((latest / MARK).read_text(encoding="utf-8"))
            size, self._wall_s = mark["bytes"], mark["wall_s"]
            self._step, self._total = mark["step"], mark["total"]
            sessions = self._earlier_sessions()
            provenance = {**provenance, "continued_from": self._step, "earlier": sessions}
        write_text(self.path / layout.PROVENANCE, json.dumps(provenance, indent=1))
        rows = self.path / layout.ROWS
        with rows.open("ab") as file:
            file.truncate(size)
        self._rows = rows.open("a", encoding="utf-8")
        try:
            self._write_status("running", "")
        except OSError:
            self.close()
            raise

    def _lock(self) -> None:
        """Wait until nobody else writes here: the worker of a driver that was killed, say.

        Raises:
            TimeoutError: if somebody still does after half a minute.
        """
        self._lock_file = (self.path / LOCK).open("a")
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    self._lock_file.close()
                    raise TimeoutError(f"{self.path} is in use by another process") from None
                time.sleep(0.1)
            else:
                return

    def _earlier_sessions(self) -> list[dict[str, Any]]:
        try:
            old = json.loads((self.path / layout.PROVENANCE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        earlier: list[dict[str, Any]] = old.pop("earlier", [])
        return [*earlier, old]

    def note(self, name: str, value: Any) -> None:
        """Add a fact to ``provenance.json``."""
        path = self.path / layout.PROVENANCE
        known = json.loads(path.read_text(encoding="utf-8"))
        write_text(path, json.dumps({**known, name: value}, indent=1))

    def emit(self, rows: Sequence[Row]) -> None:
        """Append rows to ``rows.jsonl``."""
        if not rows:
            return
        self._rows.write("".join(f"{json.dumps(row.as_json(self.run_id))}\n" for row in rows))
        self._rows.flush()
        self._wall_s = rows[-1].wall_s
        if self._listen is not None:
            self._listen(rows, self._step, self._total)

    def progress(self, step: int, total: int) -> None:
        """Note how far the run has come."""
        self._step, self._total = step, total
        if self._listen is not None:
            self._listen([], step, total)

    def checkpoint_due(self) -> bool:
        """Return whether the time between checkpoints has passed."""
        return time.monotonic() - self._saved >= self.checkpoint_every_s

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Make a checkpoint, then remove the older ones; a crash at any point leaves one whole."""
        self._step = step
        partial = self.path / f"{PARTIAL}{step}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write(partial)
        os.fsync(self._rows.fileno())
        mark = {
            "bytes": self._rows.tell(),
            "wall_s": self._wall_s,
            "step": step,
            "total": self._total,
        }
        write_text(partial / MARK, json.dumps(mark))
        final = self.path / f"{layout.CHECKPOINT}{step}"
        shutil.rmtree(final, ignore_errors=True)
        _sync(partial)
        partial.rename(final)
        self._write_status("running", "")
        self._push(final)
        for old in self.path.glob(f"{layout.CHECKPOINT}*"):  # those that were never whole, too
            if old != final:
                self.storage.remove(f"{self.relative}/{old.name}")
        self._saved = time.monotonic()

    def _push(self, checkpoint: Path | None = None) -> None:
        """Send the run up: a checkpoint's mark comes last, for it makes the checkpoint count."""
        parts = [p for p in sorted(checkpoint.iterdir()) if p.name != MARK] if checkpoint else []
        parts += [self.path / name for name in FILES if (self.path / name).is_file()]
        parts += [checkpoint / MARK] if checkpoint else []
        self.storage.push(*(p.relative_to(self.storage.root).as_posix() for p in parts))

    def _checkpoints(self) -> list[Path]:
        found = [p for p in self.path.glob(f"{layout.CHECKPOINT}*") if (p / MARK).is_file()]
        return sorted(found, key=lambda p: int(p.name.removeprefix(layout.CHECKPOINT)))

    def latest(self) -> Path | None:
        """Return the newest complete checkpoint whose rows are there too."""
        rows = self.path / layout.ROWS
        size = rows.stat().st_size if rows.is_file() else 0
        for checkpoint in reversed(self._checkpoints()):
            if json.loads((checkpoint / MARK).read_text(encoding="utf-8"))["bytes"] <= size:
                return checkpoint
        return None

    def finish(self, state: State, reason: str = "") -> None:
        """Close the run; one that is not to be continued needs its checkpoints no longer."""
        self._rows.flush()
        os.fsync(self._rows.fileno())
        self._write_status(state, reason)
        self._push()
        if state in FINAL:
            for checkpoint in self._checkpoints():
                self.storage.remove(f"{self.relative}/{checkpoint.name}")
        self.close()

    def close(self) -> None:
        """Let go of the files and leave the run as it stands, to be continued."""
        try:
            self._rows.close()
        finally:  # what is still to be written may find the disk full
            self._lock_file.close()

    def _write_status(self, state: State, reason: str) -> None:
        status = {
            "state": state,
            "reason": reason,
            "step": self._step,
            "total": self._total,
            "wall_s": round(self._wall_s, 3),
        }
        write_text(self.path / layout.STATUS, json.dumps(status))
