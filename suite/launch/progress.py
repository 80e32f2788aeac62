"""Progress: a live table on a terminal, otherwise one line from time to time."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time

from rich.console import Console
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from suite.launch.sweep_state import Live
from suite.text.terminal import SafeConsole, one_line

WIDE = 160
"""Columns of what is printed where there is no terminal."""

UNBROKEN = 5_000
"""The same of lists that other programs read: enough for every row."""

LINE_EVERY_S, LINE_AT_LEAST_S = 15.0, 60.0
"""Seconds between lines where there is no terminal: at least, and while no run begins or ends."""


def duration(seconds: float | None) -> str:
    """Return a duration for people.

    >>> duration(None), duration(65), duration(7300)
    ('?', '1:05', '2:01:40')
    """
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def make_console(columns: int = WIDE) -> Console:
    """Return a console on stdout: as wide as the terminal, or of so many columns elsewhere.

    Names and messages cannot control the terminal, and square brackets in them are no markup.
    """
    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    return SafeConsole(width=None if narrow else columns, markup=False)


def say(console: Console, text: str) -> None:
    """Print one line unchanged: no markup, no colours, no wrapping, so that it can be copied.

    Line ends and control characters are shown as escapes, because the text may come from files.
    """
    console.print(one_line(text), highlight=False, markup=False, soft_wrap=True)


class Progress:
    """Shows a `Live` sweep while inside."""

    def __init__(self, live: Live, console: Console) -> None:
        self.live, self.console = live, console
        self._screen: Screen | None = None
        self._line = 0.0
        self._counts: dict[str, int] = {}

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self._screen = Screen(self._table(), console=self.console, refresh_per_second=2)
            self._screen.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._screen is not None:
            self._screen.update(self._table(), refresh=True)
            self._screen.__exit__(None, None, None)
        else:
            self.update(force=True)

    def update(self, force: bool = False) -> None:
        """Redraw, or print a line if it is time."""
        if self._screen is not None:
            self._screen.update(self._table())
            return
        now = time.monotonic()
        counts = self.live.counts()
        pause = LINE_AT_LEAST_S if counts == self._counts else LINE_EVERY_S
        if not force and now - self._line < pause:
            return
        if not force or counts != self._counts:
            say(self.console, self._caption())
        self._line, self._counts = now, counts

    def _caption(self) -> str:
        counts = self.live.counts()
        total = len(self.live.runs)
        done = counts.get("complete", 0)
        elapsed = time.monotonic() - self.live.started
        share = sum(run.done for run in self.live.runs.values()) / max(1, total)
        parts = [f"{done}/{total} runs done ({share:.0%})", f"{counts.get('running', 0)} running"]
        parts += [f"{counts[s]} {s}" for s in ("diverged", "failed") if counts.get(s)]
        left = 0.0 if done == total else self.live.eta_s()
        return f"{', '.join(parts)}; {duration(elapsed)} so far, {duration(left)} to go"

    def _table(self) -> Table:
        table = Table(title=Text(self.live.sweep.name), caption=self._caption(), expand=False)
        table.add_column("task")
        table.add_column("arm")
        table.add_column("done", justify="right")
        table.add_column("primary metric so far", justify="right")
        groups: dict[tuple[str, str], list[str]] = {}
        for trial in self.live.sweep.trials:
            if trial.skip is None:
                groups.setdefault((trial.task, trial.arm), []).append(trial.run_id)
        shown = ""
        for (task, arm), ids in groups.items():
            runs = [self.live.runs[i] for i in ids]
            share = sum(run.done for run in runs) / len(runs)
            latest = [run.primary for run in runs if run.primary is not None]
            values = [value for value in latest if math.isfinite(value)]
            mean = f"{statistics.fmean(values):.4g}" if values else ""
            finished = sum(run.state == "complete" for run in runs)
            progress = f"{finished}/{len(runs)} ({share:.0%})"
            table.add_row(Text(task if task != shown else ""), Text(arm), progress, mean)
            shown = task
        return table
