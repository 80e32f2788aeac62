"""What a published figure is: a function from the runs of an experiment to what a figure shows.

::

    @published("kumar2024_fig1", experiment="kumar2024_fig1", caption="...")
    def figure_1(runs: Experiment) -> Grid: ...

The function returns data, see `suite.report.published.data`; `suite.report.published.render` draws
it. A figure that is no grid of panels may be a matplotlib figure instead, and then has no CSV file.
A report draws the figures whose experiments a results folder holds. Axes, scales and the order of
panels are the paper's; seeds are shown as intervals, which most papers lack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from suite.registry import Registry
from suite.report.experiment import Experiment, NotMeasured
from suite.report.published.data import Grid

Shown = Callable[[Experiment], Grid | Figure]

SEEDS = (
    "Lines are means over seeds, bands their 95% intervals; below five seeds each is a thin line "
    "instead. On log axes means are geometric, and values of 0 or less are left out."
)
"""What a caption says of seeds unless the figure shows them otherwise."""


@dataclass(frozen=True)
class Published:
    """A figure of a paper.

    Attributes:
        name: name of its files.
        experiment: the runs that it shows, see `suite.report.experiment`.
        caption: what it shows, and what to compare it with.
        function: returns what it shows; may raise `suite.report.experiment.NotMeasured`.
    """

    name: str
    experiment: str
    caption: str
    function: Shown

    def of(self, runs: Experiment) -> Grid | Figure:
        """Return what the figure shows of some runs.

        Raises:
            NotMeasured: if there is nothing to show.
        """
        found = self.function(runs)
        if isinstance(found, Grid) and found.empty:
            raise NotMeasured(f"anything that {self.name} shows")
        return found


PUBLISHED: Registry[Published] = Registry("published figure", "suite.report.published")


def published(
    name: str, *, caption: str, experiment: str = "", seeds: str = SEEDS
) -> Callable[[Shown], Shown]:
    """Return a decorator that registers a published figure.

    Args:
        name: see `Published`.
        caption: see `Published`.
        experiment: see `Published`; the name of the figure if "".
        seeds: the end of the caption, on how seeds are shown.
    """

    def add(function: Shown) -> Shown:
        words = f"{caption} {seeds}".strip()
        PUBLISHED.register(name)(Published(name, experiment or name, words, function))
        return function

    return add
