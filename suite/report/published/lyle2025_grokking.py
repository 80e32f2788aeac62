"""Figures 2, 3 and 8 of Lyle et al. 2025: norm, effective rate and grokking on demand."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from suite.report.drawing.axes import count_axis, log_axis
from suite.report.drawing.style import GREY, WIDTH
from suite.report.experiment import Experiment, NotMeasured, interventions
from suite.report.published.base import published
from suite.report.published.drawing import draw, look


def member(runs: Experiment, arm: str, kind: str, key: str) -> Any:
    """Return a key of an arm's intervention of a kind, 0 if it has none."""
    found = interventions(runs, arm, kind)
    return found[0][key] if found else 0


def floor(axes: Axes, runs: Experiment) -> None:
    """Draw what a network scores that has memorised and knows that addition commutes."""
    fraction = float(runs.setting(runs.arms[0], "task.fraction"))
    axes.axhline(fraction, color=GREY, lw=0.7, ls=":")
    axes.set_ylim(-0.02, 1.03)


def steps_axes(grid: Any, runs: Experiment, *, log: bool) -> None:
    """Make the x axes of a grid of panels those of gradient steps, named in the last row."""
    end = max(float(runs.setting(arm, "budget")) for arm in runs.arms)
    for axes in grid.flat:
        count_axis(axes, "steps", end, log=log)
        axes.xaxis.set_minor_formatter(NullFormatter())
    for axes in grid[:-1].flat:
        axes.set_xlabel("")


def by_row(figure: Figure, grid: Any, runs: Experiment, *, log: bool) -> None:
    """Name the axes of a grid of panels of test accuracy, and give it one legend below."""
    steps_axes(grid, runs, log=log)
    for row in grid:
        row[0].set_ylabel("test accuracy")
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        lines, labels = axes.get_legend_handles_labels()
        handles |= {label: line for label, line in zip(labels, lines, strict=True)}
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=3, handlelength=3
    )


@published(
    "lyle2025_fig2l",
    experiment="lyle2025_fig2l",
    caption=(
        "Test accuracy without norm layers, norms free and pinned. Dotted: the training fraction. "
        "The paper: with pinned norms all networks grok, weight decay making little difference; "
        "with free ones a high rate or strong decay is needed."
    ),
)
def figure_2_left(runs: Experiment) -> Figure:
    """Draw a panel for free and one for pinned norms, a line for each rate and decay."""
    figure = Figure((WIDTH, 2.7), layout="constrained")
    grid = figure.subplots(1, 2, sharex=True, sharey=True, squeeze=False)
    rates = sorted({runs.setting(arm, "optimizer.lr") for arm in runs.arms}, reverse=True)
    decays = sorted({member(runs, arm, "weight_decay", "coefficient") for arm in runs.arms})
    for axes, pinned in zip(grid[0], (False, True), strict=True):
        axes.set_title("norms pinned" if pinned else "norms free")
        for arm in runs.arms:
            if bool(interventions(runs, arm, "nap")) == pinned:
                rate = runs.setting(arm, "optimizer.lr")
                decay = member(runs, arm, "weight_decay", "coefficient")
                place = rates.index(rate) * len(decays) + decays.index(decay)
                label = f"rate {rate:g}, decay {decay:g}"
                draw(axes, runs, arm, "accuracy", "test", style=look(place), label=label)
        floor(axes, runs)
    by_row(figure, grid, runs, log=True)
    return figure


@published(
    "lyle2025_fig2r",
    experiment="lyle2025_fig2r",
    caption=(
        "Test accuracy, entropy of the attention and rank of its outputs with norm layers and "
        "pinned weights, by the coefficient of scale decay. Dotted: the training fraction. The "
        "paper: without scale decay accuracy never leaves that floor, which it explains by "
        "attention of low entropy."
    ),
)
def figure_2_right(runs: Experiment) -> Figure:
    """Draw accuracy as in the paper, and what its explanation is about."""
    figure = Figure((WIDTH, 2.4), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True)
    shown = (
        ("accuracy", "test", "test accuracy"),
        ("attention_entropy", "mean", "attention entropy (nats)"),
        ("attention_rank", "attention_output", "rank of attention outputs"),
    )
    arms = sorted((member(runs, arm, "scale_decay", "coefficient"), arm) for arm in runs.arms)
    for axes, (metric, layer, name) in zip(panels, shown, strict=True):
        for place, (value, arm) in enumerate(arms):
            label = f"scale decay {value:g}" if value else "no scale decay"
            draw(axes, runs, arm, metric, layer, style=look(place), label=label)
        axes.set_ylabel(name)
    steps_axes(panels[None], runs, log=True)
    floor(panels[0], runs)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=3)
    return figure


@published(
    "lyle2025_fig3",
    experiment="lyle2025_fig3",
    caption=(
        "Grokking on demand: test accuracy (above) and share of activations flipped since the last "
        "measurement (below). Dotted: re-warming, from a rate that is too low. The paper: a high "
        "peak flips many activations and test accuracy rises soon after; a ten times lower one "
        "does neither."
    ),
)
def figure_3(runs: Experiment) -> Figure:
    """Draw the highest peak at the left and the lowest at the right."""
    figure = Figure((WIDTH, 3.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    panels[1, 0].set_yscale("log")
    peaks = sorted({runs.setting(arm, "optimizer.lr") for arm in runs.arms}, reverse=True)
    for column, peak in enumerate((peaks[0], peaks[-1])):
        above, below = panels[:, column]
        arms = sorted(
            (runs.setting(arm, "schedule.offset"), arm)
            for arm in runs.arms
            if runs.setting(arm, "optimizer.lr") == peak
        )
        for place, (offset, arm) in enumerate(arms):
            style = look(place)
            draw(above, runs, arm, "accuracy", "test", style=style, label=f"offset {offset:,}")
            draw(below, runs, arm, "activation_pattern_change", "mean", style=style, scale=100)
        above.set_title(f"peak rate {peak:g}")
    log_axis(
        panels[1, 0], [np.asarray(line.get_ydata()) for axes in panels[1] for line in axes.lines]
    )
    for column, peak in enumerate((peaks[0], peaks[-1])):
        found = {
            runs.setting(arm, "schedule.offset")
            for arm in runs.arms
            if runs.setting(arm, "optimizer.lr") == peak
        }
        for place, offset in enumerate(sorted(found)):
            for axes in panels[:, column] if offset else ():
                axes.axvline(offset, color=look(place).colour, lw=0.8, ls=":")
        floor(panels[0, column], runs)
    steps_axes(panels, runs, log=False)
    panels[0, 0].set_ylabel("test accuracy")
    panels[1, 0].set_ylabel("activations flipped (%)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), handlelength=3)
    return figure


RANK_LABELS = {
    "attention_rank": "rank, 1% (share)",
    "attention_rank_10": "rank, 10% (share)",
    "attention_effective_rank": "effective rank (share)",
}
"""Metrics of the rank in Fig. 8, and what the legend calls them."""


@published(
    "lyle2025_fig8",
    experiment="lyle2025_fig8",
    caption=(
        "Test accuracy (black) and rank of the attention outputs by three definitions, each as a "
        "share of its largest: singular values above 1% and above 10% of the largest, and the "
        "effective rank; with norm layers, by weight decay (rows) and updates between two "
        "projections (columns). Dotted: the training fraction. The paper, which gives no "
        "definition: every network that groks loses rank as it does."
    ),
)
def figure_8(runs: Experiment) -> Figure:
    """Draw a panel for each pair of decay and frequency.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    by = {
        (member(runs, arm, "weight_decay", "coefficient"), member(runs, arm, "nap", "every")): arm
        for arm in runs.arms
    }
    decays, everys = (sorted({key[i] for key in by}) for i in (0, 1))
    figure = Figure((WIDTH, 0.5 + 1.4 * len(decays)), layout="constrained")
    grid = figure.subplots(len(decays), len(everys), sharex=True, sharey=True, squeeze=False)
    largest = {
        metric: [
            float(track.values.max())
            for arm in runs.arms
            for track in runs.tracks(arm, metric, "attention_output")
        ]
        for metric in RANK_LABELS
    }
    if not largest["attention_rank"]:
        raise NotMeasured("attention_rank")
    for row, decay in zip(grid, decays, strict=True):
        for axes, every in zip(row, everys, strict=True):
            arm = by.get((decay, every))
            axes.set_title(f"decay {decay:g}, every {every}")
            floor(axes, runs)
            if arm is not None:
                draw(axes, runs, arm, "accuracy", "test", style=look(0), label="test accuracy")
                for place, (metric, label) in enumerate(RANK_LABELS.items(), start=1):
                    if found := largest[metric]:
                        rank = (metric, "attention_output")
                        scale = 1 / max(found)
                        draw(axes, runs, arm, *rank, style=look(place), label=label, scale=scale)
    by_row(figure, grid, runs, log=True)
    for row in grid:
        row[0].set_ylabel("accuracy, rank")
    return figure
