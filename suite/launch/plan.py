"""The plan of a sweep: what would run, for how long and in how much memory."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from suite.launch.engines import engine_of
from suite.launch.estimate import (
    MEASURED_S,
    core_share,
    estimate_bytes,
    estimate_trials,
    side_by_side,
    sweep_seconds,
)
from suite.launch.progress import duration, say
from suite.run_config import RunConfig
from suite.sweeps.sweep import Sweep

BUSY = 0.7
"""Share of a core below which a plan says that the machine is busy."""


def print_plan(sweep: Sweep, slots: int, console: Console) -> None:
    """Print trials, skips and predictions.

    Args:
        sweep: what is planned.
        slots: how many cores run trials side by side.
        console: where to print.
    """
    table = Table(title=f"Plan of {sweep.name}")
    for column in ("task", "arm", "seeds", "updates", "predicted/run", "memory"):
        right = column not in ("task", "arm", "seeds")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    cells: dict[tuple[str, str], list[RunConfig]] = {}
    for trial in sweep.trials:
        if trial.skip is None:
            cells.setdefault((trial.task, trial.arm), []).append(trial.config)
    trials = estimate_trials(sweep.runs.values(), slots, MEASURED_S)
    costs = {run_id: seconds for trial in trials for run_id, seconds in trial.items()}
    at_once = {run_id: len(trial) for trial in trials for run_id in trial}
    for (task, arm), runs in cells.items():
        config = runs[-1]
        most = max(at_once[run.run_id] for run in runs)
        table.add_row(
            task,
            arm,
            ",".join(str(run.seed) for run in runs),
            f"{config.clock().total:,}",
            duration(costs[config.run_id]),
            f"{estimate_bytes(config, most) / 2**30:.1f} GiB",
        )
    console.print(table)
    for reason, labels in _skips(sweep).items():
        say(console, f"skipped: {reason}: {', '.join(labels)}")
    parted = {i: names for i, run in sweep.runs.items() if (names := engine_of(run).parted_by(run))}
    if parted:
        told = ", ".join(sorted({name for found in parted.values() for name in found}))
        say(
            console,
            f"{len(parted)} {'run is' if len(parted) == 1 else 'runs are'} trained alone, not side "
            f"by side, as plugins may keep state between calls: {told}. A metric that is a "
            "StatefulMetric and a part with side_by_side = True are not held back.",
        )
    wall = sweep_seconds(sweep.runs.values(), trials, slots, len({task for task, _ in cells}))
    plural = "" if len(costs) == 1 else "s"
    say(
        console,
        f"{len(costs)} run{plural}, {_core_time(sum(costs.values()))}, "
        f"about {duration(wall)} with {side_by_side(sweep.runs.values(), slots)} side by side, "
        "including start-up and report",
    )
    if (share := core_share()) < BUSY:
        say(
            console,
            f"This machine is busy: the plan got {share:.0%} of a core. On an idle machine "
            f"the sweep would take about {duration(round(wall * share))}.",
        )


def _core_time(seconds: float) -> str:
    """Return processor time for people.

    >>> _core_time(7), _core_time(9000)
    ('7 predicted core seconds', '2.50 predicted core hours')
    """
    hours, unit = seconds / 3600, "predicted core"
    return f"{seconds:.0f} {unit} seconds" if hours < 0.1 else f"{hours:.2f} {unit} hours"


def _skips(sweep: Sweep) -> dict[str, list[str]]:
    skips: dict[str, list[str]] = {}
    for trial in sweep.trials:
        if trial.skip is not None:
            skips.setdefault(trial.skip, []).append(trial.label)
    return skips
