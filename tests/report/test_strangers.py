"""Reports on strangers' folders: pages that run nothing, files that stay inside ``report/``."""

from __future__ import annotations

import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from suite.errors import ConfigError
from suite.launch.show_results import fetched
from suite.report.build import build_report
from suite.report.claims.board import judge_all, write_board
from suite.report.drawing.svg import inline

LABELS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]><svg onload=alert(1)>",
    "--><script src=//x></script><!--",
    "</style></svg></title><iframe srcdoc=x>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% include 'page.css' %}",
    'x id="y" href="#z" url(#w)',
    "&lt;script&gt;",
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and all text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.text += data

    def check(self) -> None:
        """Check that nothing in the page can run, load or send anything."""
        known = {
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "header",
            "main",
            "nav",
            "section",
        }
        known |= {
            "h1",
            "h2",
            "h3",
            "p",
            "ul",
            "li",
            "a",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
        }
        known |= {
            "th",
            "td",
            "small",
            "strong",
            "span",
            "code",
            "pre",
            "figure",
            "figcaption",
            "div",
        }
        known |= {"dl", "dt", "dd", "svg", "g", "defs", "path", "text", "tspan", "use", "clippath"}
        known |= {"rect"}
        assert {tag for tag, _ in self.tags} <= known
        for tag, attributes in self.tags:
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                assert name not in ("src", "srcdoc", "action", "formaction", "xmlns:x")
                if name in ("href", "xlink:href"):
                    assert value.startswith("#")
                assert "javascript:" not in value or name == "aria-label"
        metas = [a for t, a in self.tags if t == "meta"]
        (policy,) = [a["content"] for a in metas if a.get("http-equiv")]
        assert policy.startswith(POLICY)
        first = [t for t, _ in self.tags].index("style")
        assert first > [a.get("http-equiv") for _, a in self.tags].index("Content-Security-Policy")


def _hostile(writer: Any) -> Path:
    """Write a sweep in which everything that is shown is hostile."""
    for number, label in enumerate(LABELS):
        arms = [label, LABELS[number - 1]]
        writer.task(label, arms, unit=label, notes=label)
        for arm in arms:
            for seed in range(3):
                points = [(step, step / 20) for step in range(0, 11, 5)]
                refused = [(5, "checkpoint_refused", label, 1.0)]
                provenance = {"commit": label, "command": label, "versions": {label: label}}
                config = {"budget": 10, "task": {"kind": label, "game": label}}
                writer.run(
                    *(label, arm, seed, points),
                    extra=refused,
                    provenance={**provenance, "hardware": {"cpu": label}},
                    config=config,
                )
        writer.run(label, arms[0], 3, [], state="failed", reason=label)
        writer.run(label, arms[1], 3, skip=label)
    writer.name = "".join(LABELS)
    return Path(writer.finish())


def test_nothing_in_a_page_of_hostile_names_can_run(writer: Any) -> None:
    root = _hostile(writer)
    report = build_report(root)
    page = Page(report.html.read_text(encoding="utf-8"))
    page.check()
    for label in LABELS:
        assert label in page.text, label
    for file in report.figures:
        if file.suffix == ".svg":
            drawing = ElementTree.parse(file)
            tags = {element.tag.rpartition("}")[2] for element in drawing.iter()}
            assert not tags & {"script", "foreignObject", "image", "a", "animate", "set"}
    assert all(path.parent == report.folder / "figures" for path in report.figures)
    assert {what for _, _, what in report.incidents} == set(LABELS)
    paths = write_board(root, judge_all(root))
    Page(paths[1].read_text(encoding="utf-8")).check()


def test_the_board_of_hostile_notes_can_run_nothing(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, [(0, 0.1)])
    root = writer.finish()
    verdicts = judge_all(root)
    note = json.dumps("".join(LABELS))
    (root / "claims_notes.yaml").write_text(f"{verdicts[0].claim.id}: {note}\n")
    page = Page(write_board(root, verdicts)[1].read_text(encoding="utf-8"))
    page.check()
    assert "".join(LABELS) in page.text


def test_what_turns_words_round_is_spelt_out_in_pages_tables_and_figures(writer: Any) -> None:
    label = "a\u202eb\x1b[2Jc"
    writer.task(label, [label], notes=label)
    writer.run(label, label, 0, [(0, 0.1), (10, 0.2)], provenance={"command": label})
    writer.run(label, label, 1, [], state="failed", reason=label)
    report = build_report(writer.finish())
    for file in (report.html, report.folder / "table.txt", report.folder / "per_seed.csv"):
        text = file.read_text(encoding="utf-8")
        assert not re.search("[\u202e\x1b]", text), file.name
        assert "a\\u202eb\\x1b[2Jc" in text, file.name


def test_ids_in_labels_of_figures_stay_as_they_are() -> None:
    svg = '<svg x="1"><text id="t">an id="x" and url(#y)</text></svg>'
    assert 'id="name-t">an id="x" and url(#y)<' in inline(svg, "name", "d")


@pytest.mark.parametrize("what", ["report", "report/figures"])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_report_is_not_written_through_links(writer: Any, what: str, as_file: bool) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, [(0, 0.1), (10, 0.2)])
    root = writer.finish()
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "summary.svg").write_text("precious")
    place = root / what
    place.parent.mkdir(exist_ok=True)
    if as_file:
        place.write_text("precious")
    else:
        place.symlink_to(outside)
    with pytest.raises(ConfigError) as caught:
        build_report(root)
    assert str(place) in str(caught.value)
    assert [path.name for path in outside.iterdir()] == ["summary.svg"]
    assert (outside / "summary.svg").read_text() == "precious"
    if what == "report":
        with pytest.raises(ConfigError):
            write_board(root, judge_all(root))


def test_links_in_a_report_are_replaced_and_what_is_not_ours_stays(writer: Any) -> None:
    writer.task("t", ["a"]).run("t", "a", 0, [(0, 0.1), (10, 0.2)])
    root = writer.finish()
    figures = root / "report" / "figures"
    figures.mkdir(parents=True)
    precious = root.parent / "precious"
    precious.write_text("precious")
    for name in ("report.html", "summary.json", "table.txt", "figures/curves-t.svg"):
        (root / "report" / name).symlink_to(precious)
    (figures / "curves-link.png").symlink_to(precious)
    (figures / "photo.png").write_text("mine")
    (figures / "summary-2.png").write_text("of an earlier build")
    report = build_report(root)
    assert precious.read_text() == "precious"
    assert report.html.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    names = {path.name for path in figures.iterdir()}
    assert {"photo.png", "curves-link.png", "curves-t.svg"} <= names
    assert "summary-2.png" not in names


def test_a_long_name_is_a_file_name_all_the_same(writer: Any) -> None:
    long = "x" * 120
    for label in (long, f"{long}y", "a", "A", "a 2"):
        writer.task(label, ["a"]).run(label, "a", 0, [(0, 0.1), (10, 0.2)])
    figures = build_report(writer.finish()).figures
    assert len({file.name.lower() for file in figures}) == len(figures)
    assert max(len(file.name) for file in figures) < 120


@pytest.mark.parametrize("run_id", ["../../victim", "../../../victim/x", "/victim"])
def test_ids_in_a_sweep_elsewhere_delete_nothing_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_id: str
) -> None:
    remote, local = tmp_path / "remote", tmp_path / "local"
    remote.mkdir()
    local.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(local))
    trial = {"run_id": run_id, "task": "t", "arm": "a", "seed": 0}
    task = {"primary_metric": ["loss", ""], "arms": ["a"]}
    sweep = {"name": "s", "tasks": {"t": task}, "trials": [trial]}
    (remote / "sweep.json").write_text(json.dumps(sweep))
    for folder in (local / "rewarm-suite", local, tmp_path):
        (folder / "victim").mkdir(parents=True)
        for name in ("status.json", "rows.jsonl", "config.yaml"):
            (folder / "victim" / name).write_text("precious")
    with pytest.raises(ConfigError, match="run_id"):
        fetched(remote.as_uri())
    assert len(list(tmp_path.rglob("victim/*"))) == 9
