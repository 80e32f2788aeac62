"""The board of claims: which verdicts it holds, and its three forms."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suite.errors import ConfigError
from suite.launch.show_results import show_claims
from suite.report.claims.base import CLAIMS, above, claim
from suite.report.claims.board import (
    as_records,
    as_table,
    counts,
    effect,
    judge_all,
    write_board,
)
from suite.report.claims.kept import keep

KEYS = {"id", "paper", "claim", "scale", "statistic", "threshold", "effect", "lo", "hi", "n"}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three claims, and no others."""
    CLAIMS.entries()
    monkeypatch.setattr(CLAIMS, "_entries", {})
    for name, experiment in (("paper.10", "paper_fig1"), ("paper.2", "paper_fig1")):
        claim(
            name,
            experiment=experiment,
            says="accuracy ends above a half & more",
            statistic="last accuracy",
            holds=above(0.5),
            source="Fig. 1",
        )(lambda seed: seed.track("a", "accuracy", "test").last)
    claim("other.1", experiment="nowhere", says="x", statistic="y", holds=above(0), source="z")(
        lambda seed: True
    )


@pytest.fixture
def folder(writer: Any, own: None) -> Path:
    writer.task("paper_fig1_small", ["a"], seeds=[0, 1, 2])
    for seed in range(3):
        writer.run("paper_fig1_small", "a", seed, [(0, 0.0), (10, 0.9 + seed / 100)])
    writer.finish()
    return Path(writer.path)


def test_each_claim_has_a_verdict_at_each_scale_that_was_run(folder: Path) -> None:
    verdicts = judge_all(folder)
    assert [(v.claim.id, v.scale, v.verdict) for v in verdicts] == [
        ("other.1", "published", "not run"),
        ("paper.2", "small", "holds"),
        ("paper.10", "small", "holds"),
    ]
    assert counts(verdicts) == "2 hold, 0 fail, 0 inconclusive, 1 not run"
    assert [v.claim.id for v in judge_all(folder, "other.*")] == ["other.1"]
    with pytest.raises(ConfigError, match="--only"):
        judge_all(folder, "nothing*")


def test_json_and_page_say_the_same(folder: Path) -> None:
    (folder / "claims_notes.yaml").write_text("paper.2: tried <twice>\n")
    paths = write_board(folder, judge_all(folder))
    records = json.loads(paths[0].read_text())
    assert all(KEYS | {"verdict"} <= set(record) for record in records)
    assert records == as_records(judge_all(folder))
    assert (records[1]["effect"], records[1]["threshold"]) == (pytest.approx(0.91), "> 0.5")
    assert (records[0]["effect"], records[0]["n"]) == (None, 0)
    page = paths[1].read_text()
    for text in ("paper.2", "half &amp; more", "0.91 [0.885, 0.935]", "tried &lt;twice&gt;"):
        assert text in page
    assert "src=" not in page, "the page needs nothing but itself"
    assert write_board(folder, judge_all(folder))[1].read_text() == page


@pytest.mark.parametrize("text", ["[1, 2]", "paper.2: 3", "paper.99: no such claim"])
def test_notes_that_are_wrong_are_refused(folder: Path, text: str) -> None:
    (folder / "claims_notes.yaml").write_text(text)
    with pytest.raises(ConfigError, match="claims_notes"):
        write_board(folder, judge_all(folder))
    assert not (folder / "report").exists()


def test_the_terminal_shows_effects(folder: Path) -> None:
    verdicts = judge_all(folder)
    assert effect(verdicts[0]) == "-"
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(as_table(verdicts))
    text = console.export_text()
    assert "0.91 [0.885, 0.935]" in text
    assert "not run" in text


def test_changed_experiments_are_marked(folder: Path) -> None:
    record = json.loads((folder / "sweep.json").read_text())
    command = (
        "run_suite.py run paper --set budget=600 --only 'a/*' '--set=task.x=[/nap]' "
        "--set 'seeds=[0, 1]' --set other:budget=5 --set 'paper*:task.y=1'"
    )
    (folder / "sweep.json").write_text(json.dumps(record | {"command": command}))
    verdicts = judge_all(folder)
    changed = ["budget=600", "paper*:task.y=1", "task.x=[/nap]"]
    assert as_records(verdicts)[1]["changed"] == changed
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(as_table(verdicts))
    text = console.export_text()
    assert "small*" in text
    assert "changed by budget=600, paper*:task.y=1, task.x=[/nap]" in text
    assert "budget=600" in write_board(folder, verdicts)[1].read_text()


def test_every_registered_claim_is_worded() -> None:
    for name, found in CLAIMS.entries().items():
        assert name == found.id
        assert found.says
        assert not found.says.endswith(".")
        assert all((found.statistic, found.source, found.experiment))


# An earlier board.


def _board(path: Path, **changes: Any) -> Path:
    record = {
        "id": "other.1",
        "claim": "x, as it was called",
        "scale": "small",
        "statistic": "y, as it was called",
        "threshold": str(above(0)),
        "source": "z",
        "effect": 0.5,
        "lo": 0.25,
        "hi": 0.75,
        "n": 8,
        "verdict": "holds",
    }
    path.write_text(json.dumps([{**record, **changes}]))
    return path


def test_verdicts_are_kept_where_nothing_was_run(folder: Path, tmp_path: Path) -> None:
    verdicts, fates = keep(judge_all(folder), _board(tmp_path / "old.json"))
    assert fates == {"other.1 (small)": "kept"}
    first, *others = verdicts
    assert (first.claim.id, first.scale, first.verdict, first.kept) == (
        *("other.1", "small", "holds"),
        True,
    )
    assert first.claim.statistic == "y, as it was called"
    assert [v.claim.id for v in others] == ["paper.2", "paper.10"]
    assert not any(v.kept for v in others)
    words = io.StringIO()
    Console(file=words, width=200).print(as_table(verdicts))
    assert "small+" in words.getvalue()
    assert "+ kept from an earlier board" in words.getvalue()
    json_, page = write_board(folder, verdicts)
    assert [r["kept"] for r in json.loads(json_.read_text())] == [True, False, False]
    assert "kept from an earlier board" in page.read_text()
    again, _ = keep(judge_all(folder), json_)  # a board that was kept may be kept once more
    assert [v.kept for v in again] == [True, False, False]


def test_what_was_run_is_not_replaced_and_other_scales_stand_beside_it(
    folder: Path, tmp_path: Path
) -> None:
    same = {"id": "paper.2", "threshold": str(above(0.5)), "effect": 0.1, "verdict": "fails"}
    verdicts, fates = keep(judge_all(folder), _board(tmp_path / "old.json", **same))
    assert fates == {}
    assert [v.verdict for v in verdicts if v.claim.id == "paper.2"] == ["holds"]
    other = _board(tmp_path / "other.json", **same, scale="published")
    verdicts, fates = keep(judge_all(folder), other)
    assert [(v.scale, v.verdict) for v in verdicts if v.claim.id == "paper.2"] == [
        ("published", "fails"),
        ("small", "holds"),
    ]


@pytest.mark.parametrize(
    ("changes", "fate"),
    [
        ({"threshold": "> 7"}, {"other.1 (small)": "another region"}),
        ({"id": "gone.1"}, {"gone.1 (small)": "no such claim"}),
        ({"verdict": "not run"}, {}),
    ],
)
def test_what_no_longer_applies_is_not_kept(
    folder: Path, tmp_path: Path, changes: dict[str, Any], fate: dict[str, str]
) -> None:
    verdicts, fates = keep(judge_all(folder), _board(tmp_path / "old.json", **changes))
    assert fates == fate
    assert not any(v.kept for v in verdicts)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"id": "x"}]', "[" * 9999])
def test_what_is_no_board_is_one_message(folder: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(ConfigError, match="--keep: got"):
        keep(judge_all(folder), tmp_path / "old.json")


def test_a_sweep_of_which_no_seed_is_complete_is_listed_with_what_it_lacks(writer: Any) -> None:
    writer.task("stopping_small-catch", ["never", "after_10"], seeds=[0])
    writer.run("stopping_small-catch", "never", 0, [(0, 0.1), (10, 0.5)])
    writer.run("stopping_small-catch", "after_10", 0, state="not started")
    printed = io.StringIO()
    show_claims(str(writer.finish()), "*", None, Console(file=printed, width=200))
    out = " ".join(printed.getvalue().split())
    assert "No claim is about" not in out
    assert "suite.stop_rules.1a" in out
    assert "lacks 1 of the arms of seed 0" in out
