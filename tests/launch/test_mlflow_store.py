"""Stores in odd places and with odd contents: a whole record, or one message."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from suite.errors import ConfigError
from suite.launch.mlflow_sink import MlflowSink, check_store, default_uri
from suite.launch.mlflow_store import BATCH, text
from suite.records import layout
from suite.records.storage import Storage
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep, TaskPlan, Trial

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("quick"),
]


@pytest.fixture
def keep(
    tmp_path: Path, smoke: Callable[..., RunConfig], empty_store: Path
) -> Callable[..., tuple[MlflowSink, MlflowClient]]:
    """Return a function that records a sweep of one run to its end."""

    def make(
        folder: str = "results", arm: str = "arm", name: str = "sweep", rows: int = 1
    ) -> tuple[MlflowSink, MlflowClient]:
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        if not (root / layout.MLFLOW).exists():
            shutil.copy(empty_store, root / layout.MLFLOW)
        storage, config = Storage(root), smoke()
        plan = TaskPlan((arm,), {}, {}, "")
        sweep = Sweep(name, {"task": plan}, (Trial("task", arm, config),))
        sink = MlflowSink(default_uri(storage), storage, sweep, "run sweep")
        sink.log(config.run_id, [(i, 0, "loss", "test", 1.0 + i, 0.0) for i in range(rows)])
        sink.end(config.run_id, "complete", "", 0.5)
        sink.close()
        report = root / "report" / "figures"
        report.mkdir(parents=True, exist_ok=True)
        (report / "a.svg").write_text("x")
        sink.finish(root / "report", {"task": {arm: {"mean": 1.0}}}, False)
        return sink, MlflowClient(sink.uri)

    return make


def _whole(sink: MlflowSink, client: MlflowClient) -> None:
    assert sink.errors == []
    assert sink.level
    parent = client.get_run(sink.parent)
    assert parent.info.status == "FINISHED"
    assert len(parent.data.metrics) == 1
    paths = [file.path for file in client.list_artifacts(sink.parent, "report/figures")]
    assert paths == ["report/figures/a.svg"]
    (child,) = sink._store.children.values()
    assert client.get_run(child.id).data.metrics["loss/test"] >= 1.0


PATHS = ("a b", "run%41b", "a%20b", "what?", "a?mode=ro", "ha#sh", "ünï", "x@y:z", "q'\"", "a&b;c")


@pytest.mark.parametrize("name", PATHS)
def test_a_results_folder_may_have_any_name(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]], tmp_path: Path, name: str
) -> None:
    sink, client = keep(name)
    _whole(sink, client)
    assert (tmp_path / name / "mlartifacts").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sink.uri == layout.mlflow_uri(tmp_path / name)


NAMES = ("x" * 300, ".", "..", "a#", "a+", "a/b", "//", "a\nb", "\ud800", "", "'", "a" * 9000)


@pytest.mark.parametrize("arm", NAMES)
def test_an_arm_may_have_any_name(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]], arm: str
) -> None:
    _whole(*keep(arm=arm))


@pytest.mark.parametrize("name", ["x" * 600, "a/b", "a'b\"", "%", "\ud800", "."])
def test_a_sweep_may_have_any_name(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]], name: str
) -> None:
    _whole(*keep(name=name))
    sink, client = keep(name=name)
    _whole(sink, client)
    assert len(client.search_runs([sink._experiment])) == 2


def test_numbers_of_the_table_are_not_repeated(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]],
) -> None:
    keep()
    sink, client = keep()
    assert len(client.get_metric_history(sink.parent, "task/arm/mean")) == 1


def test_long_texts_are_cut_and_cannot_break_a_store() -> None:
    assert text("a\0\ud800" + "b" * 10, 5) == "a??bb"


def test_more_rows_than_fit_into_a_call(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]],
) -> None:
    sink, client = keep(rows=2 * BATCH + 1)
    (child,) = sink._store.children.values()
    assert len(client.get_metric_history(child.id, "loss/test")) == 2 * BATCH + 1


def test_all_parameters_are_kept(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"a#{i}": "v" * 7000 for i in range(250)}
    monkeypatch.setattr("suite.launch.mlflow_store.flatten", lambda value: many)
    sink, client = keep()
    (child,) = sink._store.children.values()
    params = client.get_run(child.id).data.params
    assert len(params) == 253
    assert params["a:23:7"] == "v" * 6000


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def _text(path: Path) -> None:
    path.write_text("this is no database" * 100)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_newer, _text, _folder])
def test_a_store_that_cannot_be_opened_is_refused_at_once(
    keep: Callable[..., tuple[MlflowSink, MlflowClient]],
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], Any],
) -> None:
    def sleep(seconds: float) -> None:
        pytest.fail("MLflow tries again, for 100 s")

    monkeypatch.setattr("mlflow.store.db.utils.time", SimpleNamespace(sleep=sleep))
    (tmp_path / "results").mkdir()
    path = Path(shutil.copy(empty_store, tmp_path / "results"))
    spoil(path)
    with pytest.raises(ConfigError) as caught:
        keep()
    assert caught.value.key == "--results"
    assert str(path) in str(caught.value)
    assert "a new one is made" in str(caught.value)


def test_a_store_that_may_not_be_written_to_is_refused(empty_store: Path, tmp_path: Path) -> None:
    copy = shutil.copy(empty_store, tmp_path)
    check_store(f"sqlite:///{copy}")
    for uri in (f"sqlite:///file:{copy}?mode=ro&uri=true", f"sqlite:///{tmp_path}", "nonsense://x"):
        with pytest.raises(ConfigError) as caught:
            check_store(uri)
        assert caught.value.key == "--mlflow-uri"
