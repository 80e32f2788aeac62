"""What ``sweep.json`` says of the values that metrics can have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suite.launch.catalogue import config_folders
from suite.launch.run import sweep_record
from suite.metrics.base import METRICS, Metric
from suite.ranges import ANY, MAGNITUDE, SHARE, SIZE, Range
from suite.records.reader import SweepRecord
from suite.sweeps.sweep import load_sweep

RL = """
base:
  task: {kind: classic_control}
  model: {kind: mlp, width: 8, depth: 1, norm: layer}
  agent: dqn
  budget: {agent_steps: 2000}
axes:
  task:
    cartpole: {}
    short: {task: {max_episode_steps: 80}}
    acrobot: {task: {env: Acrobot-v1}}
    car: {task: {env: MountainCar-v0}}
    catch: {task: {env: Catch-v0}}
    moon: {task: {env: LunarLander-v3}}
  limit:
    usual: {}
    evaluated: {task: {evaluation: {episodes: 3}}}
seeds: [0]
"""
MIXED = """
base:
  task: {kind: modular_addition}
  model: {kind: pair_relu, width: 8}
  budget: 100
axes:
  task: {addition: {}}
  loss:
    plain: {}
    log: {task: {kind: modular_log_loss}}
seeds: [0]
"""


def record(path: Path, text: str) -> SweepRecord:
    """Return the sweep of a file as the report reads it."""
    file = path / "mine.yaml"
    file.write_text(text)
    written = json.dumps(sweep_record(load_sweep([str(file)], config_folders()), "", "0" * 16))
    return SweepRecord.model_validate(json.loads(written))


def test_returns_are_bounded_by_the_environment(tmp_path: Path) -> None:
    expected = {
        "cartpole": Range(0, 500),
        "short": Range(0, 80),
        "acrobot": Range(-500, 0),
        "car": Range(-200, 0),
        "catch": Range(-1, 1),
        "moon": ANY,
    }
    tasks = record(tmp_path, RL).tasks
    assert {label: task.range_of("mean_return_20") for label, task in tasks.items()} == expected
    for task in tasks.values():
        assert task.range_of("evaluation_return") == task.range_of("episode_return")
        assert task.range_of("epsilon") == SHARE
        assert task.range_of("agent_steps_per_s") == SIZE


def test_what_holds_of_all_arms_is_recorded(tmp_path: Path) -> None:
    """The logarithm of a loss may be negative, so that losses of both arms may be."""
    (task,) = record(tmp_path, MIXED).tasks.values()
    assert task.range_of("accuracy") == SHARE
    assert task.range_of("loss") == ANY
    assert task.range_of("effective_lr") == MAGNITUDE


def test_a_metric_that_declares_nothing_has_no_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = METRICS.entries()
    mine = Metric("mine", "share", frozenset({"predictions"}), lambda seen: {})
    monkeypatch.setattr(METRICS, "_entries", {**entries, "mine": mine})
    text = MIXED.replace("budget: 100", "budget: 100\n  metrics: {names: [accuracy, mine]}")
    (task,) = record(tmp_path, text).tasks.values()
    losses = dict.fromkeys(("loss", "batch_loss"), ANY)  # of the arm of logarithms
    assert task.ranges == {"accuracy": SHARE, "mine": ANY, **losses}
