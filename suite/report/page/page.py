"""The report as one self-contained page: no network, no scripts, no other file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from suite.records.layout import MLFLOW, mlflow_uri
from suite.records.reader import SweepRecord
from suite.report.page.budget import budget_line
from suite.report.page.incidents import incidents
from suite.report.page.provenance import disagreements, provenance_table
from suite.report.page.streams import stream_tables
from suite.report.page.tables import cells, columns, title
from suite.report.page.wording import (
    HOW_TO_READ,
    NO_INTERVAL,
    impossible,
    question,
    reading,
    troubles,
    verdict,
)
from suite.report.statistics import games
from suite.report.statistics.games import GamesResult
from suite.report.statistics.summary import TaskResult
from suite.text.terminal import visible

QUESTION = (
    "Does it help to control the effective learning rate (ELR, the size of an update relative to "
    "the size of the parameters) when the learning problem changes?"
)
_SHOWN_VERDICTS = {
    "higher": "higher",
    "lower": "lower",
    "includes 0": "interval includes 0",
    "no spread": "same difference on every seed",
    "no interval": NO_INTERVAL,
    "none": "",
}


def _projects(config: Mapping[str, Any]) -> bool:
    """Return whether a run pins norms, so that its rate is an effective one."""
    return any(member.get("kind") == "nap" for member in config.get("interventions", ()))


@dataclass(frozen=True)
class Drawing:
    """A figure as the page shows it.

    Attributes:
        task: label of its task, None for a figure over several tasks.
        svg: element to put into the page.
        caption: what it shows.
        files: its files, relative to the report's folder.
        group: label of the group of games that it is over, if it is over one.
    """

    task: str | None
    svg: str
    caption: str
    files: tuple[str, ...]
    group: str | None = None


def render_page(
    sweep: SweepRecord,
    tasks: Sequence[TaskResult],
    groups: Sequence[GamesResult],
    drawings: Sequence[Drawing],
    rows: pd.DataFrame,
    configs: Mapping[str, Mapping[str, Any]],
    provenances: Sequence[Mapping[str, Any]],
    root: Path,
) -> str:
    """Return the text of ``report.html``.

    Args:
        sweep: what was asked.
        tasks: results of all tasks.
        groups: games taken together.
        drawings: figures.
        rows: as `suite.records.reader.load_results` returns them.
        configs: contents of ``config.yaml`` by run id.
        provenances: contents of the runs' ``provenance.json``.
        root: the results folder, absolute.
    """
    return template("template.html").render(
        name=sweep.name,
        question=QUESTION if any(map(_projects, configs.values())) else "",
        counts=_counts(tasks),
        unfinished=sum(
            run.status.state in ("running", "not started") for task in tasks for run in task.runs
        ),
        summaries=[_drawing(d) for d in drawings if d.task is None and d.group is None],
        groups=[
            {"id": f"games-{number}", **_group(group, drawings)}
            for number, group in enumerate(groups, start=1)
        ],
        tasks=[
            {"id": f"task-{number}", **_task(task, drawings, rows, configs)}
            for number, task in enumerate(tasks, start=1)
        ],
        how_to_read=HOW_TO_READ,
        provenance=provenance_table(sweep, provenances),
        disagreements=disagreements(provenances),
        mlflow=mlflow_command(root),
        has_mlflow=(root / MLFLOW).exists(),
        root=str(root),
    )


def template(name: str) -> Template:
    """Return the template of a page, of the report or of the board of claims."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("suite.report", room) for room in ("page", "claims")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = _minus
    return environment.get_template(name)


def _group(group: GamesResult, drawings: Sequence[Drawing]) -> dict[str, Any]:
    """Return what the template shows of one group of games."""
    return {
        "name": group.name,
        "title": games.heading(group),
        "columns": [_interval(name) for name in games.HEADINGS],
        "lines": games.lines(group),
        "notes": games.notes(group),
        "drawings": [_drawing(d) for d in drawings if d.group == group.label],
    }


def _interval(heading: str) -> str:
    return heading.replace("[95%]", "[95% interval]")


def mlflow_command(root: Path) -> str:
    """Return the command that opens the comparison of runs in MLflow."""
    return f"mlflow ui --backend-store-uri {shlex.quote(mlflow_uri(root))}"


def _task(
    task: TaskResult,
    drawings: Sequence[Drawing],
    rows: pd.DataFrame,
    configs: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what the template shows of one task."""
    lead, clauses = reading(task)
    verdicts = [_SHOWN_VERDICTS[verdict(arm.difference)] for arm in task.arms]
    return {
        "label": task.label,
        "title": title(task),
        "question": question(task),
        "lead": lead,
        "clauses": clauses,
        "columns": [_interval(name) for name in columns(task)],
        "lines": [
            {"cells": cells(task, arm), "verdict": words, "reference": arm.label in task.references}
            for arm, words in zip(task.arms, verdicts, strict=True)
        ],
        "compared": bool(task.references),
        "budget": " ".join(filter(None, (budget_line(task, configs), impossible(task)))),
        "notes": task.record.notes,
        "troubles": troubles(task),
        "incidents": incidents(task, rows),
        "streams": stream_tables(task, rows, configs),
        "drawings": [_drawing(d) for d in drawings if d.task == task.label],
    }


def _drawing(drawing: Drawing) -> dict[str, Any]:
    return {
        "svg": Markup(drawing.svg),  # made by this package, labels escaped by matplotlib
        "caption": drawing.caption,
        "files": drawing.files,
    }


def _counts(tasks: Sequence[TaskResult]) -> str:
    """Return for instance ``4 tasks, 49 runs: 48 complete, 1 diverged``."""
    runs = [run for task in tasks for run in task.runs]
    states = dict.fromkeys(run.status.state for run in runs)
    parts = [f"{sum(run.status.state == state for run in runs)} {state}" for state in states]
    plural = ("task" if len(tasks) == 1 else "tasks", "run" if len(runs) == 1 else "runs")
    counted = f"{len(tasks)} {plural[0]}, {len(runs)} {plural[1]}"
    return f"{counted}: {', '.join(parts)}" if parts else counted


def _shown(value: Any) -> Any:
    """Return what a page shows of a value: text without direction characters; markup unchanged."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _minus(text: str) -> str:
    """Return text with true minus signs before numbers."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "\N{MINUS SIGN}", text)
