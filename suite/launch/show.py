"""Building the report of a results folder and printing its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from suite.launch.progress import say
from suite.records import layout
from suite.records.storage import Storage


def fetch_all(storage: Storage) -> None:
    """Fetch the rows of all runs from a remote results folder, without checkpoints."""
    if not storage.remote:
        return
    storage.pull(layout.SWEEP)
    record = json.loads((storage.root / layout.SWEEP).read_text(encoding="utf-8"))
    for run_id in {trial["run_id"] for trial in record["trials"]}:
        for name in (layout.STATUS, layout.ROWS, layout.CONFIG, layout.PROVENANCE):
            storage.pull(f"{layout.RUNS}/{run_id}/{name}")


def show_report(results: Path, console: Console) -> dict[str, Any]:
    """Build the report, print the table and where things lie; return the summary."""
    from suite.report.build import build_report

    report = build_report(results)
    for table in report.tables:
        console.print(table)
    say(console, f"Report: {report.html}")
    return report.summary
