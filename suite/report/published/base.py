"""What a published figure is: a function from the runs of an experiment to a drawing.

::

    @published("kumar2024_fig1", experiment="kumar2024_fig1", caption="...")
    def figure_1(runs: Experiment) -> Figure: ...

A report draws those whose experiments a results folder holds. Axes, scales and the order of panels
are the paper's; seeds are shown as intervals, which the papers mostly lack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from suite.registry import Registry
from suite.report.experiment import Experiment

Drawer = Callable[[Experiment], Figure]

SEEDS = (
    "Lines are means over seeds, bands their 95% intervals; below five seeds each is a thin line "
    "instead. On log axes means are geometric, and values of 0 or less are left out."
)
"""What a caption says of seeds unless the figure shows them otherwise."""


@dataclass(frozen=True)
class Published:
    """A figure of a paper.

    Attributes:
        name: of its files.
        experiment: the runs that it shows, see `suite.report.experiment`.
        caption: what it shows, and what to compare it with.
        function: draws it; may raise `suite.report.experiment.NotMeasured`.
    """

    name: str
    experiment: str
    caption: str
    function: Drawer


PUBLISHED: Registry[Published] = Registry("published figure", "suite.report.published")


def published(
    name: str, *, experiment: str, caption: str, seeds: str = SEEDS
) -> Callable[[Drawer], Drawer]:
    """Return a decorator that registers the drawing of a published figure.

    Args:
        name: see `Published`.
        experiment: likewise.
        caption: likewise.
        seeds: the end of the caption, on how seeds are shown.
    """

    def add(function: Drawer) -> Drawer:
        words = f"{caption} {seeds}".strip()
        PUBLISHED.register(name)(Published(name, experiment, words, function))
        return function

    return add
