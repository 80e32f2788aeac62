"""A store that fails, hangs or forgets: MLflow has every row of the run folders once in the end."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.tracking import MlflowClient
from rich.console import Console

from suite.launch import mlflow_sink, mlflow_store
from suite.launch.backfill import backfill
from suite.launch.mlflow_rows import Chooser, LiveRow, differences, read_rows
from suite.launch.mlflow_sink import MlflowSink, default_uri
from suite.launch.run import Options, _tell_of_mlflow
from suite.launch.sweep_state import Live, LiveRun
from suite.records import layout

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("quick"),
]

ROWS = [(step, 0, "accuracy", "test", step / 100, step / 10) for step in range(0, 60, 10)]
ROWS += [(50, 0, "episode_return", "", 9.0, 5.0)] * 2  # two games that end alike at once
WANTED = Counter((f"{m}/{layer}" if layer else m, s, v) for s, _, m, layer, v, _ in ROWS)
REFUSED = MlflowException("not this one", error_code=INVALID_PARAMETER_VALUE)


class Faulty:
    """A client that fails at chosen calls, before or after the store has taken them."""

    def __init__(
        self, client: MlflowClient, name: str, first: int, last: int, after: bool, error: Exception
    ) -> None:
        self._client, self._name, self._after, self._error = client, name, after, error
        self._bad, self.calls = range(first, last), 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if self._name not in (name, "any"):
                return method(*arguments, **options)
            self.calls += 1
            bad = self.calls - 1 in self._bad
            if bad and not self._after:
                raise self._error
            answer = method(*arguments, **options)
            if bad:
                raise self._error
            return answer

        return call


def _send(sink: MlflowSink, record: Any, state: str = "complete") -> None:
    """Have the rows come in one by one, as from a run."""
    sink.start(record.run_id)
    for row in ROWS:
        sink.log(record.run_id, [row])
        time.sleep(0.02)  # into different batches
    if state != "running":
        sink.end(record.run_id, state, "", 0.5)


def _finish(sink: MlflowSink, record: Any) -> None:
    report = record.storage.root / "report"
    report.mkdir(exist_ok=True)
    (report / "report.html").write_text("x")
    sink.close()
    sink.finish(report, {"task": {"arm": {"mean": 0.5, "lo": None}}}, False)


def _again(record: Any, state: str = "complete") -> MlflowSink:
    """Do what the same command does once more."""
    sink: MlflowSink = record.open()
    run = LiveRun(state=state, done=float(state == "complete"))
    live = Live(sweep=record.sweep, runs={record.run_id: run}, slots=1)
    backfill(sink, live, record.storage, fresh=False)
    _finish(sink, record)
    return sink


@pytest.mark.parametrize("after", [False, True], ids=["not taken", "taken"])
@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("create_run", 0, 1),
        ("log_batch", 0, 1),
        ("log_batch", 1, 3),
        ("log_batch", 4, 5),
        ("get_metric_history", 0, 1),
        ("search_runs", 0, 2),
        ("set_terminated", 0, 1),
        ("log_artifact", 0, 2),
        ("any", 0, 3),
        ("any", 5, 8),
    ],
)
def test_calls_that_fail_lose_and_double_nothing(
    record: Any, name: str, first: int, last: int, after: bool
) -> None:
    sink = record.open()
    error = ConnectionError("away")
    sink._store.client = Faulty(sink._store.client, name, first, last, after, error)
    record.write(ROWS)
    _send(sink, record)
    _finish(sink, record)
    assert record.stored() == [WANTED]
    assert sink.level
    assert set(sink.errors) <= {"ConnectionError: away"}


@pytest.mark.parametrize("error", [ConnectionError("away"), REFUSED], ids=["away", "refused"])
@pytest.mark.parametrize("first", [0, 3])
def test_a_store_that_stays_away_is_told_of_and_mended_by_the_next_command(
    record: Any, first: int, error: Exception
) -> None:
    sink = record.open()
    sink._store.client = Faulty(sink._store.client, "any", first, 10**6, False, error)
    record.write(ROWS)
    _send(sink, record)
    _finish(sink, record)
    assert not sink.level
    assert sink.behind == {record.run_id}
    assert len(sink.errors) == 1
    mended = _again(record)
    assert record.stored() == [WANTED]
    assert mended.level
    assert mended.errors == []


@pytest.mark.parametrize("last", [0, 4, 10**6], ids=["never", "at times", "to the end"])
def test_the_closing_words_say_whether_mlflow_has_everything(record: Any, last: int) -> None:
    sink = record.open()
    error = ConnectionError("away")
    sink._store.client = Faulty(sink._store.client, "any", 0, last, False, error)
    record.write(ROWS)
    _send(sink, record)
    _finish(sink, record)
    words = io.StringIO()
    uri = "http://ann:pa55-w0rd@host:5000"
    options = Options("out", command="rewarm-suite run s.yaml", mlflow_uri=uri)
    sink.uri = uri
    _tell_of_mlflow(sink, options, Console(file=words, width=1000))
    said = words.getvalue()
    assert ("MLflow lacks rows or final states of 1 runs" in said) == (last > 9)
    assert ("answers again, run: rewarm-suite run s.yaml --resume" in said) == (last > 9)
    assert ("ConnectionError: away" in said) == (last > 0)
    assert "Compare in MLflow: http://host:5000\n" in said
    assert "pa55-w0rd" not in said + repr(options)


def test_a_command_repeated_when_all_is_there_writes_no_rows(record: Any) -> None:
    record.write(ROWS)
    assert _again(record).level
    stamps = record.storage.root / "report"
    sink = record.open()
    assert sink.ended(record.run_id, "complete")
    sink._store.client = Faulty(sink._store.client, "log_batch", 0, 9, False, ValueError("no"))
    _finish(sink, record)
    assert sink.level
    assert sink._store.client.calls == 0
    assert record.stored() == [WANTED]
    assert stamps.is_dir()


def test_a_store_that_fails_over_one_run_gets_the_others(
    record: Any, tmp_path: Path, smoke: Any, empty_store: Path
) -> None:
    second = type(record)(tmp_path / "results", smoke(seed=1), empty_store)
    first = record
    both = first.sweep.trials + second.sweep.trials
    sink = MlflowSink(
        default_uri(first.storage), first.storage, replace(first.sweep, trials=both), "run sweep"
    )
    bad, good = sorted((first, second), key=lambda record: record.run_id)
    send = sink._store.send

    def fail(child: Any, points: Any) -> None:
        if child is sink._store.children.get(bad.run_id):
            raise MlflowException("internal", error_code=INTERNAL_ERROR)
        send(child, points)

    sink._store.send = fail  # type: ignore[method-assign]
    for record in (bad, good):
        record.write(ROWS)
        sink.start(record.run_id)
        sink.end(record.run_id, "complete", "", 0.5)
    _finish(sink, good)
    assert sink.behind == {bad.run_id}
    assert sorted(map(len, good.stored())) == [0, len(WANTED)]


def test_a_file_that_cannot_be_read_is_no_outage(
    record: Any, tmp_path: Path, smoke: Any, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = type(record)(tmp_path / "results", smoke(seed=1), empty_store)
    both = record.sweep.trials + second.sweep.trials
    sink = MlflowSink(
        default_uri(record.storage), record.storage, replace(record.sweep, trials=both), "run sweep"
    )
    bad, good = sorted((record, second), key=lambda one: one.run_id)

    def read(path: Path, last: int | None = None) -> Any:
        if path.parent.name == bad.run_id:
            raise PermissionError(13, "Permission denied", str(path))
        return read_rows(path, last)

    monkeypatch.setattr(mlflow_sink, "read_rows", read)
    for one in (bad, good):
        one.write(ROWS)
        sink.end(one.run_id, "complete", "", 0.5)
    _finish(sink, good)
    assert sink.behind == {bad.run_id}
    assert not sink._away()
    assert sorted(map(len, good.stored())) == [0, len(WANTED)]


def test_the_record_of_another_folder_of_the_same_name_is_left_alone(record: Any) -> None:
    uri = f"sqlite:///{record.storage.root.parent / 'shared.db'}"
    shutil.copy(record.storage.root / layout.MLFLOW, uri.removeprefix("sqlite:///"))
    client = MlflowClient(uri)
    for number, folder in enumerate(("0" * 16, "1" * 16)):  # one was deleted, or is elsewhere
        sweep = {"name": "sweep", "id": folder}
        (record.storage.root / layout.SWEEP).write_text(json.dumps(sweep))
        record.write([(0, 0, "accuracy", "test", float(number))])
        sink = MlflowSink(uri, record.storage, record.sweep, "run sweep")
        sink.end(record.run_id, "complete", "", None)
        _finish(sink, record)
        assert sink.level
        assert sink.errors == []
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = [run for run in client.search_runs(experiments) if "suite.run_id" in run.data.tags]
    assert sorted(run.data.metrics["accuracy/test"] for run in runs) == [0.0, 1.0]


def test_runs_that_others_nest_are_left_alone(record: Any) -> None:
    record.write(ROWS)
    parent = _again(record).parent
    client = MlflowClient(default_uri(record.storage))
    experiment = client.get_run(parent).info.experiment_id
    own = [client.create_run(experiment, tags={"mlflow.parentRunId": parent}) for _ in range(2)]
    assert _again(record).level
    for run in own:
        assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def test_a_run_that_was_complete_after_all_is_no_failure_any_more(record: Any) -> None:
    record.write(ROWS)
    sink = record.open()  # the worker died between its last word in the folder and to the driver
    sink.end(record.run_id, "failed", "SIGKILL", None)
    _finish(sink, record)
    again = _again(record)
    assert again.level
    (run,) = [
        run
        for run in again._client.search_runs([again._experiment])
        if "suite.run_id" in run.data.tags
    ]
    assert (run.info.status, run.data.tags["suite.state"]) == ("FINISHED", "complete")


def test_parameters_that_were_cut_short_are_completed(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_store, "PARAMS", 5)
    record.write(ROWS)
    sink = record.open()
    sink._store.client = Faulty(sink._store.client, "log_batch", 2, 10**6, False, ValueError("no"))
    sink.end(record.run_id, "complete", "", 0.5)
    _finish(sink, record)

    def params(sink: MlflowSink) -> int:
        runs = sink._client.search_runs([sink._experiment])
        return max(len(run.data.params) for run in runs)

    assert params(sink) == 10
    assert _again(record).level
    assert params(record.open()) > 20


def test_a_store_that_hangs_is_not_waited_for(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_sink, "PATIENCE_S", 0.3)
    sink = record.open()
    released = threading.Event()

    def hang(*arguments: Any, **options: Any) -> None:
        released.wait()

    monkeypatch.setattr(sink._store.client, "log_batch", hang)
    record.write(ROWS)
    _send(sink, record)
    _finish(sink, record)
    assert not sink.level
    assert sink._thread.is_alive()  # it was left behind
    assert sink.errors[-1] == "the store gave no answer for 0 s"
    released.set()
    sink._thread.join()  # and ends by itself, without another call
    monkeypatch.undo()
    assert _again(record).level
    assert record.stored() == [WANTED]


@pytest.mark.parametrize("driver", ["same", "another"])
def test_a_run_that_went_another_way_after_its_checkpoint_has_only_the_rows_it_kept(
    record: Any, driver: str
) -> None:
    sink = record.open()
    other = [(*row[:4], row[4] + 7, row[5]) for row in ROWS if row[0] >= 30]
    sink.start(record.run_id)
    sink.log(record.run_id, [row for row in ROWS if row[0] < 30] + other)
    if driver == "another":
        sink.close()
        record.write([row for row in ROWS if row[0] < 30] + other, "running", 20)
        sink = record.open()
    record.write(ROWS)
    _send(sink, record)
    _finish(sink, record)
    assert record.stored() == [WANTED]
    assert sink.level


def test_rows_that_come_twice_with_another_time_are_the_same_rows(record: Any) -> None:
    record.write([(*row[:5], row[5] + 3) for row in ROWS])
    sink = record.open()
    _send(sink, record, "running")
    _send(sink, record)
    _finish(sink, record)
    assert record.stored() == [WANTED]


@pytest.mark.parametrize("what", ["run", "parent", "experiment", "record"])
def test_what_was_deleted_by_hand_is_there_again(record: Any, what: str) -> None:
    record.write(ROWS)
    sink = _again(record)
    client = MlflowClient(default_uri(record.storage))
    child = sink._store.children[record.run_id].id
    if what in ("run", "record"):
        client.delete_run(child)
    if what in ("parent", "record"):
        client.delete_run(sink.parent)
    if what == "experiment":
        client.delete_experiment(sink._experiment)
    assert _again(record).level
    assert record.stored() == [WANTED]
    artifacts = client.list_artifacts(sink.parent, "report")
    assert [file.path for file in artifacts] == ["report/report.html"]


def test_a_run_deleted_by_hand_while_it_goes_on_is_there_again(record: Any) -> None:
    sink = record.open()
    sink.start(record.run_id)
    sink.log(record.run_id, ROWS[:2])
    while record.run_id not in sink._store.children or sink._store.children[record.run_id].step < 0:
        time.sleep(0.01)
    MlflowClient(default_uri(record.storage)).delete_run(sink._store.children[record.run_id].id)
    record.write(ROWS)
    sink.log(record.run_id, ROWS[2:])
    sink.end(record.run_id, "complete", "", None)
    _finish(sink, record)
    assert record.stored() == [WANTED]
    assert sink.level


def test_a_record_made_twice_is_kept_once(record: Any) -> None:
    record.write(ROWS)
    sink = _again(record)
    tags = {"mlflow.parentRunId": sink.parent, "suite.run_id": record.run_id}
    MlflowClient(default_uri(record.storage)).create_run(sink._experiment, tags=tags)
    assert _again(record).level
    assert record.stored() == [WANTED]


@pytest.mark.parametrize("last", [0, 1])
def test_a_run_that_begins_anew_has_no_rows_of_before(record: Any, last: int) -> None:
    record.write([(*row[:4], row[4] + 7, row[5]) for row in ROWS])
    _again(record)
    sink = record.open()
    error = ConnectionError("away")
    sink._store.client = Faulty(sink._store.client, "delete_run", 0, last, False, error)
    live = Live(sweep=record.sweep, runs={record.run_id: LiveRun()}, slots=1)
    backfill(sink, live, record.storage, fresh=True)
    record.write(ROWS)
    _send(sink, record)
    _finish(sink, record)
    assert record.stored() == [WANTED]
    assert sink.level


def test_more_rows_than_can_be_held_are_read_from_the_folder(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_sink, "MAX_HELD", 3)
    record.write(ROWS)
    sink = record.open()
    sink.log(record.run_id, ROWS)
    assert sink._queue == []
    sink.end(record.run_id, "complete", "", None)
    _finish(sink, record)
    assert record.stored() == [WANTED]


def test_damaged_lines_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rows.jsonl"
    path.parent.mkdir()
    good = '{"run_id": "run", "step": 1, "frames": 0, "wall_s": 0.5, "metric": "loss", '
    good += '"layer": "test", "value": 2}'
    bad = ["[]", "{", '"x"', good.replace("1", "1.5"), good.replace("1", "true"), "[" * 9999]
    bad += [good.replace("2", '"x"'), good.replace('"loss"', "3"), good.replace("1", "9" * 30)]
    bad += [good.replace("2", "9" * 400), good.replace('"run"', '"other"')]
    path.write_text("\n".join([*bad, good.replace("2", "null"), good, good[:20]]))
    rows, _ = read_rows(path)
    assert [(row.step, row.value) for row in rows if row.value == row.value] == [(1, 2.0)]
    assert len(rows) == 2


def test_stamps_follow_from_the_rows_and_differ_within_a_step() -> None:
    rows = [LiveRow(*row) for row in ROWS]
    points = list(Chooser(False, 1000)(rows))
    assert len({(p.key, p.x, p.stamp) for p in points}) == len(points)
    assert [p.stamp for p in points[:2]] == [1000, 2000]
    pieces = Chooser(False, 1000)
    assert [p for row in rows for p in pieces([row])] == points
    assert differences(points, points) == ([], False)
    assert differences(points, points[1:]) == ([points[0]], False)
    assert differences(points[1:], points) == ([], True)
