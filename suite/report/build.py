"""Builds the report (tables, figures and one page) from a results folder only."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from matplotlib.figure import Figure
from rich.console import RenderableType

from suite.errors import ConfigError
from suite.records.layout import REPORT
from suite.records.reader import (
    read_config,
    read_provenance,
    read_results,
    read_sweep,
    status_of,
)
from suite.records.storage import write_whole
from suite.report.drawing.empty import explain_empty
from suite.report.drawing.figures import arm_groups, caption, metrics_drawn, task_figure
from suite.report.drawing.forest import FOREST_CAPTION, forest_figure, pages
from suite.report.drawing.games_figure import CAPTION, games_figure
from suite.report.drawing.style import arm_styles, paper_style
from suite.report.drawing.svg import inline
from suite.report.experiment import SMALL, Ambiguous, NotMeasured, Results, Scale
from suite.report.page.incidents import INCIDENTS, incidents
from suite.report.page.page import Drawing, render_page
from suite.report.page.streams import STREAMS
from suite.report.page.tables import plain_text, renderables
from suite.report.published.base import PUBLISHED
from suite.report.published.data import Grid
from suite.report.published.render import render
from suite.report.statistics.games import (
    GamesResult,
    aggregate_json,
    as_aggregate,
    games_results,
    with_games,
)
from suite.report.statistics.late_scores import LATE_SCORES, late_scores_csv
from suite.report.statistics.stream_files import stream_files
from suite.report.statistics.summary import (
    ArmResult,
    TaskResult,
    as_summary,
    per_seed_csv,
    summarise,
    summary_json,
)
from suite.report.tasks_figure import CAPTION as TASKS_CAPTION
from suite.report.tasks_figure import tasks_grid
from suite.sweeps.labels import slug
from suite.text.terminal import visible

FIGURES = "figures"
SUMMARY = "summary"
"""Name of the figure over all tasks."""
AGGREGATE = "aggregate"
"""Name of the figures and of the file of games taken together."""
_OURS = re.compile(
    rf"(({SUMMARY}|{AGGREGATE})(-\d+)?|(curves|tasks|published)-[a-z0-9_-]+)\.(svg|png)"
    r"|(tasks|published)-[a-z0-9_-]+\.csv"
)
"""Names of figures that builds make."""
_SVG_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_PNG_METADATA = {"Software": None}


@dataclass(frozen=True)
class Report:
    """What was built.

    Attributes:
        folder: its path.
        html: ``report.html``.
        summary: contents of ``summary.json``, see `suite.report.statistics.summary.as_summary`.
        aggregate: contents of ``aggregate.json``, see
            `suite.report.statistics.games.as_aggregate`; empty for a sweep of fewer than two games.
        text: contents of ``table.txt``.
        figures: all figures, SVG and PNG, and the data of those that are grids, CSV.
        tables: the same as `text` for a `rich.console.Console`, to be printed one by one.
        tasks: the results themselves.
        incidents: task, run, and what happened to it that its score does not show.
    """

    folder: Path
    html: Path
    summary: dict[str, dict[str, dict[str, Any]]]
    aggregate: dict[str, Any]
    text: str
    figures: tuple[Path, ...]
    tables: tuple[RenderableType, ...]
    tasks: tuple[TaskResult, ...]
    incidents: tuple[tuple[str, str, str], ...]


def build_report(results: str | Path, asked: Collection[tuple[str, str]] | None = None) -> Report:
    """Build ``report/`` of a results folder from the rows so far.

    Writes ``report.html``, ``summary.json``, ``per_seed.csv``, ``table.txt``, for several Atari
    games ``aggregate.json``, for warm starts and triggers `suite.report.statistics.stream_files`,
    for runs that are evaluated often `suite.report.statistics.late_scores`, and the figures, each
    whole or not at all; the same results give the same bytes. Figures that an earlier build made
    and this one does not are removed; nothing else is, and nothing outside ``report/`` is touched,
    wherever links lead.

    Args:
        results: the results folder.
        asked: task and arm of the trials that were asked for; other arms without any result are
            left out of `Report.tables`. None for all.

    Raises:
        ConfigError: if it is not a results folder, or the report cannot be written into it.
    """
    root = Path(results).expanduser().resolve()
    sweep = read_sweep(root)
    statuses = {trial: status_of(root, trial) for trial in sweep.trials}
    run_ids = list(dict.fromkeys(t.run_id for t in sweep.trials if t.skip is None))
    found = {run_id: read_config(root, run_id) for run_id in run_ids}
    configs = {run_id: config for run_id, config in found.items() if config}
    provenances = [p for run_id in run_ids if (p := read_provenance(root, run_id))]
    rows = read_results(root, [*metrics_drawn(sweep.tasks.values()), *INCIDENTS, *STREAMS])
    tasks = with_games(summarise(sweep, statuses, rows), configs)
    groups = games_results(tasks, configs)

    folder = root / REPORT
    check_plain(folder, folder / FIGURES)
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
        drawings = _draw(tasks, groups, rows, configs, folder)
        write_whole(folder / "summary.json", summary_json(tasks).encode())
        write_whole(folder / "per_seed.csv", per_seed_csv(tasks).encode())
        if groups:
            write_whole(folder / f"{AGGREGATE}.json", aggregate_json(groups).encode())
        else:
            (folder / f"{AGGREGATE}.json").unlink(missing_ok=True)
        late = {LATE_SCORES: late_scores_csv(tasks, rows)}
        for name, lines in (stream_files(tasks, rows, configs) | late).items():
            if lines:
                write_whole(folder / name, lines.encode())
            else:
                (folder / name).unlink(missing_ok=True)
        text = visible(plain_text(tasks, configs, groups))
        write_whole(folder / "table.txt", text.encode())
        page = render_page(sweep, tasks, groups, drawings, rows, configs, provenances, root)
        write_whole(folder / "report.html", page.encode())
    except OSError as error:
        raise ConfigError("results", str(folder), f"a folder to write to ({error})") from None
    return Report(
        folder=folder,
        html=folder / "report.html",
        summary=as_summary(tasks),
        aggregate=as_aggregate(groups),
        text=text,
        figures=tuple(folder / file for drawing in drawings for file in drawing.files),
        tables=renderables(*_printed(tasks, groups, asked, configs)),
        tasks=tuple(tasks),
        incidents=tuple((t.label, *what) for t in tasks for what in incidents(t, rows)),
    )


def _printed(
    tasks: Sequence[TaskResult],
    groups: Sequence[GamesResult],
    asked: Collection[tuple[str, str]] | None,
    configs: Mapping[str, Mapping[str, Any]],
) -> tuple[list[TaskResult], Mapping[str, Mapping[str, Any]], list[GamesResult]]:
    """Return what `renderables` takes, without arms that were not asked for and have no result."""
    if asked is None:
        return list(tasks), configs, list(groups)
    kept = []
    for task in tasks:
        arms = tuple(
            arm
            for arm in task.arms
            if arm.score.n or arm.failed or (task.label, arm.label) in asked
        )
        if arms:
            kept.append(replace(task, arms=tuple(_among(arm, arms) for arm in arms)))
    labels = {task.label for task in kept}
    return kept, configs, [g for g in groups if labels & {task.label for task in g.tasks}]


def _among(arm: ArmResult, arms: Sequence[ArmResult]) -> ArmResult:
    """Return an arm without differences to arms that are left out."""
    there = {other.label for other in arms}
    if arm.reference not in there:
        arm = replace(arm, reference=None, difference=None)
    return arm if arm.gap_to in there else replace(arm, gap_to=None, gap=None)


def check_plain(*folders: Path) -> None:
    """Check that folders which are about to be written to are no links to elsewhere.

    Raises:
        ConfigError: naming one that is.
    """
    for folder in folders:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise ConfigError("results", str(folder), "a folder to write to, no link and no file")


def _draw(
    tasks: Sequence[TaskResult],
    groups: Sequence[GamesResult],
    rows: pd.DataFrame,
    configs: Mapping[str, Mapping[str, Any]],
    folder: Path,
) -> list[Drawing]:
    """Write all figures, SVG, PNG and data, and remove those of earlier builds."""
    styles = arm_styles(tasks)
    drawings = []
    with paper_style():
        for number, page in enumerate(pages(tasks), start=1):
            figure = forest_figure(page, styles)
            alt = f"Scores and paired differences of {', '.join(task.label for task in page)}."
            if figure is not None:
                drawings.append(
                    _save(figure, folder, _numbered(SUMMARY, number), None, alt, FOREST_CAPTION)
                )
        for number, group in enumerate(groups, start=1):
            look = {a.label: styles[group.tasks[0].label, a.label] for a in group.arms}
            figure = games_figure(group, look)
            alt = f"Human-normalised scores over {len(group.games)} {group.name}."
            if figure is not None:
                name = _numbered(AGGREGATE, number)
                drawings.append(_save(figure, folder, name, None, alt, CAPTION, group.label))
        names: set[str] = set()
        for task in tasks:
            log_x = _log_x(task, configs)
            of_task = rows[rows["task"] == task.label]
            for arms in arm_groups(task):
                look = {arm: styles[task.label, arm] for arm in arms}
                figure = task_figure(task, of_task, look, arms, log_x=log_x)
                if figure is None:
                    continue
                name = _unused(f"curves-{slug(task.label)}", names)
                alt = f"Learning curves of {task.label}, {', '.join(arms)}."
                words = caption(task, of_task, log_x=log_x)
                drawings.append(_save(figure, folder, name, task.label, alt, words))
                grid = tasks_grid(task, of_task, look, arms)
                if grid is not None:
                    name = f"tasks-{name.removeprefix('curves-')}"
                    alt = f"Online accuracy by task of {task.label}, {', '.join(arms)}."
                    drawn = render(grid)
                    drawings.append(
                        _save(drawn, folder, name, task.label, alt, TASKS_CAPTION, data=grid.csv())
                    )
        drawings += _published(folder)
    made = {folder / file for drawing in drawings for file in drawing.files}
    for old in (folder / FIGURES).iterdir():
        if old not in made and _OURS.fullmatch(old.name) and not old.is_symlink():
            old.unlink()
    return drawings


def _published(folder: Path) -> list[Drawing]:
    """Draw the published figures of the experiments in the folder."""
    results = Results(folder.parent)
    found = []
    for figure in PUBLISHED.entries().values():
        for scale in get_args(Scale):
            runs = results.experiment(figure.experiment, scale)
            if runs is None:
                continue
            try:
                shown = figure.of(runs)
            except (NotMeasured, Ambiguous):
                continue
            drawn = render(shown) if isinstance(shown, Grid) else shown
            data = shown.csv() if isinstance(shown, Grid) else None
            name = f"published-{slug(figure.name)}" + ("-small" if scale == "small" else "")
            alt = f"{figure.name}, drawn from the runs of this folder."
            task = f"{figure.experiment}{SMALL if scale == 'small' else ''}"
            found.append(_save(drawn, folder, name, task, alt, figure.caption, data=data))
    return found


def _save(
    figure: Figure,
    folder: Path,
    name: str,
    task: str | None,
    alt: str,
    words: str,
    group: str | None = None,
    data: str | None = None,
) -> Drawing:
    """Write one figure as SVG and PNG, and its data as CSV where there are any."""
    explain_empty(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # its layout is done; repeating it for each file is slow
    contents = []
    for kind, metadata in (("svg", _SVG_METADATA), ("png", _PNG_METADATA)):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        write_whole(folder / FIGURES / f"{name}.{kind}", buffer.getvalue())
        contents.append(buffer.getvalue())
    files = [f"{FIGURES}/{name}.svg", f"{FIGURES}/{name}.png"]
    if data is not None:
        files.append(f"{FIGURES}/{name}.csv")
        write_whole(folder / files[-1], data.encode())
    return Drawing(task, inline(contents[0].decode(), name, alt), words, tuple(files), group)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _unused(name: str, names: set[str]) -> str:
    """Return a name, with a number behind it if need be, that is not among `names`; add it."""
    found = next(n for i in count(1) if (n := _numbered(name, i)) not in names)
    names.add(found)
    return found


def _log_x(task: TaskResult, configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether all runs of a task were measured at log-spaced steps."""
    metrics = [
        configs[run.trial.run_id].get("metrics") for run in task.runs if run.trial.run_id in configs
    ]
    spacings = {m.get("spacing") if isinstance(m, Mapping) else None for m in metrics}
    return spacings == {"log"}
