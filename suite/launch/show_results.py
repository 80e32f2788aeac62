"""Builds the report of a results folder, or the board of claims, and prints its table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from rich.console import Console

from suite.errors import ConfigError, listing
from suite.launch.progress import say
from suite.records import layout
from suite.records.reader import read_sweep
from suite.records.storage import Storage

COMMITTED = ("figures", "claims.json")
"""What results that are kept for reading have instead of rows."""


def fetch_all(storage: Storage) -> None:
    """Fetch the rows of all runs from a remote results folder, without checkpoints."""
    if not storage.remote:
        return
    storage.pull(layout.SWEEP)
    for run_id in dict.fromkeys(trial.run_id for trial in read_sweep(storage.root).trials):
        for name in (layout.STATUS, layout.ROWS, layout.CONFIG, layout.PROVENANCE):
            storage.pull(f"{layout.RUNS}/{run_id}/{name}")


def fetched(directory: str) -> Storage:
    """Return a results folder, its rows fetched if it is remote.

    Raises:
        ConfigError: if it is not one.
    """
    storage = Storage(directory)
    storage.pull(layout.SWEEP)
    if not (storage.root / layout.SWEEP).is_file():
        wanted = "a results folder with a sweep.json"
        if any((storage.root / name).exists() for name in COMMITTED):
            wanted += "; this one has tables and figures of a sweep, but not the rows of its runs"
        raise ConfigError("DIR", directory, wanted)
    fetch_all(storage)
    return storage


def show_claims(directory: str, only: str, kept: Path | None, console: Console) -> None:
    """Judge the claims and print the board; write the complete board into the report folder.

    Args:
        directory: a results folder.
        only: glob over ids of claims.
        kept: an earlier board, whose verdicts are used for experiments without runs.
        console: where to print.
    """
    from suite.report.claims.board import NOTES, as_table, judge_all, write_board
    from suite.report.claims.kept import keep

    storage = fetched(directory)
    storage.pull(NOTES)
    verdicts = judge_all(storage.root, only)
    if kept is not None:
        verdicts, fates = keep(verdicts, kept)
        for name, fate in fates.items():
            if fate != "kept":
                say(console, f"Not kept: {name}: {fate}.")
    judged = [v for v in verdicts if v.verdict != "not run" or v.left_out]
    if only == "*" and not judged:
        names = listing(dict.fromkeys(v.claim.experiment for v in verdicts))
        say(console, f"No claim is about an experiment of this sweep. Claims are about {names}.")
        return
    console.print(as_table(judged if only == "*" else verdicts))
    if only == "*" and len(judged) < len(verdicts):
        others = len(verdicts) - len(judged)
        say(console, f"{others} claims are about experiments without runs in this folder.")
    if only != "*":
        say(console, "Nothing was written, because --only shows a part of the board.")
        return
    for path in write_board(storage.root, verdicts):
        say(console, str(path))
    storage.push(layout.REPORT)


def show_report(
    results: Path, console: Console, asked: Collection[tuple[str, str]] | None = None
) -> dict[str, Any]:
    """Build the report, print the table and the path of the page; return the summary.

    Args:
        results: a results folder.
        console: where to print.
        asked: task and arm of what was run, see `suite.report.build.build_report`.
    """
    from suite.report.build import build_report

    report = build_report(results, asked)
    for table in report.tables:
        console.print(table)
    for label, who, what in report.incidents:
        say(console, f"{label}, {who}: {what}")
    say(console, f"Report: {report.html}")
    return report.summary
