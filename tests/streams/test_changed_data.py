"""A run goes on only with the data that it began with; its id has their path alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from suite.data.sets import describe, load
from suite.errors import ConfigError
from suite.run_config import RunConfig
from suite.training.supervised import SupervisedRun


def _write(path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(30, 5)).astype(np.float32)
    labels = np.arange(30) % 3
    np.savez(path, x_train=inputs, y_train=labels, x_test=inputs[:9], y_test=labels[:9])
    load.cache_clear()
    describe.cache_clear()


def _run(path: Path) -> SupervisedRun:
    task = {"kind": "random_labels", "dataset": {"npz": str(path)}, "batch_size": 10, "steps": 4}
    mapping: dict[str, Any] = {"task": {**task, "tasks": 2}, "model": {"kind": "mlp", "width": 4}}
    return SupervisedRun(RunConfig.from_mapping(mapping), torch.device("cpu"))


def test_other_content_at_the_same_path_is_refused_and_equal_content_is_not(tmp_path: Path) -> None:
    path, saved = tmp_path / "own.npz", tmp_path / "checkpoint"
    saved.mkdir()
    _write(path, seed=0)
    first = _run(path)
    first.save(saved)
    _write(path, seed=1)
    changed = _run(path)
    assert changed.config.run_id == first.config.run_id
    with pytest.raises(ConfigError, match=r"task\.dataset: got .*own\.npz.*--fresh") as error:
        changed.load(saved)
    assert str(first.task.source).split()[-1].rstrip(")") in str(error.value)
    _write(path, seed=0)
    again = _run(path)
    again.load(saved)
    assert again.step == 0


def test_checkpoints_from_before_have_no_sum_and_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    _write(path, seed=0)
    run = _run(path)
    state = run.task.state_dict()
    assert state.pop("content")
    run.task.load_state_dict(state)


def test_sets_with_a_name_have_none() -> None:
    assert load("digits").content == ""
