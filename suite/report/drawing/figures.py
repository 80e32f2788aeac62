"""Figures: learning curves with the schedule and the measured effective rate under them.

One figure per task. Top panel: the primary metric, or the training return if the primary metric is
measured only at the end. It shows the mean over complete runs with its pointwise 95% interval; with
fewer than five runs, thin lines of single runs instead of the interval; with fewer than three, only
these lines. It is logarithmic if the metric's scale is. Below, on the same x axis: the learning
rate in force; the effective rate, measured (``|dW| / |W|`` of the latest update, heavy lines) and
nominal (``lr / |W|``, thin lines), geometric means over runs; and the change of the activation
pattern, if it was measured. Runs that are not complete are thin lines, with a cross at their end.
Triangles and thin vertical lines mark a trigger's alarms, dotted lines the starts of phases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from suite.ranges import ANY, MAGNITUDE, SHARE, Range
from suite.records.reader import TaskRecord
from suite.report.drawing.axes import X_COLUMNS, X_LABELS, count_axis, later_range, log_axis, within
from suite.report.drawing.curves import (
    FEWEST_OF_BAND,
    Curve,
    alike,
    curves,
    mean_curve,
    not_positive,
    thinned,
)
from suite.report.drawing.lines import APART, BROKEN, dashes, draw_runs, line
from suite.report.drawing.style import GREY, LEGEND_SIZE, WIDTH, ArmStyle, plain, text_width
from suite.report.page.wording import metric_label
from suite.report.statistics.statistics import FEWEST, Array
from suite.report.statistics.summary import TaskResult

LEARNING_RATE = ("learning_rate", "")
MEASURED = ("relative_update", "all")
NOMINAL = ("effective_lr", "all")
PATTERN = ("activation_pattern_change", "mean")
TRAINING_RETURN = ("mean_return_20", "")
EVENTS = ("alarm", "phase")
MOST_ARMS = 8
"""Most arms of one figure; a task with more gets several, each with the reference."""
MOST_PHASES = 12
"""Most phase starts that are drawn."""
MOST_ALARMS = 60
"""Most alarms of a figure with lines through its panels; of more only the triangles are drawn."""
CHARACTERS = 16
"""Characters of an axis label that fit an inch."""

Curves = dict[str, list[Curve]]


def metrics_drawn(tasks: Iterable[TaskRecord]) -> list[str]:
    """Return the names of all metrics that a report of these tasks reads."""
    fixed = [LEARNING_RATE[0], MEASURED[0], NOMINAL[0], PATTERN[0], TRAINING_RETURN[0], *EVENTS]
    return list(dict.fromkeys([*(task.primary_metric[0] for task in tasks), *fixed]))


def arm_groups(task: TaskResult) -> list[list[str]]:
    """Return the arms of each of the task's figures, in order; references are in every one."""
    labels = [arm.label for arm in task.arms]
    if len(labels) <= MOST_ARMS:
        return [labels]
    references = list(task.references[: MOST_ARMS // 2])
    others = [label for label in labels if label not in references]
    size = MOST_ARMS - len(references)
    return [references + others[i : i + size] for i in range(0, len(others), size)]


@dataclass
class _Panel:
    """What one panel draws: the height it needs, its label, and its curves by arm.

    Attributes:
        range: what values are possible, and the scale that they are read on.
    """

    kind: str
    height: float
    label: str
    curves: Curves
    range: Range = ANY
    nominal: Curves = field(default_factory=dict)
    axes: Axes = field(init=False)

    @property
    def log(self) -> bool:
        """Whether it is on a log scale: if that is the metric's, and any value has a logarithm."""
        return self.range.log and any((curve.y > 0).any() for curve in self.drawn)

    @property
    def drawn(self) -> list[Curve]:
        """All curves of the panel."""
        both = (*self.curves.values(), *self.nominal.values())
        return [curve for runs in both for curve in runs]


def task_figure(
    task: TaskResult,
    rows: pd.DataFrame,
    styles: Mapping[str, ArmStyle],
    arms: Sequence[str],
    *,
    log_x: bool = False,
) -> Figure | None:
    """Return the figure of one task, None if it has no measurement yet.

    Args:
        task: the task.
        rows: its rows, as `suite.records.reader.load_results` returns them.
        styles: style by arm.
        arms: those to draw.
        log_x: whether x is on a log scale.
    """
    x = X_COLUMNS[task.record.x]
    rows = rows[rows["arm"].isin(list(arms))]
    measured = set(rows["arm"].unique())
    arms = [arm for arm in arms if arm in measured]
    panels = _panels(task, rows, x)
    if not panels:
        return None
    handles = _legend_handles(task, styles, arms, rows)
    columns = _columns(handles)
    lines = -(-sum(1 + str(h.get_label()).count("\n") for h in handles) // columns)
    height = sum(panel.height for panel in panels) + 0.75 + lines * 0.155
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, height_ratios=[p.height for p in panels]
    )
    end = max(float(curve.x[-1]) for panel in panels for curve in panel.drawn)
    for panel, axes in zip(panels, grid[:, 0], strict=True):
        panel.axes = axes
        axes.set_ylabel(plain(panel.label, round(panel.height * CHARACTERS)))
        if panel.log:  # before anything is drawn, for means and bands go by it
            axes.set_yscale("log", nonpositive="clip")
        for index, arm in enumerate(arms):
            draw = _draw_primary if panel.kind == "primary" else _draw_lower
            draw(panel, arm, styles[arm], index, len(arms))
        _limits(panel, log_x=log_x)
        _phase_lines(axes, rows, x, first=panel is panels[0])
        _alarm_lines(axes, rows, x, styles, arms)
    for axes in grid[:-1, 0]:
        axes.tick_params(labelbottom=False)
    count_axis(grid[-1, 0], task.record.x, end, log=log_x)
    _alarms(next((p for p in panels if p.kind == "rate"), panels[0]).axes, rows, x, styles, arms)
    figure.align_ylabels(list(grid[:, 0]))
    legend = figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=columns,
        handlelength=3.2,
        title=plain(task.label),
        alignment="left",
    )
    legend.get_title().set_fontweight("bold")
    return figure


def _panels(task: TaskResult, rows: pd.DataFrame, x: str) -> list[_Panel]:
    """Return the panels that there is something to draw in, the primary metric's first."""
    metric, layer, top = _top(task, rows, x)
    label = metric_label(metric, layer, task.record.unit)
    measured, nominal = curves(rows, *MEASURED, x), curves(rows, *NOMINAL, x)
    pattern = curves(rows, *PATTERN, x)
    panels = [
        _Panel("primary", 2.1, label, top, task.record.range_of(metric)),
        _Panel("rate", 0.95, "learning rate η", curves(rows, *LEARNING_RATE, x), MAGNITUDE),
        _Panel("elr", 1.2, "ELR (1/step)", measured, MAGNITUDE, nominal),
        _Panel("pattern", 1.0, "activation-pattern change", pattern, SHARE),
    ]
    return [panel for panel in panels if panel.drawn]


def _top(task: TaskResult, rows: pd.DataFrame, x: str) -> tuple[str, str, Curves]:
    """Return metric, layer and curves of the first panel."""
    of_score = curves(rows, *task.record.primary_metric, x)
    if not any(len(run.x) > 1 for runs in of_score.values() for run in runs):
        returns = curves(rows, *TRAINING_RETURN, x)
        if returns:
            return *TRAINING_RETURN, returns
    return *task.record.primary_metric, of_score


def _marks(style: ArmStyle, index: int, arms: int) -> dict[str, Any]:
    """Return keywords that put six markers on a line, staggered so that arms do not hide."""
    spacing = 1 / 6
    return {
        "marker": style.marker,
        "markevery": (spacing * (index + 0.5) / arms, spacing),
        "markeredgewidth": 0,
    }


def _draw_primary(panel: _Panel, arm: str, style: ArmStyle, index: int, arms: int) -> None:
    """Draw the mean with its band, or single runs; and the runs that are not complete."""
    axes, runs = panel.axes, panel.curves.get(arm, [])
    complete = [run for run in runs if run.state == "complete"]
    place = (arms - 1 - index) * APART
    marks = _marks(style, index, arms)
    draw_runs(axes, complete, style, range=panel.range, place=place, **marks)
    for run in map(thinned, (run for run in runs if run.state != "complete")):
        line(axes, run.x, run.y, style, place=place, lw=BROKEN, alpha=0.7)
        if run.state in ("diverged", "failed"):
            axes.plot(run.x[-1:], run.y[-1:], "x", color=style.colour, ms=5, mew=1.2)


def _draw_lower(panel: _Panel, arm: str, style: ArmStyle, index: int, arms: int) -> None:
    """Draw one line per arm; one per run where the runs' schedules differ or share no steps."""
    marks = _marks(style, index, arms)
    both: list[tuple[list[Curve], float, dict[str, Any]]]
    both = [(panel.nominal.get(arm, []), 0.6, {}), (panel.curves.get(arm, []), 1.1, marks)]
    for runs, width, look in both:
        if panel.kind != "rate":
            mean = mean_curve(runs, panel.range, log=panel.log)
            found = None if mean is None else (mean.x, mean.mean)
        else:
            found = (thinned(runs[0]).x, thinned(runs[0]).y) if runs and alike(runs) else None
        if found is not None:
            line(panel.axes, *found, style, lw=width, **look)
            continue
        for run in map(thinned, runs):
            line(panel.axes, run.x, run.y, style, lw=min(width, 0.8))


def _limits(panel: _Panel, *, log_x: bool) -> None:
    """Set the limits of a panel's y axis."""
    if panel.log:
        log_axis(panel.axes, [curve.y for curve in panel.drawn])
        return
    if panel.kind == "primary" and not log_x:
        limits = later_range([(curve.x, curve.y) for curve in panel.drawn])
        if limits is not None:
            panel.axes.set_ylim(limits)
    if panel.kind == "pattern":
        panel.axes.set_ylim(bottom=0)
    within(panel.axes, panel.range)


def _phase_lines(axes: Axes, rows: pd.DataFrame, x: str, *, first: bool) -> None:
    """Draw a dotted line where a phase after the first begins, named in the first panel."""
    starts = _phase_starts(rows, x)
    for where, index in starts:
        axes.axvline(where, color=GREY, lw=0.8, ls=":", zorder=0.5)
        if first and len(starts) <= MOST_PHASES // 2:
            axes.annotate(
                f"phase {index + 1}",
                (where, 1),
                xycoords=axes.get_xaxis_transform(),
                xytext=(2, 2),
                textcoords="offset points",
                fontsize=LEGEND_SIZE - 0.5,
                color=GREY,
            )


def _phase_starts(rows: pd.DataFrame, x: str) -> list[tuple[float, int]]:
    """Return where phases after the first begin and their indices, without repeats."""
    phases = rows[(rows["metric"] == "phase") & (rows["value"] > 0)]
    unique = phases[[x, "value"]].drop_duplicates().sort_values([x, "value"])
    starts = [(float(a), int(b)) for a, b in unique.itertuples(index=False)]
    return starts if len(starts) <= MOST_PHASES else []


def _alarm_steps(rows: pd.DataFrame, x: str, arms: Sequence[str]) -> dict[str, Array]:
    """Return where the runs of each arm alarmed, (alarms,); arms without alarms are left out."""
    alarms = rows[rows["metric"] == "alarm"]
    found = {arm: alarms.loc[alarms["arm"] == arm, x].to_numpy(np.float64) for arm in arms}
    return {arm: where for arm, where in found.items() if len(where)}


def _alarm_lines(
    axes: Axes, rows: pd.DataFrame, x: str, styles: Mapping[str, ArmStyle], arms: Sequence[str]
) -> None:
    """Draw a thin vertical line at each alarm, in the colour of its arm, unless there are many."""
    found = _alarm_steps(rows, x, arms)
    if sum(map(len, found.values())) > MOST_ALARMS:
        return
    for arm, alarms in found.items():
        for where in alarms:
            axes.axvline(where, color=styles[arm].colour, lw=0.5, alpha=0.5, zorder=0.6)


def _alarms(
    axes: Axes, rows: pd.DataFrame, x: str, styles: Mapping[str, ArmStyle], arms: Sequence[str]
) -> None:
    """Mark the alarms of all runs along the top edge of the panel of the learning rate."""
    for arm, where in _alarm_steps(rows, x, arms).items():
        axes.plot(
            where,
            np.ones(len(where)),
            "v",
            transform=axes.get_xaxis_transform(),
            color=styles[arm].colour,
            ms=4.5,
            mec="white",
            mew=0.4,
            clip_on=False,
            zorder=5,
        )


def _legend_handles(
    task: TaskResult, styles: Mapping[str, ArmStyle], arms: Sequence[str], rows: pd.DataFrame
) -> list[Artist]:
    """Return one entry per arm, then what heavy and thin lines, triangles and crosses mean."""
    handles: list[Artist] = []
    for arm in arms:
        name = f"{arm} (reference)" if arm in task.references else arm
        style = styles[arm]
        handles.append(
            Line2D(
                [],
                [],
                color=style.colour,
                ls=dashes(style),
                marker=style.marker,
                mew=0,
                label=plain(name, 52),
            )
        )
    present = set(zip(rows["metric"], rows["layer"], strict=True))
    if {MEASURED, NOMINAL} <= present:
        measured = "measured ELR, ‖ΔW‖/‖W‖"
        nominal = "nominal ELR, η/‖W‖"
        handles.append(Line2D([], [], color=GREY, lw=1.4, label=measured))
        handles.append(Line2D([], [], color=GREY, lw=0.6, label=nominal))
    if ("alarm", "") in present:
        handles.append(Line2D([], [], color=GREY, ls="", marker="v", ms=4.5, label="alarm"))
    if any(arm.failed for arm in task.arms if arm.label in arms):
        broken = Line2D(
            [], [], color=GREY, lw=0.6, marker="x", ms=5, mew=1.2, label="run without a score"
        )
        handles.append(broken)
    return handles


def _columns(handles: Sequence[Artist]) -> int:
    """Return how many columns of legend entries fit the figure's width."""
    widest = max(text_width(str(handle.get_label())) for handle in handles) + 0.62
    return max(1, min(len(handles), 3, int(WIDTH / widest)))


def caption(task: TaskResult, rows: pd.DataFrame, *, log_x: bool) -> str:
    """Return what the figures of a task show, in words.

    Args:
        task: the task.
        rows: its rows.
        log_x: whether x is on a log scale.
    """
    sizes = [arm.score.n for arm in task.arms if arm.score.n] or [0]
    panels = _panels(task, rows, X_COLUMNS[task.record.x])
    what = "Single runs"
    if max(sizes) >= FEWEST:
        mean = "Geometric means" if panels and panels[0].log else "Means"
        what = f"{mean} over runs"
        what += " with pointwise 95% intervals" if max(sizes) >= FEWEST_OF_BAND else ""
        if min(sizes) < FEWEST_OF_BAND:
            what += f", each run a thin line below {FEWEST_OF_BAND} seeds"
    count = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    runs = "run" if count == "1" else "runs"
    over = f"{X_LABELS[task.record.x]}{' on a log scale' if log_x else ''}"
    parts = [f"{what} ({count} complete {runs} per arm) over {over}."]
    metric, layer, drawn = _top(task, rows, X_COLUMNS[task.record.x])
    if (metric, layer) != task.record.primary_metric:
        parts.append("Scores are measured only at the end; the curves show the return in training.")
    elif drawn and all(len(run.x) == 1 for runs in drawn.values() for run in runs):
        parts.append("It is measured once; arms are shown side by side.")
    if (
        not log_x
        and not (panels and panels[0].log)
        and later_range([(run.x, run.y) for runs in drawn.values() for run in runs])
    ):
        parts.append("The vertical axis leaves out the first rise or fall.")
    if any(panel.log and not_positive(panel.drawn) for panel in panels):
        parts.append("A log axis cannot show values of 0 or less: lines end or leave it there.")
    present = set(rows["metric"].unique())
    if LEARNING_RATE[0] in present:
        parts.append("Below: the learning rate in force, one line per run where runs differ.")
    if present & {MEASURED[0], NOMINAL[0]}:
        parts.append("Effective rates (ELR) are geometric means over runs.")
    if PATTERN[0] in present:
        parts.append(
            "Activation-pattern change: share of (input, unit) pairs of a fixed probe set that "
            "turned on or off since the previous measurement, mean over layers and runs."
        )
    return " ".join(parts)
