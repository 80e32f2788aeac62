"""``sweep.json``: what a report needs to know, as strict JSON, whoever started the sweep."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from suite.launch.run import sweep_record
from suite.records.reader import read_sweep
from suite.records.results_id import new_id, results_id
from suite.records.storage import Storage
from suite.report.experiment import Results
from suite.sweeps.sweep import load_sweep

TEXT = """
base:
  task: {kind: modular_addition, modulus: 7, fraction: 0.5}
  model: {kind: transformer, width: 8, heads: 2, hidden: 8}
  budget: 20
axes:
  arm: {a: {}, b: {optimizer.lr: 0.1}}
seeds: [0]
"""


def _strict(word: str) -> Any:
    raise ValueError(word)


def test_a_sweep_from_python_keeps_what_was_laid_over_it(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(TEXT)
    changes = ("budget=40", "seeds=[0, 1]", "task.fraction=0.25")
    sweep = load_sweep([str(tmp_path / "paper.yaml")], [tmp_path], changes)
    assert sweep.overrides == changes
    assert sweep.only("*/a/*").overrides == changes
    record = sweep_record(sweep, "python my_script.py", "0" * 16)
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text, parse_constant=_strict) == record
    (tmp_path / "sweep.json").write_text(text)
    assert read_sweep(tmp_path).overrides == changes
    label = next(iter(sweep.tasks))
    assert Results(tmp_path)._set.of_runs(label) == ["budget=40", "task.fraction=0.25"]


def test_without_changes_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(TEXT)
    sweep = load_sweep([str(tmp_path / "paper.yaml")], [tmp_path])
    assert sweep.overrides == ()
    record = sweep_record(sweep, "run_suite.py run x --set budget=3", "0" * 16)  # of another sweep
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    assert read_sweep(tmp_path).overrides == ()


@pytest.mark.parametrize("change", ["budget", "seed=5", "budget={", ":=3"])
def test_changes_that_would_be_refused_today_are_of_all_runs(tmp_path: Path, change: str) -> None:
    (tmp_path / "paper.yaml").write_text(TEXT)
    record = sweep_record(load_sweep([str(tmp_path / "paper.yaml")], [tmp_path]), "", "0" * 16)
    held = {**record, "overrides": [change, "budget=40"]}
    (tmp_path / "sweep.json").write_text(json.dumps(held))
    results = Results(tmp_path)
    assert results._unread == [change]
    assert results._set.of_runs("paper") == ["budget=40"]


def test_the_id_of_a_folder_stays_and_is_its_own(tmp_path: Path) -> None:
    assert new_id() != new_id()
    first = Storage(tmp_path / "a")
    first.root.mkdir()
    record = first.root / "sweep.json"
    record.write_text(json.dumps({"name": "s", "id": "0123456789abcdef"}))
    assert results_id(first) == "0123456789abcdef"
    made = new_id()
    record.write_text(json.dumps({"name": "s", "id": made}))
    assert results_id(first) == made
    address = hashlib.sha256(first.address.encode()).hexdigest()[:16]
    for old in ('{"name": "s"}', '{"id": "x\' or 1"}', '{"id": 5}', "[]", "{"):
        record.write_text(old)
        assert results_id(first) == address
