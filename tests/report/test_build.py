from __future__ import annotations

import html.parser
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from rich.console import Console

from suite.errors import ConfigError
from suite.report.build import Report, build_report


class Page(html.parser.HTMLParser):
    """What a page refers to, its ids, and whether its tags are balanced."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.references += [
            v for k, v in attrs if v and k in ("href", "src", "xlink:href", "action", "data")
        ]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(v or "" for _, v in attrs))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_everything_is_written(report: Report) -> None:
    assert report.folder.name == "report"
    assert {p.name for p in report.folder.iterdir()} == {
        *("report.html", "summary.json", "per_seed.csv", "table.txt", "figures"),
        "warm_start.csv",
    }
    names = {p.name for p in (report.folder / "figures").iterdir()}
    stems = ("summary", "curves-sums", "curves-game")
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    assert {p.name for p in report.figures} == names
    assert json.loads((report.folder / "summary.json").read_text()) == report.summary
    assert (report.folder / "table.txt").read_text() == report.text
    assert report.html == report.folder / "report.html"


def test_the_page_needs_nothing_but_itself(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    page = Page(text)
    assert {ref[0] for ref in page.references} == {"#"}
    assert {ref[1:] for ref in page.references} <= set(page.ids)
    assert not re.search("https?:", text)
    assert "@import" not in text
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}


def test_ids_are_unique_and_figures_and_tables_are_accessible(report: Report) -> None:
    page = Page(report.html.read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    figures = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(figures) == 3
    assert all(f.get("role") == "img" and f.get("aria-label") for f in figures)
    scopes = [attrs.get("scope") for tag, attrs in page.tags if tag == "th"]
    assert set(scopes) == {"col", "row"}
    assert dict(page.tags)["html"] == {"lang": "en"}


def test_the_page_tells_what_is_known(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    for part in (
        *("2 tasks, 13 runs: 13 complete", "How does test accuracy differ from that of"),
        *("interval includes 0", "no interval: fewer than 3 seeds", "+0.300 [+0.300, +0.300]"),
        *("0123abc", "torch 2.9.1", "A processor, 2 cores, no GPU", "run_suite.py run sweep"),
        *("Budget: the same for every arm, 200 agent steps = 100 gradient steps.",),
        f"mlflow ui --backend-store-uri sqlite:///{report.folder.parent}/mlflow.db",
    ):
        assert part in text, part
    assert "not finished" not in text


def test_the_same_results_give_the_same_bytes_whatever_the_users_settings(results: Path) -> None:
    first = snapshot(build_report(results).folder)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": False, "svg.hashsalt": "other"}):
        assert snapshot(build_report(results).folder) == first  # over the earlier build
        assert matplotlib.rcParams["font.size"] == 20


def test_figures_of_earlier_builds_are_removed(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, state="not started")
    figures = writer.finish() / "report" / "figures"
    figures.mkdir(parents=True)
    (figures / "curves-gone.svg").write_text("old")
    (figures / "notes.txt").write_text("not a figure")
    build_report(writer.path)
    assert [path.name for path in figures.iterdir()] == ["notes.txt"]


def test_published_figures_have_their_data_beside_them(writer: Any) -> None:
    label = "lyu2024_fig2a_small"
    train = [(0, "accuracy", "train", 0.25), (10, "accuracy", "train", 1.0)]
    writer.task(label, ["a"]).run(label, "a", 4, [(0, 0.125), (10, 0.5)], extra=train)
    report = build_report(writer.finish())
    stem = "published-lyu2024_fig2a-small"
    figures = report.folder / "figures"
    assert {p.name for p in report.figures if p.name.startswith("published")} == {
        f"{stem}.{kind}" for kind in ("svg", "png", "csv")
    }
    assert f"<code>figures/{stem}.csv</code>" in report.html.read_text(encoding="utf-8")
    lines = (figures / f"{stem}.csv").read_text().splitlines()
    assert lines[0] == "panel,title,x_name,y_name,line,seed,x,y,bound"
    assert lines[1:] == [
        f"1,,gradient steps,accuracy,{split},4,{x:.1f},{y},"
        for split, values in (("training", (0.25, 1.0)), ("test", (0.125, 0.5)))
        for x, y in zip((0, 10), values, strict=True)
    ]
    (figures / "published-gone.csv").write_text("old")
    (figures / "curves-mine.csv").write_text("not ours")
    for run in (writer.path / "runs").iterdir():
        (run / "status.json").unlink()  # as if the run had not ended
    build_report(writer.path)
    left = {path.name for path in figures.iterdir()}
    assert "curves-mine.csv" in left
    assert not [name for name in left if name.startswith("published")]


def test_unfinished_sweeps_are_reported_as_such(writer: Any) -> None:
    writer.task("t", ["a", "b", "c"])
    writer.run("t", "a", 0, [(0, 0.1), (10, 0.5)], state="running")
    writer.run("t", "a", 1, state="not started")
    writer.run("t", "b", 0, [(0, 0.2)], state="diverged", reason="loss is nan at step 3")
    writer.run("t", "b", 1, [], state="failed", reason="out of memory")
    writer.run("t", "c", 0, skip="NaP needs <norm> layers")
    writer.task("u", ["a"]).run("u", "a", 0, state="not started")
    report = build_report(writer.finish())
    text = report.html.read_text(encoding="utf-8")
    for part in (
        *("3 runs are not finished", "No run is complete yet", "No run of this task has a result"),
        *("loss is nan at step 3", "out of memory", "NaP needs &lt;norm&gt; layers"),
        *("No measurements of this task yet", "This results folder has no MLflow store"),
    ):
        assert part in text, part
    assert report.summary["t"]["b"]["failed"] == 2
    assert [p.name for p in report.figures] == ["curves-t.svg", "curves-t.png"]
    Page(text)


def test_refilled_replays_and_lost_blocks_are_told_run_by_run(writer: Any) -> None:
    writer.task("t", ["a", "b"])
    refill, lost = (10, "replay_refill", "", 4000.0), (20, "lost_block", "runner 2", 1.0)
    points = [(0, 0.1), (30, 0.5)]
    writer.run("t", "a", 0, points, extra=[refill, (20, "replay_refill", "", 80.0)])
    writer.run("t", "a", 1, points)
    writer.run("t", "b", 0, points, extra=[lost])
    writer.run("t", "b", 1, points, extra=[refill, lost, lost, (25, "lost_block", "runner 1", 1.0)])
    writer.task("u", ["a"]).run("u", "a", 0, points)
    text = build_report(writer.finish()).html.read_text(encoding="utf-8")
    Page(text)
    assert re.findall("<li>(.*, seed .*)</li>", text) == [
        "a, seed 0: filled its replay again 2 times after a restore (4,080 agent steps)",
        "b, seed 0: lost 1 block with runner 2, which died",
        "b, seed 1: filled its replay again once after a restore (4,000 agent steps); "
        "lost 3 blocks with runner 1, runner 2, which died",
    ]
    assert text.count("Events during the runs") == 1


def test_a_sweep_without_any_run_folder(writer: Any) -> None:
    writer.task("t", ["a"])
    report = build_report(writer.finish())
    assert report.summary["t"]["a"]["n"] == 0
    assert report.figures == ()
    assert "not recorded" in report.html.read_text(encoding="utf-8")


def test_torn_rows_do_not_stop_a_report(results: Path) -> None:
    rows = next((results / "runs").glob("sums-same-*")) / "rows.jsonl"
    rows.write_text(rows.read_text() + '{"run_id": "sums-')
    assert build_report(results).summary["sums"]["same"]["n"] == 3


def test_names_are_shown_not_interpreted(writer: Any) -> None:
    writer.name = "<script>alert(1)</script>"
    arms = ["<b>bold</b> & $x$", "{{ jinja }}", "normal"]
    writer.task("../up & <i>away</i>", arms, notes="<u>note</u>")
    for arm in arms:
        writer.run("../up & <i>away</i>", arm, 0, [(0, 0.1), (10, 0.5)])
    report = build_report(writer.finish())
    text = report.html.read_text(encoding="utf-8")
    for raw in ("<script", "<b>bold", "<i>away", "<u>note"):
        assert raw not in text
    assert "{{ jinja }}" in text
    assert all(p.parent == report.folder / "figures" for p in report.figures)
    Page(text)


def test_tasks_with_like_names_have_figures_of_their_own(writer: Any) -> None:
    for label in ("a b", "a-b", "A b"):
        writer.task(label, ["x"]).run(label, "x", 0, [(0, 0.1), (10, 0.5)])
    report = build_report(writer.finish())
    assert len({p.name for p in report.figures if p.suffix == ".svg"}) == 4
    page = Page(report.html.read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))


def test_runs_of_different_origin_are_pointed_out(writer: Any) -> None:
    writer.task("t", ["a"])
    origins: list[dict[str, Any]] = [
        {"commit": "aaa", "versions": {"torch": "2.9.1"}},
        {"commit": "bbb", "dirty": True, "versions": {"torch": "2.9.0"}, "hardware": {"cpu": "B"}},
        {"commit": None, "versions": None, "hardware": None},
    ]
    for seed, origin in enumerate(origins):
        writer.run("t", "a", seed, [(1, 0.5)], provenance=origin)
    text = build_report(writer.finish()).html.read_text(encoding="utf-8")
    for part in (
        *("2 different commits", "A run was made from a source tree with uncommitted changes"),
        *("Versions differ between runs: torch", "2 kinds of hardware", "torch 2.9.1 and 2.9.0"),
    ):
        assert part in text, part


def test_log_spaced_measurements_have_a_log_axis(writer: Any) -> None:
    writer.task("t", ["a"])
    config = {"budget": 1000, "metrics": {"spacing": "log"}}
    writer.run("t", "a", 0, [(s, 0.1) for s in (0, 1, 10, 100, 1000)], config=config)
    text = build_report(writer.finish()).html.read_text(encoding="utf-8")
    assert "gradient steps on a log scale" in text
    assert "10³" in text


def test_what_is_no_results_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="results folder"):
        build_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written_is_a_clear_error(results: Path) -> None:
    (results / "report").write_text("in the way")
    with pytest.raises(ConfigError, match="a folder to write to"):
        build_report(results)


def test_the_report_needs_no_torch_and_no_windows(results: Path) -> None:
    code = f"""
import sys
from suite.report.build import Report, build_report
build_report({str(results)!r})
unwanted = ("torch", "ray", "mlflow", "matplotlib.pyplot")
found = [name for name in unwanted if name in sys.modules]
found += [n for n in sys.modules if n.startswith(("suite.training", "suite.launch", "suite.tasks"))]
assert not found, found
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("undrawn")
def test_arms_that_were_not_asked_for_and_have_no_result_are_not_printed(writer: Any) -> None:
    for task in ("one", "two", "three"):
        writer.task(task, ["constant", "low", "high"], gap_to="high")
    writer.run("three", "constant", 0, state="not started")
    writer.run("three", "low", 0, [(9, 0.6)])
    writer.run("three", "high", 0, state="not started")
    writer.run("one", "constant", 0, [(9, 0.5)])
    writer.run("one", "low", 0, [(9, 0.6)])
    writer.run("one", "high", 0, state="not started")
    for arm in ("constant", "low", "high"):
        writer.run("two", arm, 0, state="not started")
    root = writer.finish()

    def printed(asked: list[tuple[str, str]] | None) -> str:
        console = Console(width=200, record=True, file=io.StringIO())
        for table in build_report(root, asked).tables:
            console.print(table)
        return console.export_text()

    whole, part = printed(None), printed([("one", "low")])
    assert "two: test accuracy" in whole
    assert "Not known yet" in whole
    assert "two: test accuracy" not in part
    assert "Not known yet" not in part
    assert "high" not in part
    assert "constant (reference)" in part  # an earlier result
    assert "high" in (root / "report" / "table.txt").read_text()
    assert "two: test accuracy" in printed([("two", "low")])
    alone = printed([("three", "low")]).split("three: test accuracy")[1]
    assert "constant" not in alone
    assert "None of these arms is the reference of another" in alone
