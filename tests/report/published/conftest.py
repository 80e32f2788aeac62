"""What a figure's data are made of, found by their values."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest

from suite.report.drawing.style import paper_style
from suite.report.experiment import Experiment, Repetition, Track
from suite.report.published.data import Grid
from suite.report.published.render import render

Source = tuple[str, str, str, float, float]
"""Arm, metric and layer of a line, and the factors on its values and steps."""


def measured(repetition: Repetition) -> list[tuple[str, str, str, Track]]:
    """Return arm, metric, layer and track of all rows of a seed."""
    found = []
    for (_, arm), run_id in repetition.runs.items():
        rows = repetition.rows[run_id]
        for (metric, layer), of in rows.groupby(["metric", "layer"], sort=False):
            track = Track(of["step"].to_numpy(float), of["value"].to_numpy(float))
            found.append((arm, str(metric), str(layer), track))
    return found


def source(shown: Track, rows: list[tuple[str, str, str, Track]]) -> Source:
    """Return where in the rows of a seed a track comes from, and what it was multiplied by."""
    found = []
    for arm, metric, layer, track in rows:
        if len(track.steps) == len(shown.steps):
            by, on = shown.last / track.last, shown.steps[-1] / track.steps[-1]
            apart = np.abs(shown.values - by * track.values).max()
            if apart < 1e-9 and np.allclose(shown.steps, on * track.steps):
                found.append((arm, metric, layer, by, float(on)))
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def sources() -> Callable[[Grid, Experiment], list[list[Source]]]:
    """A function that returns where the lines of each panel come from, the same at every seed."""

    def find(grid: Grid, runs: Experiment) -> list[list[Source]]:
        rows = {repetition.seed: measured(repetition) for repetition in runs.repetitions}
        panels: list[list[Source]] = []
        for panel in grid.shown:
            panels.append([])
            for line in panel.lines:
                assert list(line.tracks) == list(rows)
                found = [source(track, rows[seed]) for seed, track in line.tracks.items()]
                assert len({of[:3] for of in found}) == 1
                panels[-1].append(found[0])
        return panels

    return find


@pytest.fixture
def drawn() -> Callable[[Grid], bytes]:
    """A function that draws a grid and returns it as SVG."""

    def draw(grid: Grid) -> bytes:
        file = io.BytesIO()
        with paper_style():
            render(grid).savefig(file, format="svg")
        return file.getvalue()

    return draw
