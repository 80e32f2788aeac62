"""The folder of one run: rows are appended, checkpoints replaced, and every state is recoverable.

A checkpoint records the state of ``rows.jsonl``, so that a resumed run drops the rows after its
checkpoint. A damaged checkpoint is refused by name, and the one before it is used; if there is
none, the run starts from the beginning. Both cases write a row `REFUSED`, which the report shows.
"""

from __future__ import annotations

import fcntl
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

from suite.errors import ConfigError, DivergedError
from suite.records import layout
from suite.records.checkpoints import Checkpoints
from suite.records.json_file import dumps, read_json
from suite.records.manifest import MANIFEST, Mark
from suite.records.rows_file import RowsFile
from suite.records.storage import LOCK, Storage, write_text
from suite.rows import Row
from suite.sweeps.yaml_file import to_yaml
from suite.text.secrets import redact

RunState = Literal["running", "complete", "diverged", "failed"]
FINAL: tuple[RunState, ...] = ("complete", "diverged")
"""States that running the same config again would not change."""

FILES = (layout.CONFIG, layout.PROVENANCE, layout.ROWS, layout.ERROR, layout.STATUS)
"""Files of a run other than checkpoints, in the order of their upload."""

REFUSED = "checkpoint_refused"
"""Metric of the row that says so, in its layer."""

FROM_NOTHING = "started again from the beginning"
LOCK_TIMEOUT_S = 30.0


def read_status(folder: Path) -> dict[str, Any] | None:
    """Return ``status.json`` of a run's folder; None if there is none or it is not what one is."""
    try:
        status = read_json(folder / layout.STATUS)
    except (OSError, ValueError):
        return None
    if not isinstance(status, dict) or status.get("state") not in get_args(RunState):
        return None
    if not isinstance(status.get("reason"), str) or type(status.get("step")) is not int:
        return None
    return status


def mark_failed(folder: Path, reason: str) -> None:
    """Write into the status of a run whose process died that it failed, and the reason."""
    status = read_status(folder) or {"state": "running", "step": 0, "total": 0, "wall_s": 0.0}
    if status["state"] not in FINAL:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / layout.STATUS, dumps({**status, "state": "failed", "reason": reason}))


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
        self._checkpoints = Checkpoints(storage, run_id)
        self._saved = time.monotonic()

    def open(self, config: dict[str, Any], provenance: dict[str, Any]) -> None:
        """Make the folder or continue the one that is there, dropping rows past its checkpoint."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        try:
            self._open(config, provenance)
        except BaseException:
            self._lock_file.close()
            raise

    def _open(self, config: dict[str, Any], provenance: dict[str, Any]) -> None:
        self.storage.pull(self.relative)
        write_text(self.path / layout.CONFIG, to_yaml(config))
        mark = self._checkpoints.choose()
        if mark is not None:
            self._step, self._total, self._wall_s = mark.step, mark.total, mark.wall_s
            sessions = self._earlier_sessions()
            provenance = {**provenance, "continued_from": self._step, "earlier": sessions}
        refused = self._checkpoints.refused
        if refused:
            provenance = {**provenance, "refused_checkpoints": refused}
        write_text(self.path / layout.PROVENANCE, dumps(provenance, indent=1))
        kept = 0 if mark is None else mark.rows.bytes
        self._rows = RowsFile(self.path / layout.ROWS, self.run_id, kept)
        try:
            if refused:
                went_on = f"continued from step {mark.step:,}" if mark else FROM_NOTHING
                told = f"{'; '.join(refused)}; {went_on}"
                self.emit([Row(self._step, self._rows.frames, self._wall_s, REFUSED, told, 1.0)])
            self._write_status("running", "")
        except BaseException:
            self._rows.close()
            raise

    def _lock(self) -> None:
        """Wait until no other process writes here, such as the worker of a killed driver.

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
            old = read_json(self.path / layout.PROVENANCE)
            earlier: list[dict[str, Any]] = old.pop("earlier", [])
            return [*earlier, old]
        except (OSError, ValueError, TypeError, AttributeError):
            return []

    def note(self, name: str, value: Any) -> None:
        """Add a fact to ``provenance.json``."""
        path = self.path / layout.PROVENANCE
        write_text(path, dumps({**read_json(path), name: value}, indent=1))

    def tell(self, error: Exception | None) -> bool:
        """Write the trace of an error that nobody expected, unless the disk is full.

        Returns:
            Whether it is such an error.
        """
        if error is None or isinstance(error, ConfigError | DivergedError):
            return False
        trace = "".join(traceback.format_exception(error))
        with suppress(OSError):  # of the disk may be the error
            write_text(self.path / layout.ERROR, redact(trace))
        return True

    def emit(self, rows: Sequence[Row]) -> None:
        """Append rows to ``rows.jsonl``.

        Raises:
            OSError: if they cannot be written; then none of them is.
        """
        if not rows:
            return
        self._rows.append(rows)
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

    def save(self, step: int, write: Callable[[Path], object]) -> None:
        """Make a checkpoint, then remove all but the last two; a crash at any point leaves one.

        Raises:
            OSError: if it cannot be written; the one before it is as it was.
        """
        self._step = step

        def mark() -> Mark:
            self._rows.sync()
            return Mark(self.run_id, step, self._total, self._wall_s, self._rows.extent)

        final = self._checkpoints.make(mark, write)
        self._write_status("running", "")
        self._push(final)
        self._checkpoints.tidy()
        self._saved = time.monotonic()

    def _push(self, checkpoint: Path | None = None) -> None:
        """Upload the run; a checkpoint's manifest comes last, which makes it valid."""
        if not self.storage.remote:
            return
        parts = []
        if checkpoint is not None:  # whatever goes by its name is not whole, or was refused
            self.storage.remove_remote(f"{self.relative}/{checkpoint.name}")
            parts = [p for p in sorted(checkpoint.iterdir()) if p.name != MANIFEST]
        parts += [self.path / name for name in FILES if (self.path / name).is_file()]
        parts += [checkpoint / MANIFEST] if checkpoint else []
        self.storage.push(*(p.relative_to(self.storage.root).as_posix() for p in parts))

    def latest(self) -> Path | None:
        """Return the newest checkpoint that is complete and has all its rows."""
        return self._checkpoints.latest

    def finish(self, state: RunState, reason: str = "") -> None:
        """Close the run; one that is not to be continued needs its checkpoints no longer."""
        try:
            self._rows.sync()
            self._write_status(state, reason)
            self._push()
            if state in FINAL:
                self._checkpoints.clear()
        finally:
            self.close()

    def close(self) -> None:
        """Close the files and leave the run as it is, to be continued."""
        try:
            self._rows.close()
        finally:  # what is still to be written may find the disk full
            self._lock_file.close()

    def _write_status(self, state: RunState, reason: str) -> None:
        status = {
            "state": state,
            "reason": reason,
            "step": self._step,
            "total": self._total,
            "wall_s": round(self._wall_s, 3),
        }
        write_text(self.path / layout.STATUS, dumps(status))
