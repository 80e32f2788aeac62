"""The report's tables, for a terminal in colour and as plain text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from suite.atari.scores import REFERENCES
from suite.report.page.budget import budget_line
from suite.report.page.wording import (
    HOW_TO_READ,
    duration,
    impossible,
    interval,
    metric_label,
    reading,
    run_counts,
    task_decimals,
    troubles,
    verdict,
)
from suite.report.statistics import games
from suite.report.statistics.games import GamesResult
from suite.report.statistics.summary import ArmResult, TaskResult
from suite.text.terminal import SafeConsole

WIDTH = 120
"""Width of sentences in the plain text; tables may be wider."""
NARROW, ARM_WIDTH = 16, 44
"""Least and most characters of an arm's name before it is folded."""


def title(task: TaskResult) -> str:
    """Return the heading of a task's table: the task and its primary metric."""
    return f"{task.label}: {metric_label(*task.record.primary_metric, task.record.unit)}"


def columns(task: TaskResult) -> list[str]:
    """Return the headings of the columns of a task's table."""
    names = ["arm", "mean [95%]", "n"]
    if task.references:
        one = "reference" if len(task.references) == 1 else "its reference"
        names.append(f"minus {one} [95%]")
    if task.gap_arms:
        one = task.gap_arms[0] if len(task.gap_arms) == 1 else "its gap arm"
        names.append(f"minus {one} [95%]")
    if task.game in REFERENCES:
        names.append("human-normalised [95%]")
    return [*names, "complete", "time/run"]


def cells(task: TaskResult, arm: ArmResult) -> list[str]:
    """Return an arm's line of the table, in the order of `columns`; ASCII but for names."""
    places = task_decimals(task)
    line = [arm_name(task, arm), interval(arm.score, places), str(arm.score.n)]
    if task.references:
        line.append(interval(arm.difference, places, sign=True))
        line[-1] += f" to {arm.reference}" if len(task.references) > 1 and arm.reference else ""
    if task.gap_arms:
        line.append(interval(arm.gap, places, sign=True))
        line[-1] += f" to {arm.gap_to}" if len(task.gap_arms) > 1 and arm.gap_to else ""
    if (on_human_scale := games.normalised(task, arm)) is not None:
        line.append(interval(on_human_scale, 3))
    return [*line, run_counts(arm), _time(arm)]


def arm_name(task: TaskResult, arm: ArmResult) -> str:
    """Return the arm's label, marked if others are compared with it."""
    return f"{arm.label} (reference)" if arm.label in task.references else arm.label


def _time(arm: ArmResult) -> str:
    """Return the mean training time of an arm's complete runs."""
    times = [run.status.wall_s for run in arm.runs if run.status.state == "complete"]
    return duration(sum(times) / len(times)) if times else "-"


def task_table(task: TaskResult, *, stacked: bool = False) -> Table:
    """Return the table of one task.

    Args:
        task: the task.
        stacked: whether intervals stand below their means and times are left out, for narrow
            terminals.
    """
    table = Table(
        title=Text(title(task), "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=not stacked,
        padding=(0, 0) if stacked else (0, 1),
    )
    names = columns(task)[: -1 if stacked else None]
    for name in names:
        if name == "arm":
            table.add_column(name, overflow="fold", min_width=NARROW, max_width=ARM_WIDTH)
        elif "[95%]" in name or name == "n":
            heading = Text(name.replace(" [", "\n[") if stacked else name)
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(name)
    for arm in task.arms:
        line = [Text(_stack(cell) if stacked else cell) for cell in cells(task, arm)]
        line[0] = Text(arm_name(task, arm))
        if verdict(arm.difference) in ("higher", "lower"):
            line[3].stylize("bold")
        if arm.failed:
            line[-2].stylize("yellow")
        table.add_row(*line[: len(names)])
    return table


def _stack(cell: str) -> str:
    """Return a cell with its interval and its reference on separate lines."""
    return cell.replace(" [", "\n[").replace("] to ", "]\nto ")


def games_table(group: GamesResult, *, stacked: bool = False) -> Table:
    """Return the table of a group of games, stacked as `task_table` does it."""
    table = Table(
        title=Text(games.heading(group), "bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=not stacked,
        padding=(0, 0) if stacked else (0, 1),
    )
    for name in games.HEADINGS:
        if name == "arm":
            table.add_column(name, overflow="fold", min_width=NARROW, max_width=ARM_WIDTH)
        else:
            heading = Text(name.replace(" [", "\n[") if stacked else name)
            table.add_column(heading, justify="right", no_wrap=True)
    for line in games.lines(group):
        table.add_row(*(Text(_stack(cell) if stacked else cell) for cell in line))
    return table


class _Fitting:
    """A table, with intervals below means where the console is too narrow for one line.

    Args:
        make: returns the table, stacked or not.
    """

    def __init__(self, make: Callable[[bool], Table]) -> None:
        self.make = make

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.update(max_width=10_000)
        wide = self.make(False)
        fits = Measurement.get(console, free, wide).maximum <= options.max_width
        yield wide if fits else self.make(True)


def notes(task: TaskResult, configs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines under a task's table: reading, budget, notes, runs without a result."""
    lead, clauses = reading(task)
    lines = [f"{lead}{':' if clauses else '.'}"]
    lines += [f"  {words}: {'; '.join(arms)}" for words, arms in clauses]
    lines.append(budget_line(task, configs))
    if outside := impossible(task):
        lines.append(outside)
    if task.record.notes:
        lines.append(f"Note: {task.record.notes}")
    lines += [f"{who}: {state}: {reason}" for who, state, reason in troubles(task)]
    return lines


def _tables(
    tasks: Sequence[TaskResult],
    configs: Mapping[str, Mapping[str, Any]],
    groups: Sequence[GamesResult],
) -> list[tuple[Callable[[bool], Table], list[str]]]:
    """Return what makes each table, those of groups of games last, and its notes."""

    def of_task(task: TaskResult) -> Callable[[bool], Table]:
        return lambda stacked: task_table(task, stacked=stacked)

    def of_group(group: GamesResult) -> Callable[[bool], Table]:
        return lambda stacked: games_table(group, stacked=stacked)

    found = [(of_task(task), notes(task, configs)) for task in tasks]
    return [*found, *((of_group(group), games.notes(group)) for group in groups)]


def renderables(
    tasks: Sequence[TaskResult],
    configs: Mapping[str, Mapping[str, Any]],
    groups: Sequence[GamesResult] = (),
) -> tuple[RenderableType, ...]:
    """Return all tables, each with its notes, to be printed on a `rich.console.Console`.

    Args:
        tasks: results of all tasks.
        configs: contents of ``config.yaml`` by run id.
        groups: games taken together.
    """
    found = [
        Group(_Fitting(make), *map(_line, under), Text())
        for make, under in _tables(tasks, configs, groups)
    ]
    return (*found, Text(HOW_TO_READ, "dim"))


def plain_text(
    tasks: Sequence[TaskResult],
    configs: Mapping[str, Mapping[str, Any]],
    groups: Sequence[GamesResult] = (),
) -> str:
    """Return the same as plain text, in ASCII but for names, for files and narrow consoles."""
    out = io.StringIO()
    console = SafeConsole(
        file=out, width=10_000, color_system=None, force_terminal=False, legacy_windows=False
    )
    for make, under in _tables(tasks, configs, groups):
        table = make(False)
        table.box = box.ASCII2
        console.print(table)
        for line in under:
            console.print(_line(line), width=WIDTH)
        console.print()
    console.print(Text(HOW_TO_READ), width=WIDTH)
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _line(text: str) -> Padding:
    """Return a line of the notes; what begins with spaces stays indented where it is folded."""
    body = text.lstrip()
    return Padding(Text(body), (0, 0, 0, len(text) - len(body)), expand=False)
