"""Names at a remote address are strangers' words: nothing outside the local copy is touched."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from suite.errors import ConfigError
from suite.records import layout
from suite.records.run_folder import REFUSED, RunFolder
from suite.records.storage import Storage, write_text, write_whole
from suite.rows import Row


def _machine(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Return the storage of one address as another machine sees it."""
    (tmp_path / "remote").mkdir(exist_ok=True)
    (tmp_path / name).mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / name))
    return Storage((tmp_path / "remote").as_uri())


@pytest.mark.parametrize(
    "name",
    ["../victim", "runs/../../victim", "runs/../..", "/etc/victim", "..", "", "runs/a\0b"],
)
def test_names_that_lead_outside_are_refused_and_nothing_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    storage = _machine(tmp_path, "a", monkeypatch)
    storage.create("--results")
    victims = [storage.root.parent / "victim", storage.root.parent.parent / "victim"]
    for victim in victims:
        victim.write_text("precious")
    with pytest.raises(ConfigError) as caught:
        storage.pull(name)
    assert "inside the results folder" in str(caught.value)
    assert all(victim.read_text() == "precious" for victim in victims)


def test_keys_of_a_bucket_that_climb_out_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store takes any key, ``..`` among them."""
    storage = _machine(tmp_path, "a", monkeypatch)
    storage.create("--results")

    class Bucket:
        """A file system that lists what a stranger put there."""

        def get_file_info(self, what: Any) -> Any:
            folder, file = fs.FileType.Directory, fs.FileType.File
            if isinstance(what, str):
                return fs.FileInfo(what, folder)
            names = ("base/runs/x/rows.jsonl", "base/runs/x/../../../evil")
            return [fs.FileInfo(name, file) for name in names]

    monkeypatch.setattr(storage, "_system", lambda: (Bucket(), "base"))
    copied: list[str] = []
    monkeypatch.setattr(fs, "copy_files", lambda source, *_, **__: copied.append(source))
    with pytest.raises(ConfigError, match="inside the results folder"):
        storage.pull("runs/x")
    assert copied == []


def test_links_in_the_local_copy_are_removed_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = _machine(tmp_path, "a", monkeypatch)
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "file").write_text("precious")
    runs = storage.root / "runs"
    runs.mkdir(parents=True)
    (runs / "whole").symlink_to(outside)
    (runs / "within").mkdir()
    (runs / "within" / "link").symlink_to(outside)
    for name in ("runs/whole", "runs/within"):
        storage.pull(name)
    assert not (runs / "whole").exists()
    assert not (runs / "within" / "link").exists()
    (runs / "way").symlink_to(outside)
    with pytest.raises(ConfigError, match="inside the results folder"):
        storage.pull("runs/way/file")
    assert (outside / "file").read_text() == "precious"
    assert (outside / "deep").is_dir()


def test_whole_files_replace_links_and_write_through_none(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to("precious")
    write_whole(tmp_path / "link", b"new")
    write_text(tmp_path / "other", "new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "precious").read_text() == "precious"
    import os

    temporary = tmp_path / f".planted.{os.getpid()}.tmp"
    temporary.symlink_to("precious")
    write_whole(tmp_path / "planted", b"new")
    assert (tmp_path / "planted").read_text() == "new"
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "other", "planted", "precious"]


def _state(done: str, folder: Path) -> None:
    (folder / "state").write_text(done)


def _session(storage: Storage, until: int) -> RunFolder:
    folder = RunFolder(storage, "0123456789ab", checkpoint_every_s=0.0)
    folder.open({"seed": 0}, {"command": "x"})
    latest = folder.latest()
    step = 0 if latest is None else int((latest / "state").read_text())
    while step < until:
        folder.emit([Row(step, 0, 0.0, "loss", "", 1.0)])
        step += 1
        folder.progress(step, 20)
        if step % 2 == 0:
            folder.save(step, partial(_state, str(step)))
    return folder


def _checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*checkpoint-*"))


def test_two_checkpoints_are_kept_at_the_address_and_a_damaged_one_is_refused_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _session(_machine(tmp_path, "a", monkeypatch), until=9).close()
    remote = tmp_path / "remote" / layout.RUNS / "0123456789ab"
    assert _checkpoints(remote) == ["checkpoint-6", "checkpoint-8"]
    (remote / "checkpoint-8" / "state").write_text("9")
    folder = _session(_machine(tmp_path, "b", monkeypatch), until=12)
    rows = [json.loads(line) for line in (folder.path / layout.ROWS).read_text().splitlines()]
    assert [row["step"] for row in rows if row["metric"] == "loss"] == list(range(12))
    (said,) = [row["layer"] for row in rows if row["metric"] == REFUSED]
    assert "checkpoint-8 was refused: state: the checksum" in said
    assert "continued from step 6" in said
    assert _checkpoints(remote) == _checkpoints(folder.path) == ["checkpoint-10", "checkpoint-12"]
    folder.finish("complete")
    assert _checkpoints(remote) == _checkpoints(folder.path) == []


def test_what_lies_at_the_address_of_a_checkpoint_cut_short_is_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _session(_machine(tmp_path, "a", monkeypatch), until=6).close()
    remote = tmp_path / "remote" / layout.RUNS / "0123456789ab"
    (remote / "checkpoint-8").mkdir()
    (remote / "checkpoint-8" / "ring").write_text("of another session")
    folder = _session(_machine(tmp_path, "b", monkeypatch), until=9)
    assert "refused" not in (folder.path / layout.ROWS).read_text()  # a kill does that
    folder.close()
    folder = _session(_machine(tmp_path, "c", monkeypatch), until=10)
    assert "refused" not in (folder.path / layout.ROWS).read_text()
    folder.close()


def test_a_file_at_the_address_is_whole_or_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = _machine(tmp_path, "a", monkeypatch)
    storage.create("--results")
    (storage.root / "rows").write_text("one")
    storage.push("rows")
    (storage.root / "rows").write_text("two")

    def cut(source: str, target: str, **_: Any) -> None:
        Path(target).write_text("t")
        raise OSError("the network is gone")

    monkeypatch.setattr(fs, "copy_files", cut)
    with pytest.raises(OSError, match="network"):
        storage.push("rows")
    assert (tmp_path / "remote" / "rows").read_text() == "one"
