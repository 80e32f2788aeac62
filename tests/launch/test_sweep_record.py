"""``sweep.json``: what a report needs to know, as strict JSON, whoever started the sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suite.errors import ConfigError
from suite.launch.run import sweep_record
from suite.records.reader import read_sweep
from suite.report.experiment import Results
from suite.sweep import load_sweep

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
    record = sweep_record(sweep, "python my_script.py")
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
    record = sweep_record(sweep, "run_suite.py run x --set budget=3")  # of another sweep
    (tmp_path / "sweep.json").write_text(json.dumps(record))
    assert read_sweep(tmp_path).overrides == ()


def test_changes_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(TEXT)
    record = sweep_record(load_sweep([str(tmp_path / "paper.yaml")], [tmp_path]), "")
    (tmp_path / "sweep.json").write_text(json.dumps({**record, "overrides": ["budget"]}))
    with pytest.raises(ConfigError, match="--set"):
        Results(tmp_path)
