"""Damaged checkpoints, killed writers and full disks: what is lost, and what is said of it."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from suite.records import checkpoints, layout
from suite.records.manifest import MANIFEST
from suite.records.run_folder import REFUSED, RunFolder
from suite.records.storage import Storage
from suite.rows import Row
from suite.training.checkpoint import load_state

RUN = "0123456789ab"
STEPS = 10
_OPENED: list[RunFolder] = []


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test leaves open, and do not wait for the disk: processes die here, not it."""
    monkeypatch.setattr(os, "fsync", lambda number: None)
    yield
    while _OPENED:
        _OPENED.pop().close()


def _open(root: str | Path, run_id: str = RUN) -> RunFolder:
    folder = RunFolder(Storage(root), run_id, checkpoint_every_s=0.0)
    folder.open({"seed": 0}, {"command": "x"})
    _OPENED.append(folder)
    return folder


def _write(step: int) -> Callable[[Path], None]:
    """Return what fills a checkpoint: a state of one page and more, and a file in a folder."""

    def write(folder: Path) -> None:
        (folder / "state").write_text(str(step) + " " * 9000)
        (folder / "ring").mkdir()
        (folder / "ring" / "frames").write_bytes(bytes(range(256)) * 40)

    return write


def _go(root: str | Path, until: int = STEPS, saved: Callable[[int], object] = id) -> RunFolder:
    """Begin or continue a run of ten steps, a row each, with a checkpoint at even ones."""
    folder = _open(root)
    latest = folder.latest()
    step = 0 if latest is None else int((latest / "state").read_text())
    while step < until:
        folder.emit([Row(step, 0, float(step), "loss", "", step / 7)])
        step += 1
        folder.progress(step, STEPS)
        if step % 2 == 0:
            folder.save(step, _write(step))
            saved(step)
    return folder


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    text = (folder.path / layout.ROWS).read_text()
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def _measured(folder: RunFolder) -> list[int]:
    return [row["step"] for row in _rows(folder) if row["metric"] == "loss"]


def _said(folder: RunFolder) -> list[str]:
    return [row["layer"] for row in _rows(folder) if row["metric"] == REFUSED]


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _edit(folder: Path, **keys: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def _no_files(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    content["files"].pop("state")
    (folder / MANIFEST).write_text(json.dumps(content))


def _file_instead(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


def _link_instead(folder: Path) -> None:
    folder.rename(folder.parent / "x")
    folder.symlink_to("x")


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a bit": (lambda c: _flip(c / "state", 5000), "state: the checksum"),
    "the last bit of a file": (lambda c: _flip(c / "ring/frames", -1), "ring/frames: the checksum"),
    "a page of zeros": (
        lambda c: (c / "state").write_bytes((c / "state").read_bytes()[:4096] + bytes(4906)),
        "state: ",
    ),
    "cut short": (lambda c: os.truncate(c / "state", 100), "state: 100 bytes"),
    "emptied": (lambda c: os.truncate(c / "ring/frames", 0), "ring/frames: 0 bytes"),
    "longer": (lambda c: os.truncate(c / "state", 9002), "state: 9,002 bytes"),
    "without a file": (lambda c: (c / "ring/frames").unlink(), "ring/frames is missing"),
    "without a folder": (lambda c: shutil.rmtree(c / "ring"), "ring/frames is missing"),
    "with a file more": (lambda c: (c / "ring/more").write_text(""), "ring/more does not belong"),
    "with a link": (lambda c: (c / "link").symlink_to("state"), "link is not a plain file"),
    "with a pipe": (lambda c: os.mkfifo(c / "pipe"), "pipe is not a plain file"),
    "without a manifest": (lambda c: (c / MANIFEST).unlink(), "it has no manifest.json"),
    "a bit of the manifest": (lambda c: _flip(c / MANIFEST, 40), "manifest.json"),
    "an empty manifest": (lambda c: (c / MANIFEST).write_text(""), "manifest.json is garbled"),
    "no JSON": (lambda c: (c / MANIFEST).write_bytes(b"\xff\x00{"), "manifest.json is garbled"),
    "a list": (lambda c: (c / MANIFEST).write_text("[1]"), "manifest.json is garbled"),
    "nested": (lambda c: (c / MANIFEST).write_text("[" * 100_000), "manifest.json is garbled"),
    "another length": (lambda c: _edit(c, rows={"bytes": 0, "sha256": ""}), "manifest.json: the"),
    "another step in it": (lambda c: _edit(c, step=3), "manifest.json: the checksum"),
    "fewer files in it": (_no_files, "manifest.json: the checksum"),
    "a file in its place": (_file_instead, "it is not a folder"),
    "a link in its place": (_link_instead, "not a folder"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_it_used(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage, words = DAMAGE[kind]
    _go(tmp_path, until=7).close()
    damage(_OPENED[-1].path / "checkpoint-6")
    with caplog.at_level(logging.WARNING):
        folder = _go(tmp_path)
    assert f"runs/{RUN}/checkpoint-6 was refused: " in caplog.text
    assert words in caplog.text
    (said,) = _said(folder)
    assert said.startswith("checkpoint-6 was refused: ")
    assert words in said
    assert said.endswith("; continued from step 4")
    provenance = json.loads((folder.path / layout.PROVENANCE).read_text())
    assert provenance["continued_from"] == 4
    assert "checkpoint-6" in provenance["refused_checkpoints"][0]
    assert _measured(folder) == list(range(STEPS))
    kept = sorted(p.name for p in folder.path.glob("*checkpoint-*"))
    assert kept == ["checkpoint-10", "checkpoint-8"]
    folder.finish("complete")
    assert not list(folder.path.glob("*checkpoint-*"))


@pytest.mark.parametrize("kind", DAMAGE)
def test_without_any_that_is_whole_the_run_starts_again_and_says_so(
    tmp_path: Path, kind: str
) -> None:
    damage, _ = DAMAGE[kind]
    _go(tmp_path, until=7).close()
    damage(_OPENED[-1].path / "checkpoint-6")
    _flip(_OPENED[-1].path / "checkpoint-4" / "state", 0)
    folder = _go(tmp_path)
    (said,) = _said(folder)
    assert said.startswith("checkpoint-6 was refused: ")
    assert "; checkpoint-4 was refused: state: the checksum does not match; " in said
    assert said.endswith("started again from the beginning")
    assert _measured(folder) == list(range(STEPS))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = _go(tmp_path, until=7)
    other = _open(tmp_path, "ba9876543210")
    other.save(8, _write(8))
    shutil.copytree(other.path / "checkpoint-8", folder.path / "checkpoint-8")
    folder.close()
    folder = _go(tmp_path)
    (said,) = _said(folder)
    assert (
        "checkpoint-8 was refused: it belongs to the run ba9876543210; continued from step 6"
        in said
    )
    assert _measured(folder) == list(range(STEPS))


def test_a_checkpoint_under_the_name_of_another_step_is_refused(tmp_path: Path) -> None:
    folder = _go(tmp_path, until=7)
    folder.close()
    (folder.path / "checkpoint-6").rename(folder.path / "checkpoint-9")
    (said,) = _said(_go(tmp_path))
    assert "checkpoint-9 was refused: it belongs to step 6; continued from step 4" in said


def test_names_that_are_no_checkpoints_are_left_alone(tmp_path: Path) -> None:
    folder = _go(tmp_path, until=7)
    folder.close()
    for name in ("checkpoint-", "checkpoint-x", "checkpoint--1", "checkpoint-\u0667"):
        (folder.path / name).mkdir()
    folder = _go(tmp_path, until=7)
    assert _said(folder) == []
    assert _measured(folder) == list(range(7))


@pytest.mark.parametrize(("row", "went_on"), [(5, "continued from step 4"), (1, "started again")])
@pytest.mark.parametrize("how", ["changed", "cut"])
def test_rows_before_the_mark_are_checked_too(
    tmp_path: Path, row: int, went_on: str, how: str
) -> None:
    folder = _go(tmp_path, until=7)
    folder.close()
    rows = folder.path / layout.ROWS
    start = sum(map(len, rows.read_bytes().splitlines(keepends=True)[:row]))
    if how == "changed":
        text = rows.read_bytes()
        at = text.index(b"value", start) + 8
        assert text[at : at + 1].isdigit()
        _flip(rows, at)  # still a row, of another value
    else:
        os.truncate(rows, start + 3)
    folder = _go(tmp_path)
    (said,) = _said(folder)
    assert "checkpoint-6 was refused: rows.jsonl: " in said
    assert went_on in said
    assert _measured(folder) == list(range(STEPS))
    assert all(r["value"] == r["step"] / 7 for r in _rows(folder) if r["metric"] == "loss")


def _as_older_versions_wrote(folder: RunFolder, state: dict[str, Any]) -> Path:
    """Leave one checkpoint, with ``rows.json`` in place of a manifest."""
    folder.close()
    shutil.rmtree(folder.path / "checkpoint-4")
    old = folder.path / "checkpoint-6"
    (old / MANIFEST).unlink()
    torch.save(state, old / "state.pt")
    size = sum(map(len, (folder.path / layout.ROWS).read_bytes().splitlines(keepends=True)[:6]))
    mark = {"bytes": size, "wall_s": 5.0, "step": 6, "total": STEPS}
    (old / "rows.json").write_text(json.dumps(mark))
    return old


def test_a_folder_of_an_older_version_is_continued(tmp_path: Path) -> None:
    old = _as_older_versions_wrote(_go(tmp_path, until=7), {"w": torch.ones(3)})
    folder = _open(tmp_path)
    assert folder.latest() == old
    assert load_state(old, torch.device("cpu"))["w"].tolist() == [1.0, 1.0, 1.0]
    folder.close()
    folder = _go(tmp_path)
    assert _said(folder) == []
    assert _measured(folder) == list(range(STEPS))
    assert not old.exists()


@pytest.mark.parametrize("what", ["weights", "archive", "mark", "rows"])
def test_what_an_older_version_wrote_is_checked_as_far_as_it_can_be(
    tmp_path: Path, what: str
) -> None:
    old = _as_older_versions_wrote(_go(tmp_path, until=7), {"w": torch.full((2000,), 7.25)})
    content = (old / "state.pt").read_bytes()
    if what == "weights":  # PyTorch itself would load it
        _flip(old / "state.pt", content.index(torch.full((9,), 7.25).numpy().tobytes()) + 40)
        load_state(old, torch.device("cpu"))
    elif what == "archive":
        (old / "state.pt").write_bytes(content[: len(content) // 2])
    elif what == "mark":
        (old / "rows.json").write_text('{"bytes": "x"}')
    else:
        _flip(old.parent / layout.ROWS, 0)
    folder = _go(tmp_path)
    (said,) = _said(folder)
    assert said.endswith("started again from the beginning")
    assert _measured(folder) == list(range(STEPS))


# Faults at every call to the system


class _Full(OSError):
    """A full disk."""


def _faulty(root: Path, fatal: int, fault: Callable[[], None]) -> tuple[bool, int]:
    """Go on with a run in a process of its own, with a fault at the call of number `fatal`.

    Returns:
        Whether the fault was met, and the step of the last checkpoint that was made.
    """
    reading, note = os.pipe()
    child = os.fork()
    if child:
        os.close(note)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        noted = os.read(reading, 100)
        os.close(reading)
        assert code in (0, 9), fatal
        return 255 in noted, max((step for step in noted if step < 255), default=0)
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        if calls == fatal:
            os.write(note, b"\xff")
            fault()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        names = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
        path = arguments[0] if event in names else None
        if isinstance(path, str | os.PathLike) and str(root) in os.fspath(path):
            call()

    class Slow:
        """A file that is written to in halves."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            done = int(self.file.write(data[: len(data) // 2 + 1]))
            call()
            return done

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    from suite.records import rows_file

    init, fsync = rows_file.RowsFile.__init__, os.fsync

    def slow_init(self: Any, *arguments: Any) -> None:
        init(self, *arguments)
        self._file = Slow(self._file)

    def slow_fsync(number: int) -> None:
        call()
        fsync(number)

    rows_file.RowsFile.__init__ = slow_init  # type: ignore[method-assign,assignment]
    os.fsync = slow_fsync  # type: ignore[assignment]
    sys.addaudithook(hook)
    code = 1
    try:
        _go(root, until=6, saved=lambda step: os.write(note, bytes([step])) and None)
        code = 0
    except _Full:
        code = 9
    finally:
        os._exit(code)


@pytest.mark.parametrize("kind", ["killed", "full"])
def test_a_fault_at_any_call_loses_no_more_than_what_came_since_the_last_checkpoint(
    tmp_path: Path, kind: str
) -> None:
    def fault() -> None:
        if kind == "killed":
            os._exit(9)
        raise _Full(errno.ENOSPC, "No space left on device")

    for fatal in range(1, 1000):
        root = tmp_path / str(fatal)
        met, saved = _faulty(root, fatal, fault)
        rows = root / layout.RUNS / RUN / layout.ROWS
        if kind == "full" and rows.exists():  # no half of a line is left
            assert rows.read_bytes()[-1:] in (b"", b"\n"), fatal
        folder = _open(root)
        latest = folder.latest()
        reached = 0 if latest is None else int((latest / "state").read_text())
        assert reached >= saved, fatal
        assert _measured(folder) == list(range(reached)), fatal
        folder.close()
        folder = _go(root, until=7)
        assert _measured(folder) == list(range(7)), fatal
        assert _said(folder) == [], fatal
        folder.finish("complete")
        assert not list(folder.path.glob("*checkpoint-*")), fatal
        shutil.rmtree(root)
        if not met:
            break
    assert fatal > 60


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError("1024 requested and 512 written"), True),
        (OSError("the link is down"), False),
        (TimeoutError("requested and not had"), False),
    ],
)
def test_only_a_full_disk_costs_the_older_checkpoint(error: OSError, full: bool) -> None:
    assert checkpoints._is_full(error) == full
