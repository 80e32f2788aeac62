from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from suite.errors import ConfigError
from suite.launch.backfill import backfill
from suite.launch.keys import BY_GAME, metric_key
from suite.launch.mlflow_sink import MAX_KEYS, MlflowSink, check_store, default_uri
from suite.launch.progress import Progress, make_console
from suite.launch.sweep_state import Live, LiveRun
from suite.launch.trainable import Reporter
from suite.records.storage import Storage
from suite.rows import Row
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep, TaskPlan, Trial

TOLD = [(10, 0.5), (20, None)]
"""Steps and scores of a run whose last one is not a number."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Opened(MlflowSink):
    """A sink that says which run it is of, and which sweep."""

    run_id: str
    sweep: Sweep


@pytest.fixture
def make_sink(
    tmp_path: Path, smoke: Callable[..., RunConfig], empty_store: Path
) -> Callable[[], Opened]:
    """Return a function that opens the sink of a sweep of one run, as a driver does."""
    config = smoke()
    shutil.copy(empty_store, tmp_path)
    plan = TaskPlan(("arm",), {}, {}, "")
    sweep = Sweep("sweep", {"task": plan}, (Trial("task", "arm", config),))
    storage = Storage(tmp_path)

    def make() -> Opened:
        sink = Opened(default_uri(storage), storage, sweep, "run sweep")
        sink.run_id, sink.sweep = config.run_id, sweep
        return sink

    return make


def _history(sink: MlflowSink, key: str) -> list[tuple[int, float]]:
    sink.close()
    assert sink.errors == []
    client = MlflowClient(tracking_uri=sink.uri)
    children = client.search_runs([sink._experiment], "attributes.run_name = 'task/arm/0'")
    assert len(children) == 1
    history = client.get_metric_history(children[0].info.run_id, key)
    return sorted((m.step, m.value) for m in history)


def test_rows_of_one_step_may_come_in_several_batches(make_sink: Callable[[], Opened]) -> None:
    sink = make_sink()
    sink.start(sink.run_id)
    sink.log(sink.run_id, [(0, 0, "episode_return", "", 1.0)])
    sink.log(sink.run_id, [(0, 8, "episode_return", "", 2.0), (5, 9, "loss", "test", 0.5)])
    sink.log(sink.run_id, [(4, 9, "alarm", "", 1.0)])
    assert _history(sink, "episode_return") == [(0, 1.0), (0, 2.0)]
    sink = make_sink()
    assert _history(sink, "alarm") == [(4, 1.0)]


@pytest.mark.parametrize("driver", ["same", "another"])
def test_what_is_repeated_after_a_checkpoint_is_not_logged_twice(
    make_sink: Callable[[], Opened], driver: str
) -> None:
    sink = make_sink()
    sink.start(sink.run_id)
    sink.log(sink.run_id, [(step, 0, "loss", "test", float(step)) for step in (0, 10, 20)])
    if driver == "another":
        sink.close()
        sink = make_sink()
    sink.start(sink.run_id)
    sink.log(sink.run_id, [(step, 0, "loss", "test", float(step)) for step in (10, 20, 30)])
    assert _history(sink, "loss/test") == [(s, float(s)) for s in (0, 10, 20, 30)]


def test_a_run_has_a_bounded_number_of_keys(make_sink: Callable[[], Opened]) -> None:
    sink = make_sink()
    for batch in range(3):
        rows = [(batch, 0, f"metric_{batch}_{i}", "", 1.0) for i in range(MAX_KEYS // 2)]
        sink.log(sink.run_id, rows)
    assert len(_history(sink, "metric_1_0")) == 1
    sink = make_sink()
    assert _history(sink, "metric_2_0") == []


def test_a_long_sequence_of_games_leaves_room_for_means_over_them(
    make_sink: Callable[[], Opened],
) -> None:
    sink = make_sink()
    games = [(0, 0, metric, f"game_{i}", 1.0) for i in range(MAX_KEYS) for metric in BY_GAME]
    sink.log(sink.run_id, games)
    sink.log(sink.run_id, [(0, 0, "visit_return", "", 2.0)])
    assert _history(sink, "visit_return/game_0") == [(0, 1.0)]
    assert _history(sink, f"visit_return/game_{MAX_KEYS - 1}") == []
    assert _history(sink, "visit_return") == [(0, 2.0)]


def test_returns_by_game_are_reported_while_a_run_goes_on_and_afterwards(
    make_sink: Callable[[], Opened], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("ray.tune.report", sent.append)
    sink = make_sink()
    reporter = Reporter(sink.run_id)
    rows = [Row(5, 20, 0.5, metric, "pong", 1.0) for metric in BY_GAME]
    reporter([*rows, Row(5, 20, 0.5, "parameter_norm", "conv1.weight", 1.0)], 5, 10)
    reporter.send("running", "")
    assert [(metric, layer) for _, _, metric, layer, *_ in sent[0]["rows"]] == [
        (metric, "pong") for metric in BY_GAME
    ]
    folder = tmp_path / "runs" / sink.run_id
    folder.mkdir(parents=True)
    lines = [json.dumps(row.as_json(sink.run_id)) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join([*lines, ""]))
    (folder / "status.json").write_text(json.dumps({"state": "complete", "step": 10, "reason": ""}))
    run = LiveRun(state="complete", done=1.0)
    backfill(sink, Live(sink.sweep, {sink.run_id: run}, 1), Storage(tmp_path), fresh=False)
    assert _history(sink, "visit_return/pong") == [(5, 1.0)]


def test_a_store_that_is_down_is_reported_and_nothing_else_happens(
    make_sink: Callable[[], Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make_sink()

    def refuse(*arguments: object, **options: object) -> None:
        raise ConnectionError("the store is down")

    monkeypatch.setattr(sink._client, "create_run", refuse)
    sink.log(sink.run_id, [(0, 0, "loss", "test", 1.0)])
    sink.end(sink.run_id, "complete", "", 1.0)
    sink.close()
    assert set(sink.errors) == {"ConnectionError: the store is down"}


def test_a_run_that_begins_anew_is_forgotten(make_sink: Callable[[], Opened]) -> None:
    sink = make_sink()
    sink.log(sink.run_id, [(step, 0, "loss", "test", 1.0) for step in (0, 10)])
    sink.end(sink.run_id, "complete", "", 1.0)
    sink.close()
    sink = make_sink()
    assert sink.ended(sink.run_id, "complete")
    sink.forget(sink.run_id)
    assert not sink.ended(sink.run_id, "complete")
    sink.log(sink.run_id, [(step, 0, "loss", "test", 2.0) for step in (0, 10)])
    assert _history(sink, "loss/test") == [(0, 2.0), (10, 2.0)]


@pytest.mark.parametrize("state", ["complete", "running"])
def test_what_a_killed_driver_had_not_sent_is_sent_later(
    make_sink: Callable[[], Opened], tmp_path: Path, state: str
) -> None:
    sink = make_sink()
    sink.log(sink.run_id, [(0, 0, "accuracy", "test", 0.1)])
    sink.close()
    folder = tmp_path / "runs" / sink.run_id
    folder.mkdir(parents=True)
    keys = ("run_id", "step", "frames", "wall_s", "metric", "layer", "value")
    rows = [(sink.run_id, s, 0, 0.0, "accuracy", "test", s / 100) for s in (0, 10, 20, 30)]
    lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join([*lines, '{"torn']))
    (folder / "status.json").write_text(json.dumps({"state": state, "step": 20, "reason": ""}))
    sink = make_sink()
    done = 1.0 if state == "complete" else 0.0
    live = Live(sweep=sink.sweep, runs={sink.run_id: LiveRun(state=state, done=done)}, slots=1)
    backfill(sink, live, Storage(tmp_path), fresh=False)
    found = _history(sink, "accuracy/test")
    assert [step for step, _ in found] == ([0, 10, 20, 30] if done else [0, 10, 20])
    assert make_sink().ended(sink.run_id, state) == bool(done)


def test_a_last_score_that_is_not_a_number_is_not_replaced_by_an_earlier_one(
    make_sink: Callable[[], Opened], tmp_path: Path
) -> None:
    sink = make_sink()
    run = LiveRun(state="complete", done=1.0)
    live = Live(sweep=sink.sweep, runs={sink.run_id: run}, slots=1)
    metric, layer = sink.sweep.runs[sink.run_id].task.score
    folder = tmp_path / "runs" / sink.run_id
    folder.mkdir(parents=True)
    keys = ("run_id", "step", "frames", "wall_s", "metric", "layer", "value")
    told = [(sink.run_id, s, 0, 0.0, metric, layer, value) for s, value in TOLD]
    lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in told]
    (folder / "rows.jsonl").write_text("\n".join([*lines, ""]))
    (folder / "status.json").write_text(json.dumps({"state": "complete", "step": 20, "reason": ""}))
    backfill(sink, live, Storage(tmp_path), fresh=False)
    assert _history(sink, metric_key(metric, layer)) == [(10, 0.5)]
    assert _history(sink, "final") == []
    run.primary = math.nan
    progress = Progress(live, make_console())
    (column,) = (c for c in progress._table().columns if c.header == "primary metric so far")
    assert [*column.cells] == [""]


def test_a_store_that_cannot_be_reached_is_refused_beforehand() -> None:
    with pytest.raises(ConfigError) as caught:
        check_store("nonsense://x")
    assert caught.value.key == "--mlflow-uri"
