"""Results folders from strangers: read, refused in one message, or left out with a warning."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from suite.errors import ConfigError
from suite.records import run_folder
from suite.records.json_file import dumps, loads, read_json
from suite.records.reader import (
    load_results,
    read_config,
    read_provenance,
    read_sweep,
    status_of,
)
from suite.records.rows_file import RowsFile
from suite.sweeps.labels import MOST_TRIALS

NESTED: Any = []
for _ in range(400):
    NESTED = [NESTED]


def _sweep(path: Path, trials: list[dict[str, Any]] | None = None, **keys: Any) -> Path:
    trials = [_trial()] if trials is None else trials
    task = {"primary_metric": ["accuracy", "test"], "arms": ["a", "b"], "seeds": [0]}
    content = {"name": "s", "tasks": {"t": task}, "trials": trials, **keys}
    (path / "runs" / "r").mkdir(parents=True, exist_ok=True)
    (path / "sweep.json").write_text(json.dumps(content))
    return path


def _trial(**keys: Any) -> dict[str, Any]:
    return {"run_id": "r", "task": "t", "arm": "a", "seed": 0, "skip": None, **keys}


def _row(**keys: Any) -> str:
    row = {"run_id": "r", "step": 1, "frames": 0, "wall_s": 0.5, "metric": "m", "layer": ""}
    return json.dumps({**row, "value": 1.0, **keys})


@pytest.mark.parametrize(
    "run_id",
    [
        "../x",
        "..",
        ".",
        "",
        "/etc",
        "a/b",
        "a\\b",
        "a/../../b",
        "a\nb",
        "\x1b",
        "-x",
        " a",
        "a" * 300,
        *("\u202ea", "runs\0", "é", ".hidden", 5, None, ["r"]),
    ],
)
def test_ids_of_runs_name_a_folder_and_nothing_else(tmp_path: Path, run_id: Any) -> None:
    _sweep(tmp_path, [_trial(run_id=run_id)])
    with pytest.raises(ConfigError) as caught:
        read_sweep(tmp_path)
    assert caught.value.key.endswith("sweep.json: trials.0.run_id")


@pytest.mark.parametrize("run_id", ["0123456789ab", "sums-a_0.5,nap=1+x"])
def test_ids_that_do_are_taken(tmp_path: Path, run_id: str) -> None:
    assert read_sweep(_sweep(tmp_path, [_trial(run_id=run_id)])).trials[0].run_id == run_id


def _many(path: Path, trials: int) -> None:
    _sweep(path, [_trial(run_id=f"r{i}", seed=i) for i in range(trials)])


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SWEEPS: dict[str, Any] = {
    "nested": lambda p: (p / "sweep.json").write_text("[" * 1_000_000),
    "nested objects": lambda p: (p / "sweep.json").write_text('{"a":' * 100_000),
    "nested value": lambda p: _sweep(p, notes=NESTED, tasks=NESTED),
    "no text": lambda p: (p / "sweep.json").write_bytes(b"\xff\xfe{"),
    "huge number": lambda p: (p / "sweep.json").write_text('{"name": ' + "9" * 5000 + "}"),
    "null": lambda p: (p / "sweep.json").write_text("null"),
    "a device": lambda p: ((p / "sweep.json").unlink(), (p / "sweep.json").symlink_to("/dev/zero")),
    "a pipe": lambda p: _pipe(p / "sweep.json"),
    "a folder": lambda p: ((p / "sweep.json").unlink(), (p / "sweep.json").mkdir()),
    "without end": lambda p: os.truncate(p / "sweep.json", 1 << 34),
    "a seed beyond": lambda p: _sweep(p, [_trial(seed=10**30)]),
    "a seed not a number": lambda p: _sweep(p, [_trial(seed=float("nan"))]),
    "a trial twice": lambda p: _sweep(p, [_trial(), _trial(run_id="q")]),
    "a run of two seeds": lambda p: _sweep(p, [_trial(), _trial(seed=1)]),
    "a label without end": lambda p: _sweep(p, [_trial(arm="a" * 10_000)]),
    "arms alike once shown": lambda p: _sweep(
        p, tasks={"t": {"primary_metric": ["x", ""], "arms": ["\x1b", "\\x1b"]}}
    ),
    "an arm twice": lambda p: _sweep(
        p, tasks={"t": {"primary_metric": ["x", ""], "arms": ["a", "a"]}}
    ),
    "a gap to a list": lambda p: _sweep(
        p, tasks={"t": {"primary_metric": ["x", ""], "arms": [["a"]], "gap_to": 1}}
    ),
    "too many trials": lambda p: _many(p, MOST_TRIALS + 1),
    "a million arms": lambda p: _sweep(
        p, tasks={"t": {"primary_metric": ["x", ""], "arms": list(map(str, range(1_000_000)))}}
    ),
}


@pytest.mark.parametrize("kind", SWEEPS)
def test_a_sweep_that_is_none_is_one_message(tmp_path: Path, kind: str) -> None:
    _sweep(tmp_path)
    SWEEPS[kind](tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_results(tmp_path)
    assert "sweep.json" in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_labels_are_shown_not_obeyed(tmp_path: Path) -> None:
    _sweep(
        tmp_path, tasks={"t": {"primary_metric": ["m", "\x07"], "arms": ["a\x1b[2J"]}}, trials=[]
    )
    task = read_sweep(tmp_path).tasks["t"]
    assert task.arms == ("a\\x1b[2J",)
    assert task.primary_metric == ("m", "\\x07")


@pytest.mark.parametrize(
    "status",
    [
        "[]",
        "null",
        "NaN",
        '{"state": "won"}',
        "{" * 9000,
        '{"state": "complete", "step": -1}',
        "",
        '{"state": "complete", "wall_s": NaN}',
        '{"state": "complete", "wall_s": Infinity}',
        '{"state": "complete", "step": 1e400}',
        '{"state": ["complete"]}',
    ],
)
def test_a_status_that_is_none_counts_as_running(tmp_path: Path, status: str) -> None:
    (trial,) = read_sweep(_sweep(tmp_path)).trials
    (tmp_path / "runs" / "r" / "status.json").write_text(status)
    found = status_of(tmp_path, trial)
    assert found.state == "running"
    assert "cannot be read" in found.reason


def test_a_reason_is_cut_and_shown(tmp_path: Path) -> None:
    (trial,) = read_sweep(_sweep(tmp_path)).trials
    status = {"state": "failed", "reason": "\x1b[2J" + "y" * 10**6}
    (tmp_path / "runs" / "r" / "status.json").write_text(json.dumps(status))
    reason = status_of(tmp_path, trial).reason
    assert reason.startswith("\\x1b[2Jyyy")
    assert len(reason) < 1100


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"b{i}: &b{i} {{<<: [{', '.join(['*' + ('a' if i == 0 else f'b{i - 1}')] * 9)}]}}\n"
    for i in range(9)
)
CONFIGS = {
    "alias bomb": BOMB,
    "merge bomb": MERGES,
    "endless": "a: &a [*a]",
    "nested": "a: " + "[" * 200_000,
    "nested mappings": "{a: " * 100_000,
    "code": "budget: !!python/object/apply:os.system [exit]",
    "huge number": "budget: " + "9" * 5000,
    "interventions": "interventions: 5",
    "intervention": "interventions: [nap]",
    "task": "task: [x]",
    "game": "task: {game: [a]}",
    "games": "task: {games: 5}",
    "stop": "stop: {above: x}",
    "budget": "budget: {steps: [1]}",
    "metrics": "metrics: 5",
    "no mapping": "- 1",
    "no text": "\0",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_that_is_none_is_empty(tmp_path: Path, kind: str) -> None:
    _sweep(tmp_path)
    (tmp_path / "runs" / "r" / "config.yaml").write_text(CONFIGS[kind])
    began = time.process_time()
    assert read_config(tmp_path, "r") == {}
    assert time.process_time() - began < 60  # bombs would take for ever


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        "null",
        '{"versions": 5}',
        '{"versions": {"a": []}}',
        '{"plugins": [1]}',
        "[" * 9999,
        '{"hardware": 5}',
        json.dumps({"x": NESTED}),
    ],
)
def test_a_provenance_that_is_none_is_empty(tmp_path: Path, text: str) -> None:
    _sweep(tmp_path)
    (tmp_path / "runs" / "r" / "provenance.json").write_text(text)
    assert read_provenance(tmp_path, "r") == {}


ROWS = {
    "null": "null",  # pyarrow 25 crashes at it
    "a list": "[null]",
    "two in a line": _row() + _row(),
    "one in two lines": _row().replace(", ", ",\n", 1),
    "of another run": _row(run_id="q"),
    "a nested value": _row(value=NESTED),
    "text": _row(value="1.0"),
    "true": _row(value=True),
    "a step beyond": _row(step=10**30),
    "a step before": _row(step=-1),
    "half a step": _row(step=1.5),
    "no time": _row(wall_s=None),
    "endless time": _row(wall_s=float("inf")),
    "a number for a name": _row(metric=5),
    "half a letter": _row(layer="\ud800"),
    "no text": "\xff\x00",
    "a long line": _row(layer="y" * (3 << 20)) + "x",
    "deep": '{"a":' * 100_000,
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("before", [0, 1, 100])
def test_what_is_no_row_of_the_run_is_left_out_with_a_warning(
    tmp_path: Path, kind: str, before: int
) -> None:
    _sweep(tmp_path, [_trial(), _trial(run_id="q", arm="b")])
    (tmp_path / "runs" / "q").mkdir()
    (tmp_path / "runs" / "q" / "rows.jsonl").write_text(_row(run_id="q", value=7.0) + "\n")
    text = (_row() + "\n") * before + ROWS[kind] + "\n" + (_row(value=2.0) + "\n")
    (tmp_path / "runs" / "r" / "rows.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = load_results(tmp_path)
    assert f"rows.jsonl: line {before + 1} is not a row; left out" in str(caught[0].message)
    assert table["value"].tolist() == [1.0] * before + [2.0, 7.0]
    assert table["arm"].tolist() == ["a"] * (before + 1) + ["b"]


def test_many_faults_are_few_warnings(tmp_path: Path) -> None:
    _sweep(tmp_path)
    text = "".join(f"{_row(step=i)}\nnull\n" for i in range(3000))
    (tmp_path / "runs" / "r" / "rows.jsonl").write_text(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = load_results(tmp_path)
    assert table["step"].tolist() == list(range(3000))
    said = [str(warning.message) for warning in caught]
    assert len(said) == 4
    assert "2,997 more lines are not rows" in said[-1]


@pytest.mark.parametrize("what", ["a pipe", "a device", "a folder"])
def test_rows_that_are_no_file_are_left_out(tmp_path: Path, what: str) -> None:
    rows = _sweep(tmp_path) / "runs" / "r" / "rows.jsonl"
    if what == "a pipe":
        os.mkfifo(rows)
    elif what == "a device":
        rows.symlink_to("/dev/zero")
    else:
        rows.mkdir()
    with pytest.warns(UserWarning, match=r"rows\.jsonl: not a file"):
        assert len(load_results(tmp_path)) == 0


def test_a_line_without_end_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from suite.records import rows_table

    monkeypatch.setattr(rows_table, "_CHUNK", 1000)
    _sweep(tmp_path)
    (tmp_path / "runs" / "r" / "rows.jsonl").write_text(_row() + "\n" + "x" * 5000)
    with pytest.warns(UserWarning, match="left out from line 2, which has no end"):
        assert load_results(tmp_path)["value"].tolist() == [1.0]


def test_json_is_strict_on_the_way_out_and_bounded_on_the_way_in(tmp_path: Path) -> None:
    text = dumps({"a": [float("nan"), (float("inf"), 1.5)], "b": -float("inf"), "c": True})
    assert text == '{"a": [null, [null, 1.5]], "b": null, "c": true}'
    wide = "[" + ",".join("[]" for _ in range(1000)) + "]"
    assert len(loads(wide)) == 1000
    with pytest.raises(ValueError, match="nested"):
        loads("[" * 100 + "]" * 100)
    (tmp_path / "x").write_text("[1, 2, 3]")
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_json(tmp_path / "x", most=4)


def test_overrides_are_read_from_the_file_and_in_older_ones_from_the_command(
    tmp_path: Path,
) -> None:
    command = "run_suite.py run s --set budget=6 '--set=seeds=[0, 1]'"
    assert read_sweep(_sweep(tmp_path, command=command)).overrides == ("budget=6", "seeds=[0, 1]")
    both = read_sweep(_sweep(tmp_path, command=command, overrides=["t:budget=7"]))
    assert both.overrides == ("t:budget=7",)
    assert read_sweep(_sweep(tmp_path, command=command, overrides=[])).overrides == ()
    with pytest.raises(ConfigError, match=re.escape("sweep.json: overrides")):
        read_sweep(_sweep(tmp_path, overrides="budget=6"))


def test_rows_are_not_written_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "notes.txt"
    mine.write_text("mine\n")
    (tmp_path / "rows.jsonl").symlink_to(mine)
    with pytest.raises(OSError, match="symbolic link"):
        RowsFile(tmp_path / "rows.jsonl", "r", 0)
    assert mine.read_text() == "mine\n"


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"state": "complete"},
        {"state": "running", "reason": ""},
        {"state": "done"},
        {"state": "complete", "reason": None, "step": 1},
        {"state": "complete", "reason": "", "step": "x"},
        {"state": [], "reason": "", "step": 1},
    ],
)
def test_a_status_that_is_none_is_none_to_a_sweep(tmp_path: Path, status: Any) -> None:
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert run_folder.read_status(tmp_path) is None
    run_folder.mark_failed(tmp_path, "died")
    found = run_folder.read_status(tmp_path)
    assert found is not None
    assert (found["state"], found["reason"], found["step"]) == ("failed", "died", 0)
