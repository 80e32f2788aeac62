"""A run whose checkpoint was damaged gives the same numbers, or says that it began again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from suite.records import layout
from suite.records.run_folder import REFUSED, RunFolder
from suite.records.storage import Storage
from suite.run_config import RunConfig
from suite.training import supervised
from suite.training.batched import BatchedRun, batch_key
from suite.training.supervised import SupervisedRun


class _Killed(Exception):
    """Stands for the death of the process."""


class _Until(RunFolder):
    """A run's folder whose process dies after some checkpoints."""

    left = 1000

    def save(self, step: int, write: Callable[[Path], object]) -> None:
        super().save(step, write)
        self.left -= 1
        if not self.left:
            raise _Killed


def _folders(root: Path, runs: Sequence[RunConfig], checkpoints: int = 1000) -> list[_Until]:
    found = []
    for run in runs:
        found.append(_Until(Storage(root), run.run_id, checkpoint_every_s=0.0))
        found[-1].left = checkpoints
        found[-1].open(run.model_dump(mode="json"), {"command": "x"})
    return found


def _train(root: Path, runs: Sequence[RunConfig], checkpoints: int = 1000) -> list[list[Any]]:
    """Train the runs, up to the death of the process; return their rows."""
    folders = _folders(root, runs, checkpoints)
    try:
        if len(runs) > 1:
            assert BatchedRun(runs).train(folders) == [None] * len(runs)
        else:
            SupervisedRun(runs[0]).train(folders[0])
    except _Killed:
        pass
    found = []
    for folder in folders:
        folder.close()
        rows = map(json.loads, (folder.path / layout.ROWS).read_text().splitlines())
        found.append([(r["metric"], r["layer"], r["step"], r["value"]) for r in rows])
    return found


def _measured(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row[0] != REFUSED]


def _damage(root: Path, run: RunConfig, which: Sequence[int]) -> None:
    """Change one bit of the weights in some of the checkpoints, from the newest on."""
    folder = root / layout.RUNS / run.run_id
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: -int(p.name.split("-")[1]))
    assert len(found) == 2
    for number in which:
        path = found[number] / "state.pt"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x40
        path.write_bytes(content)


SUPERVISED = {"budget": 120, "metrics": {"every": 20}}


@pytest.mark.parametrize(
    ("which", "words"),
    [((0,), "continued from step 60"), ((0, 1), "started again from the beginning")],
)
def test_a_supervised_run(
    tmp_path: Path,
    smoke: Callable[..., RunConfig],
    which: Sequence[int],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervised, "CHECK_EVERY", 20)
    run = smoke(**SUPERVISED)
    (expected,) = _train(tmp_path / "whole", [run])
    _train(tmp_path / "damaged", [run], checkpoints=4)
    _damage(tmp_path / "damaged", run, which)
    (rows,) = _train(tmp_path / "damaged", [run])
    assert _measured(rows) == expected
    (said,) = [row for row in rows if row[0] == REFUSED]
    assert words in said[1]
    assert "checkpoint-80 was refused: state.pt: the checksum does not match" in said[1]


def test_runs_side_by_side_each_go_on_from_what_they_have(tmp_path: Path) -> None:
    runs = [
        RunConfig.from_mapping(
            {
                "task": {"kind": "modular_addition", "modulus": 5, "fraction": 0.6},
                "model": {"kind": "pair_relu", "width": 6, "scale": 1.0},
                "optimizer": {"kind": "sgd", "lr": lr},
                "budget": 600,
                "metrics": {"every": 100},
            }
        )
        for lr in (0.01, 0.02, 0.03)
    ]
    assert len({batch_key(run) for run in runs}) == 1
    assert batch_key(runs[0]) is not None
    expected = _train(tmp_path / "whole", runs)
    for run in runs:  # all of them with checkpoints, whichever the death comes in
        _train(tmp_path / "damaged", [run], checkpoints=4)
    _damage(tmp_path / "damaged", runs[0], (0,))
    _damage(tmp_path / "damaged", runs[1], (0, 1))
    found = _train(tmp_path / "damaged", runs)
    said = [[row[1] for row in rows if row[0] == REFUSED] for rows in found]
    assert [len(words) for words in said] == [1, 1, 0]
    assert said[0][0].endswith("continued from step 300")
    assert said[1][0].endswith("started again from the beginning")
    for rows, right in zip(found, expected, strict=True):
        assert [row[:3] for row in _measured(rows)] == [row[:3] for row in right]
        for mine, its in zip(_measured(rows), right, strict=True):
            assert mine[3] == pytest.approx(its[3], rel=1e-4, abs=1e-6, nan_ok=True)
