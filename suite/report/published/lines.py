"""What published figures are made of: lines of a metric, both splits of it, ladders of arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from suite.ranges import ANY, SIZE
from suite.report.drawing.style import COLOURS, DASHES, GREY, REFERENCE_COLOUR, SOLID, ArmStyle
from suite.report.experiment import Experiment, NotMeasured, Repetition, Track
from suite.report.published.data import STEPS, Axis, Level, Line, Panel

SPLITS = {"train": "training", "test": "test"}
"""Layers of metrics on examples, and what figures call them; the test line is drawn on top."""
ROOM = 0.03
"""Room above and below shares, so that lines at 0 and 1 are seen."""


def shares(label: str) -> Axis:
    """Return an axis for a share from 0 to 1."""
    return Axis(label, low=-ROOM, high=1 + ROOM)


ACCURACY, TEST_ACCURACY = shares("accuracy"), shares("test accuracy")
RELATIVE = Axis("loss relative to start")


def look(index: int) -> ArmStyle:
    """Return the style of the line in place `index`, black and solid first."""
    if index == 0:
        return ArmStyle(REFERENCE_COLOUR, SOLID, "o")
    place = index - 1
    return ArmStyle(COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)], "o")


def split_look(split: str, colour: str | None = None) -> ArmStyle:
    """Return the style of a training or test line: test solid and black, training dashed and grey.

    Args:
        split: ``train`` or ``test``.
        colour: of both, where colours tell arms apart.
    """
    if split == "test":
        return ArmStyle(colour or REFERENCE_COLOUR, SOLID, "o")
    return ArmStyle(colour or GREY, DASHES[0], "o")


def shades(count: int) -> list[str]:
    """Return colours from dark to light, whose order can be told in grey."""
    return [to_hex(colormaps["viridis"](x)) for x in np.linspace(0.0, 0.88, max(count, 2))][:count]


def curve(
    runs: Experiment,
    arm: str,
    metric: str,
    layer: str = "",
    *,
    style: ArmStyle,
    label: str = "",
    split: str = "",
    factor: float = 1.0,
    stretch: float = 1.0,
    relative: bool = False,
) -> Line:
    """Return a metric of an arm over gradient steps; without tracks where no seed has it.

    Args:
        runs: the experiment.
        arm: the arm.
        metric: name of the metric.
        layer: its layer.
        style: of the line.
        label: entry in the legend.
        split: see `Line`.
        factor: factor on the values.
        stretch: factor on the steps.
        relative: whether to divide each seed's values by its first.
    """
    tracks = {
        seed: Track(t.steps * stretch, t.values * (factor / (t.first if relative else 1.0)))
        for seed, t in runs.each(Repetition.track, arm, metric, layer).items()
    }
    possible = runs.range_of(metric).times(factor)
    if relative:  # a multiple of another value at each seed
        possible = SIZE if possible.low >= 0 else ANY
    return Line(tracks, style, label, split, possible)


def both_splits(
    runs: Experiment,
    arm: str,
    metric: str,
    *,
    label: str = "",
    colour: str | None = None,
    relative: bool = False,
    splits: Sequence[str] = tuple(SPLITS),
) -> list[Line]:
    """Return a metric of an arm on training and on test examples.

    Args:
        runs: the experiment.
        arm: the arm.
        metric: a metric with the layers ``train`` and ``test``.
        label: entry of the arm in the legend.
        colour: see `split_look`.
        relative: see `curve`.
        splits: one of them or both.
    """
    return [
        curve(
            *(runs, arm, metric, split),
            style=split_look(split, colour),
            label=label,
            split=SPLITS[split],
            relative=relative,
        )
        for split in splits
    ]


def ladder(
    runs: Experiment,
    named: Sequence[tuple[str, str]],
    metric: str,
    layer: str = "",
    *,
    factor: float = 1.0,
) -> list[Line]:
    """Return a metric of several arms, by (arm, label), each with the look of its place."""
    return [
        curve(runs, arm, metric, layer, style=look(place), label=label, factor=factor)
        for place, (arm, label) in enumerate(named)
    ]


def split_panels(
    runs: Experiment,
    titled: Sequence[tuple[str, str]],
    y: Axis,
    *,
    metric: str = "loss",
    relative: bool = False,
    x: Axis = STEPS,
) -> list[Panel]:
    """Return a panel with both splits of a metric for each (arm, title)."""
    return [
        Panel(x, y, both_splits(runs, arm, metric, relative=relative), title=title)
        for arm, title in titled
    ]


def only_arm(runs: Experiment) -> str:
    """Return the only arm of an experiment.

    Raises:
        NotMeasured: if there are several.
    """
    if len(runs.arms) != 1:
        raise NotMeasured("the only arm")
    return runs.arms[0]


def floor(runs: Experiment) -> Level:
    """Return what a network scores that has memorised and knows that addition commutes."""
    return Level(y=float(runs.setting(runs.arms[0], "task.fraction")), dotted=True)
