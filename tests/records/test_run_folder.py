from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from suite.errors import ConfigError
from suite.records import layout
from suite.records.run_folder import RunFolder, read_status
from suite.records.storage import Storage, write_text
from suite.rows import Row


def _row(step: int) -> Row:
    return Row(step, 0, step / 10, "loss", "", float(step))


def _steps(folder: RunFolder) -> list[int]:
    lines = (folder.path / layout.ROWS).read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


_OPENED: list[RunFolder] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close what a test leaves open."""
    yield
    while _OPENED:
        _OPENED.pop().close()


def _open(storage: Storage) -> RunFolder:
    folder = RunFolder(storage, "abc", checkpoint_every_s=0.0)
    folder.open({"seed": 0}, {"command": "x"})
    _OPENED.append(folder)
    return folder


def test_rows_past_the_checkpoint_are_dropped_on_resume(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    first = _open(storage)
    assert first.latest() is None
    first.emit([_row(0), _row(1)])
    first.progress(1, 10)
    first.save(1, lambda p: (p / "state").write_text("one"))
    first.emit([_row(2), _row(3)])
    first._rows._file.write(b'{"torn": ')  # killed in the middle of a line
    first.close()
    second = _open(storage)
    assert _steps(second) == [0, 1]
    latest = second.latest()
    assert latest is not None
    assert (latest / "state").read_text() == "one"
    second.emit([_row(2)])
    second.finish("complete")
    assert _steps(second) == [0, 1, 2]
    assert second.latest() is None
    status = read_status(second.path)
    assert status is not None
    assert status["state"] == "complete"
    provenance = json.loads((second.path / layout.PROVENANCE).read_text())
    assert provenance["continued_from"] == 1
    assert provenance["earlier"] == [{"command": "x"}]


def test_without_a_checkpoint_a_run_starts_over(tmp_path: Path) -> None:
    first = _open(Storage(tmp_path))
    first.emit([_row(0)])
    first.close()
    assert _steps(_open(Storage(tmp_path))) == []


def test_a_checkpoint_cut_short_does_not_count(tmp_path: Path) -> None:
    folder = _open(Storage(tmp_path))
    folder.emit([_row(1)])
    folder.save(1, lambda p: (p / "state").write_text("one"))

    def fail(path: Path) -> None:
        (path / "state").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.save(2, fail)
    latest = folder.latest()
    assert latest is not None
    assert latest.name == "checkpoint-1"
    folder.close()
    again = _open(Storage(tmp_path))
    assert sorted(p.name for p in again.path.glob("*checkpoint*")) == ["checkpoint-1"]
    assert not list(again.path.glob(".partial*"))


def test_only_the_last_two_checkpoints_stay(tmp_path: Path) -> None:
    folder = _open(Storage(tmp_path))
    for step in (1, 2, 30, 4):
        folder.save(step, lambda p: (p / "state").write_text("x"))
    # Steps only grow within a run; a stale larger one would be a fault elsewhere.
    kept = sorted(p.name for p in folder.path.glob("*checkpoint-*"))
    assert kept == ["checkpoint-30", "checkpoint-4"]
    folder.finish("complete")
    assert not list(folder.path.glob("*checkpoint-*"))


def test_not_a_number_is_null(tmp_path: Path) -> None:
    folder = _open(Storage(tmp_path))
    folder.emit([Row(0, 0, 0.0, "loss", "", float("nan"))])
    assert json.loads((folder.path / layout.ROWS).read_text())["value"] is None


def test_two_writers_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.records import run_folder

    monkeypatch.setattr(run_folder, "LOCK_TIMEOUT_S", 0.2)
    _first = _open(Storage(tmp_path))
    with pytest.raises(TimeoutError, match="in use"):
        _open(Storage(tmp_path))


def test_a_remote_folder_is_a_copy_kept_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines, one address: the second continues what the first left behind."""
    address = (tmp_path / "remote").as_uri()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "machine1"))
    first = _open(Storage(address))
    first.emit([_row(0), _row(1)])
    first.save(1, lambda p: (p / "state").write_text("one"))
    first.emit([_row(2)])
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "machine2"))
    second = _open(Storage(address))
    assert _steps(second) == [0, 1]
    latest = second.latest()
    assert latest is not None
    assert (latest / "state").read_text() == "one"
    second.finish("complete")
    remote = tmp_path / "remote" / layout.RUNS / "abc"
    assert json.loads((remote / layout.STATUS).read_text())["state"] == "complete"
    assert not list(remote.glob("checkpoint-*"))


def test_write_text_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--results"):
        Storage(tmp_path / "file" / "below").create("--results")


class _Killed(Exception):
    """Stands for the death of the process."""


def _state(done: str, folder: Path) -> None:
    (folder / "state").write_text(done)


def _machine(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Return the storage of one address as another machine sees it."""
    temporary = tmp_path / name
    temporary.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    return Storage((tmp_path / "remote").as_uri())


def _session(storage: Storage, until: int) -> None:
    """Continue a run of ten steps, with a checkpoint every other step."""
    folder = _open(storage)
    latest = folder.latest()
    step = 0 if latest is None else int((latest / "state").read_text())
    while step < until:
        folder.emit([_row(step)])
        step += 1
        folder.progress(step, 10)
        if step % 2 == 0:
            folder.save(step, partial(_state, str(step)))
    if step == 10:
        folder.finish("complete")


@pytest.mark.parametrize("deadly", range(1, 25))
@pytest.mark.parametrize("elsewhere", [True, False])
def test_killed_at_any_moment_a_remote_run_continues_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadly: int, elsewhere: bool
) -> None:
    (tmp_path / "remote").mkdir()
    first = _machine(tmp_path, "a", monkeypatch)
    calls = 0
    from pyarrow import fs

    copy = fs.copy_files

    def counted(*arguments: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == deadly:
            raise _Killed
        copy(*arguments, **options)

    monkeypatch.setattr(fs, "copy_files", counted)
    with suppress(_Killed):
        _session(first, until=8)
    while _OPENED:
        _OPENED.pop().close()
    assert calls == deadly
    monkeypatch.setattr(fs, "copy_files", copy)
    second = _machine(tmp_path, "b" if elsewhere else "a", monkeypatch)
    _session(second, until=10)
    assert _steps(_OPENED[-1]) == list(range(10))
    third = _machine(tmp_path, "c", monkeypatch)
    third.pull(layout.RUNS)
    status = read_status(third.root / layout.RUNS / "abc")
    assert status is not None
    assert status["state"] == "complete"
    text = (third.root / layout.RUNS / "abc" / layout.ROWS).read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == list(range(10))


def test_what_was_deleted_at_the_address_is_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "remote").mkdir()
    first, second = (_machine(tmp_path, name, monkeypatch) for name in "ab")
    _session(first, until=6)
    second.remove(f"{layout.RUNS}/abc")
    while _OPENED:
        _OPENED.pop().close()
    folder = _open(_machine(tmp_path, "a", monkeypatch))
    assert folder.latest() is None
    assert _steps(folder) == []


def test_an_address_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        Storage("nonsense://bucket/x").pull("a")
    assert caught.value.key == "--results"
