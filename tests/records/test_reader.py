from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import suite
from suite.errors import ConfigError
from suite.records import reader, rows_table
from suite.records.reader import (
    TABLE_COLUMNS,
    load_results,
    read_config,
    read_results,
    read_sweep,
    status_of,
)
from suite.rows import Row

ARMS = ("b", "a")


def write_sweep(path: Path, trials: list[dict[str, Any]], **keys: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    task = {"primary_metric": ["accuracy", "test"], "arms": list(ARMS), "seeds": [0, 1], **keys}
    sweep = {"name": "s", "command": "c", "created": "t", "tasks": {"t": task}, "trials": trials}
    (path / "sweep.json").write_text(json.dumps(sweep))
    return path


def trial(run_id: str, arm: str = "a", seed: int = 0, skip: str | None = None) -> dict[str, Any]:
    return {"run_id": run_id, "task": "t", "arm": arm, "seed": seed, "skip": skip}


def test_a_folder_of_version_0_1_names_the_primary_metric_otherwise(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [])
    text = (folder / "sweep.json").read_text()
    (folder / "sweep.json").write_text(text.replace("primary_metric", "headline"))
    assert read_sweep(folder).tasks["t"].primary_metric == ("accuracy", "test")


def write_run(path: Path, run_id: str, text: str | bytes, state: str = "complete") -> Path:
    folder = path / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "status.json").write_text(json.dumps({"state": state, "step": 1, "total": 2}))
    return folder


def line(run_id: str, value: float | None = 1.0, step: int = 1, **keys: Any) -> str:
    row = {"run_id": run_id, "step": step, "frames": 0, "wall_s": 0.5, "metric": "loss"}
    return json.dumps({**row, "layer": "", "value": value, **keys}) + "\n"


def test_rows_come_with_task_arm_seed_and_state_in_the_order_of_the_sweep(tmp_path: Path) -> None:
    write_sweep(tmp_path, [trial("r1", "a", 1), trial("r0", "b", 0)])
    write_run(tmp_path, "r0", line("r0", 2.0), state="failed")
    write_run(tmp_path, "r1", line("r1", 1.0, step=1) + line("r1", 0.5, step=2))
    table = suite.load_results(tmp_path)
    assert tuple(table.columns) == TABLE_COLUMNS
    assert table["arm"].tolist() == ["a", "a", "b"]
    assert table["arm"].cat.categories.tolist() == ["b", "a"]  # the order of the sweep
    assert table["seed"].tolist() == [1, 1, 0]
    assert table["state"].tolist() == ["complete", "complete", "failed"]
    assert table["value"].tolist() == [1.0, 0.5, 2.0]
    kinds = {name: table[name].dtype.name for name in TABLE_COLUMNS}
    assert {kinds[name] for name in ("seed", "step", "frames")} == {"int64"}
    assert {kinds[name] for name in ("wall_s", "value")} == {"float64"}
    categorical = ("task", "arm", "state", "run_id", "metric", "layer")
    assert {kinds[name] for name in categorical} == {"category"}


def test_values_are_read_to_the_last_bit_and_null_is_nan(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 1e-300, -2.5e17, 3.0]
    rows = [Row(i, 4 * i, i / 7, "m", "layer", v) for i, v in enumerate([*values, float("nan")])]
    text = "".join(json.dumps(row.as_json("r")) + "\n" for row in rows)
    write_sweep(tmp_path, [trial("r")])
    write_run(tmp_path, "r", text)
    table = load_results(tmp_path)
    assert table["value"].tolist()[:-1] == values
    assert np.isnan(table["value"].iloc[-1])
    assert table["wall_s"].tolist() == [row.wall_s for row in rows]


def test_infinite_values_are_null_and_those_of_older_versions_are_read(tmp_path: Path) -> None:
    """JSON has no infinity; older versions wrote the bare word all the same."""
    rows = [Row(0, 0, 0.0, "m", "", value) for value in (float("inf"), -float("inf"))]
    assert [row.as_json("r")["value"] for row in rows] == [None, None]
    old = line("r", float("inf")) + line("r", float("nan")) + line("r", -float("inf"))
    write_sweep(tmp_path, [trial("r")])
    write_run(tmp_path, "r", old)
    values = load_results(tmp_path)["value"].tolist()
    assert values[0] == float("inf")
    assert np.isnan(values[1])
    assert values[2] == -float("inf")


def test_columns_that_hold_only_nulls_or_whole_numbers_keep_their_types(tmp_path: Path) -> None:
    write_sweep(tmp_path, [trial("r0"), trial("r1", seed=1)])
    write_run(tmp_path, "r0", line("r0", None) * 2)
    write_run(tmp_path, "r1", line("r1", 3, wall_s=1))
    table = load_results(tmp_path)
    assert table["value"].dtype == np.float64
    assert table["value"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("torn", ['{"run_id": "r", "st', "{", line("r").rstrip("\n")])
def test_a_torn_last_line_is_ignored(tmp_path: Path, torn: str) -> None:
    write_sweep(tmp_path, [trial("r"), trial("q", seed=1)])
    write_run(tmp_path, "r", line("r") + torn)
    write_run(tmp_path, "q", torn)
    assert load_results(tmp_path)["run_id"].tolist() == ["r"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_cut_anywhere_gives_its_complete_lines(tmp_path: Path, data: st.DataObject) -> None:
    text = "".join(line("r", value, step) for step, value in enumerate([1.0, None, 0.25, 7.0]))
    cut = data.draw(st.integers(0, len(text)))
    folder = tmp_path / str(cut)
    if not folder.exists():
        write_sweep(folder, [trial("r")])
        write_run(folder, "r", text[:cut])
    assert load_results(folder)["step"].tolist() == list(range(text[:cut].count("\n")))


@pytest.mark.parametrize("broken", ["{]\n", '{"run_id": "r"}\n', "3\n", line("r", step=None)])  # type: ignore[arg-type]
def test_a_broken_line_is_left_out_with_a_warning_that_names_it(
    tmp_path: Path, broken: str
) -> None:
    write_sweep(tmp_path, [trial("r"), trial("q", seed=1)])
    write_run(tmp_path, "r", line("r", 1.0) + broken + line("r", 2.0))
    write_run(tmp_path, "q", line("q", 3.0))
    with pytest.warns(UserWarning, match=r"r/rows\.jsonl: line 2 is not a row"):
        table = load_results(tmp_path)
    assert table["value"].tolist() == [1.0, 2.0, 3.0]


def test_missing_and_empty_files_are_runs_without_rows(tmp_path: Path) -> None:
    trials = [
        trial("none"),
        trial("empty", seed=1),
        trial("blank", "b"),
        trial("skip", "b", 1, "x"),
    ]
    write_sweep(tmp_path, trials)
    table = load_results(tmp_path)
    assert tuple(table.columns) == TABLE_COLUMNS
    assert len(table) == 0
    write_run(tmp_path, "empty", "")
    write_run(tmp_path, "blank", "\n\n")
    assert len(load_results(tmp_path)) == 0


def test_one_run_may_stand_for_two_trials(tmp_path: Path) -> None:
    write_sweep(tmp_path, [trial("r", "a"), trial("r", "b")])
    write_run(tmp_path, "r", line("r", 1.0) + line("r", 2.0))
    table = load_results(tmp_path)
    assert table["arm"].tolist() == ["a", "a", "b", "b"]
    assert table["value"].tolist() == [1.0, 2.0, 1.0, 2.0]


def test_metrics_can_be_chosen(tmp_path: Path) -> None:
    write_sweep(tmp_path, [trial("r")])
    write_run(tmp_path, "r", line("r") + line("r", metric="accuracy") + line("r", metric="x"))
    assert load_results(tmp_path, ["accuracy", "x"])["metric"].tolist() == ["accuracy", "x"]
    assert len(load_results(tmp_path, ["alarm"])) == 0  # there need not be any
    assert len(read_results(tmp_path, ["nothing"])) == 0
    for name, found in (("alarms", "'alarm'"), ("acuracy", "'accuracy'")):
        with pytest.raises(ConfigError, match=f"metrics: got {name!r}; expected {found} "):
            load_results(tmp_path, ["accuracy", name])


def test_small_batches_give_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sweep(tmp_path, [trial(f"r{i}", seed=i) for i in range(5)])
    for i in range(5):
        write_run(
            tmp_path, f"r{i}", "".join(line(f"r{i}", v, metric=f"m{v % 2}") for v in range(4))
        )
    whole = load_results(tmp_path)
    monkeypatch.setattr(rows_table, "_CHUNK", 300)
    assert load_results(tmp_path).astype(str).equals(whole.astype(str))


def test_status(tmp_path: Path) -> None:
    sweep_path = write_sweep(tmp_path, [trial("r"), trial("q", seed=1), trial("s", "b", 0, "why")])
    first, second, skipped = read_sweep(sweep_path).trials
    assert status_of(tmp_path, skipped).state == "skipped"
    assert status_of(tmp_path, skipped).reason == "why"
    assert status_of(tmp_path, first).state == "not started"
    folder = write_run(tmp_path, "r", "")
    assert (status_of(tmp_path, first).step, status_of(tmp_path, first).total) == (1, 2)
    (folder / "status.json").write_text('{"state": "comp')
    assert status_of(tmp_path, first).state == "running"
    (folder / "status.json").unlink()
    assert status_of(tmp_path, first).state == "running"
    assert status_of(tmp_path, second).state == "not started"


def test_config_and_provenance_that_cannot_be_read_are_empty(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    assert read_config(tmp_path, "r") == {}
    assert reader.read_provenance(tmp_path, "r") == {}
    (folder / "config.yaml").write_text("a: [")
    (folder / "provenance.json").write_text("[1]")
    assert read_config(tmp_path, "r") == {}
    assert reader.read_provenance(tmp_path, "r") == {}
    (folder / "config.yaml").write_text(yaml.safe_dump({"budget": {"frames": 4}}))
    assert read_config(tmp_path, "r") == {"budget": {"frames": 4}}


def test_a_folder_that_holds_no_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder") as error:
        load_results(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(error.value)
    with pytest.raises(ConfigError, match=r"it has no sweep\.json"):
        load_results(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(ConfigError, match="readable JSON"):
        load_results(tmp_path)
    (tmp_path / "sweep.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"sweep\.json"):
        load_results(tmp_path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"arms": "a"}, "tasks.t.arms"),
        ({"x": "epochs"}, "tasks.t.x"),
        ({"reference": {"a": "c"}}, "only arms of the task, not c"),
        ({"gap_to": "z"}, "only arms of the task, not z"),
        ({"primary_metric": ["accuracy"]}, "tasks.t.primary_metric"),
    ],
)
def test_a_fault_of_the_sweep_file_is_named(
    tmp_path: Path, keys: dict[str, Any], words: str
) -> None:
    write_sweep(tmp_path, [], **keys)
    with pytest.raises(ConfigError) as error:
        read_sweep(tmp_path)
    assert words in str(error.value)
    assert "sweep.json" in str(error.value)


def test_a_trial_of_an_unknown_arm_is_named(tmp_path: Path) -> None:
    write_sweep(tmp_path, [trial("r", arm="c")])
    with pytest.raises(ConfigError, match="t/c"):
        read_sweep(tmp_path)


def test_keys_of_later_versions_are_ignored(tmp_path: Path) -> None:
    write_sweep(tmp_path, [trial("r") | {"later": 1}], later=2)
    write_run(tmp_path, "r", line("r", later=[3]))
    assert len(load_results(tmp_path)) == 1
