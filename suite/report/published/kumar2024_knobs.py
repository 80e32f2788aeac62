"""Kumar et al. 2024: ladders of laziness, alignment and starts (Figs. 3, 5, 7, 10, 19)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from suite.ranges import SIZE
from suite.report.claims.kumar2024 import delay
from suite.report.drawing.style import COLOURS, REFERENCE_COLOUR, SOLID, ArmStyle
from suite.report.experiment import Experiment, Repetition
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Cells, Grid, Line, Panel, Points, number
from suite.report.published.lines import RELATIVE, arms_in_order, both_splits, shades, split_panels
from suite.report.statistics.bounds import Bounds

ALPHA, EPSILON, SIGMA = "model.alpha", "model.inner.epsilon", "model.inner.init_scale"
GROUPS = (r"$\alpha$", r"$\sigma$", r"$\sigma$, $\alpha = \sigma^{-2}$")


@published(
    "kumar2024_fig3a",
    caption="Kumar et al. 2024, Fig. 3a. Losses by output scale alpha at a fixed epsilon, the rate "
    "being over alpha squared: test losses left, training losses right.",
)
def figure_3a(runs: Experiment) -> Grid:
    """Losses by output scale."""
    return _ladder(runs, ALPHA, r"\alpha")


@published(
    "kumar2024_fig3b",
    caption="Kumar et al. 2024, Fig. 3b. Losses by epsilon, the alignment of the first kernel with "
    "the target, at output scale 1: test losses left, training losses right.",
)
def figure_3b(runs: Experiment) -> Grid:
    """Losses by epsilon."""
    return _ladder(runs, EPSILON, r"\epsilon")


@published(
    "kumar2024_fig3e",
    caption="Kumar et al. 2024, Fig. 3e. Time to grok, the steps from a training loss to a test "
    "loss below 0.1, over laziness and alignment; mean over seeds. A test loss that never falls "
    "counts as the run's length, and its cell is marked; cells whose training loss never falls are "
    "empty.",
    seeds="",
)
def figure_3e(runs: Experiment) -> Grid:
    """Times to grok, a cell for each pair of output scale and epsilon."""
    cells = {
        (float(runs.setting(arm, ALPHA)), float(runs.setting(arm, EPSILON))): runs.each(delay, arm)
        for arm in runs.arms
    }
    x, y = Axis(r"output scale $\alpha$"), Axis(r"$\epsilon$")
    return Grid([Panel(x, y, cells=Cells(cells, "time to grok (gradient steps)"))], height=2.6)


@published(
    "kumar2024_fig5",
    caption="Kumar et al. 2024, Fig. 5. Labels are the j-th eigenvector of the network's own "
    "tangent kernel at its start, on training and test points together.",
)
def figure_5(runs: Experiment) -> Grid:
    """Losses by eigenvector."""
    arms = arms_in_order(runs, "task.index")
    titled = [(arm, f"$j$ = {index:g}") for index, arm in arms]
    return Grid(split_panels(runs, titled, RELATIVE, relative=True), len(arms))


@published(
    "kumar2024_fig19",
    caption="Kumar et al. 2024, Fig. 19. As Fig. 5, by number P of training points (rows) and "
    "index j of the eigenvector (columns). Down a column more data removes the gap; along a "
    "diagonal, j in proportion to P, learning fails. The paper does not state its values.",
)
def figure_19(runs: Experiment) -> Grid:
    """Losses by number of points and eigenvector."""
    cells = {
        (int(runs.setting(arm, "task.points")), int(runs.setting(arm, "task.index"))): arm
        for arm in runs.arms
    }
    rows, columns = (sorted({key[i] for key in cells}) for i in (0, 1))
    titled = [(arm, f"$P$ = {p}, $j$ = {j}") for (p, j), arm in cells.items()]
    found = dict(zip(cells, split_panels(runs, titled, RELATIVE, relative=True), strict=True))
    return Grid([found.get((p, j)) for p in rows for j in columns], len(columns), 1.6)


@published(
    "kumar2024_fig7",
    caption="Kumar et al. 2024, Fig. 7. Above: test losses by output scale alpha, by initial scale "
    "sigma, and by sigma with alpha = sigma^-2. Below: final relative movement of the weights and "
    "final test loss, over sigma^2 alpha; bars are 95% intervals over seeds, dots single ones.",
)
def figure_7(runs: Experiment) -> Grid:
    """Test losses by group, and movement and loss over the product of scales."""
    groups = _scale_groups(runs)
    above = [
        Panel(STEPS, RELATIVE, _shaded(runs, members, "test", number), title=f"{title} varied")
        for title, members in groups.items()
    ]
    product = Axis(r"$\sigma^2 \alpha$", "log")
    below = [
        Panel(
            product,
            Axis(label, "log"),
            points=[
                _final(runs, members, of, f"{title} varied", index)
                for index, (title, members) in enumerate(groups.items())
            ],
        )
        for label, of in (("relative movement", _movement), ("test loss, end / start", _end))
    ]
    return Grid([*above, *below], 3, 2.3, share_y=False)


@published(
    "kumar2024_fig10",
    caption="Kumar et al. 2024, Fig. 10. Losses from starts a share c of the way to weights that "
    "solve the task: test losses left, training losses right.",
)
def figure_10(runs: Experiment) -> Grid:
    """Losses by start."""
    return _ladder(runs, "model.inner.towards", "c")


def _ladder(runs: Experiment, path: str, symbol: str) -> Grid:
    """Return relative test losses and training losses, one shade for each value of a key."""
    arms = arms_in_order(runs, path)
    return Grid(
        [
            Panel(
                STEPS,
                RELATIVE,
                _shaded(runs, arms, split, lambda value: f"${symbol}$ = {number(value)}"),
                title=title,
            )
            for split, title in (("test", "test"), ("train", "training"))
        ],
        columns=2,
    )


def _shaded(
    runs: Experiment, arms: list[tuple[float, str]], split: str, name: Callable[[float], str]
) -> list[Line]:
    """Return relative losses of (value, arm), from dark to light."""
    return [
        line
        for colour, (value, arm) in zip(shades(len(arms)), arms, strict=True)
        for line in both_splits(
            *(runs, arm, "loss"), label=name(value), colour=colour, relative=True, splits=[split]
        )
    ]


def _scale_groups(runs: Experiment) -> dict[str, list[tuple[float, str]]]:
    """Return (value, arm) of the three ladders; the arm of both scales 1 is in each."""
    groups: dict[str, list[tuple[float, str]]] = {title: [] for title in GROUPS}
    for arm in runs.arms:
        alpha, sigma = float(runs.setting(arm, ALPHA)), float(runs.setting(arm, SIGMA))
        if sigma == 1:
            groups[GROUPS[0]].append((alpha, arm))
        if alpha == 1:
            groups[GROUPS[1]].append((sigma, arm))
        if np.isclose(alpha * sigma**2, 1):
            groups[GROUPS[2]].append((sigma, arm))
    return {title: sorted(members) for title, members in groups.items()}


def _movement(seed: Repetition, arm: str) -> float:
    return seed.track(arm, "relative_movement", "all").last


def _end(seed: Repetition, arm: str) -> float:
    track = seed.track(arm, "loss", "test")
    return track.last / track.first


def _final(
    runs: Experiment,
    members: list[tuple[float, str]],
    of: Callable[[Repetition, str], float],
    label: str,
    index: int,
) -> Points:
    """Return a final value over sigma^2 alpha; markers that agree are seen inside each other."""
    values = [
        (
            float(runs.setting(arm, SIGMA)) ** 2 * float(runs.setting(arm, ALPHA)),
            {seed: Bounds.exactly(value) for seed, value in runs.each(of, arm).items()},
        )
        for _, arm in members
    ]
    style = ArmStyle((REFERENCE_COLOUR, *COLOURS)[index], SOLID, "os^"[index])
    return Points(values, style, label, range=SIZE, size=(7.0, 4.5, 3.0)[index], hollow=True)
