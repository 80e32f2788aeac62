"""The figure of a group of games: each aggregate of every arm, with its interval, side by side."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from suite.report.drawing.forest import ROW, draw_interval
from suite.report.drawing.style import WIDTH, ArmStyle, plain
from suite.report.statistics.games import GamesResult

TITLES = {
    "iqm": "interquartile mean",
    "median": "median",
    "mean": "mean",
    "optimality_gap": "optimality gap",
}
"""Titles of the panels by key of an aggregate."""
LABEL_WIDTH = 26
"""Characters of a line of an arm's label."""

CAPTION = (
    "Human-normalised scores over all games: interquartile mean, median and mean (higher is "
    "better) and optimality gap (lower is better), with 95% stratified-bootstrap intervals "
    "(Agarwal et al. 2021). Hollow markers have no interval: fewer than three runs of each game."
)


def games_figure(group: GamesResult, styles: Mapping[str, ArmStyle]) -> Figure | None:
    """Return the figure of a group, None if no arm has a run of every game.

    Args:
        group: the games.
        styles: style by arm.
    """
    if not any(arm.runs for arm in group.arms):
        return None
    labels = [plain(arm.label, LABEL_WIDTH) for arm in group.arms]
    heights = [1 + 0.6 * label.count("\n") for label in labels]
    places = [sum(heights[:i]) + height / 2 for i, height in enumerate(heights)]
    figure = Figure(figsize=(WIDTH, max(ROW * sum(heights), 0.5) + 0.6), layout="constrained")
    panels = figure.subplots(1, len(TITLES), sharey=True)
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        for place, arm in zip(places, group.arms, strict=True):
            draw_interval(axes, place, arm.aggregates[name], styles[arm.label])
        axes.set_title(title)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    panels[0].set_ylim(sum(heights) + 0.3, -0.3)
    panels[0].set_yticks(places, labels)
    figure.supxlabel("human-normalised score", fontsize="medium")
    return figure
