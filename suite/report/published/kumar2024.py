"""Kumar et al. 2024: the committee machine, its twin, and ladders of laziness and alignment.

Figs. 1, 3 to 5, 7, 9 to 11, 13 to 15 and 19. Titles have mathematics: alpha is the output scale,
sigma the scale of the initial weights, epsilon the alignment of the first kernel with the target.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from suite.ranges import SIZE
from suite.report.claims.kumar2024 import delay
from suite.report.drawing.style import COLOURS, REFERENCE_COLOUR, SOLID, ArmStyle
from suite.report.experiment import Experiment, Repetition
from suite.report.published.base import published
from suite.report.published.data import (
    STEPS,
    Axis,
    Cells,
    Grid,
    Level,
    Line,
    Panel,
    Points,
    number,
)
from suite.report.published.lines import (
    RELATIVE,
    both_splits,
    curve,
    look,
    shades,
    split_panels,
)
from suite.report.statistics.censored import Censored

SQUARED = Axis("mean squared error")
TERMS = {"variance": "variance", "misalignment": "misalignment", "linear": "linear power"}
ALPHA, EPSILON, SIGMA = "model.alpha", "model.inner.epsilon", "model.inner.init_scale"
GROUPS = (r"$\alpha$", r"$\sigma$", r"$\sigma$, $\alpha = \sigma^{-2}$")


@published(
    "kumar2024_fig1",
    caption="Kumar et al. 2024, Fig. 1. Left: losses of a committee machine and of its linearised "
    "twin, and the test loss of regression with the kernel of the start (grey line). Middle: the "
    "norm of the weights, without weight decay. Right: alignment of the tangent kernel with the "
    "target, centred on one side as in the authors' code.",
)
def figure_1(runs: Experiment) -> Grid:
    """Losses, weight norm and alignment."""
    kernel = [track.first for track in runs.tracks("network", "kernel_regression", "test")]
    level = [Level(y=float(np.mean(kernel)), label="kernel regression")] if kernel else []
    alignment = curve(runs, "network", "ntk_alignment", "one_sided", style=look(0))
    panels = [
        Panel(STEPS, SQUARED, _twins(runs), levels=level),
        _norm(runs),
        Panel(STEPS, Axis("kernel alignment"), [alignment]),
    ]
    return Grid(panels, 3)


@published(
    "kumar2024_fig11",
    caption="Kumar et al. 2024, Fig. 11. As Fig. 4, with readouts that are trained too.",
)
@published(
    "kumar2024_fig4",
    caption="Kumar et al. 2024, Fig. 4. Left: training and test loss. Right: the three terms of "
    "the expected test loss and their sum. The paper shows one seed of two hidden units.",
)
def figure_4(runs: Experiment) -> Grid:
    """Losses, and the terms of the test loss."""
    left = Panel(STEPS, SQUARED, both_splits(runs, "network", "loss"))
    return Grid([left, _terms(runs, "network", {"total": "sum"})], 2)


@published(
    "kumar2024_fig9",
    caption="Kumar et al. 2024, Fig. 9. Losses (above) and the terms of the test loss (below) for "
    "rising numbers of training points.",
)
def figure_9(runs: Experiment) -> Grid:
    """Losses and terms by number of training points."""
    arms = runs.arms_by("task.points")
    above = split_panels(runs, [(arm, f"{points:g} points") for points, arm in arms], SQUARED)
    below = [_terms(runs, arm) for _, arm in arms]
    return Grid([*above, *below], len(arms), 1.9, share_y=False)


@published(
    "kumar2024_fig13a",
    caption="Kumar et al. 2024, Fig. 13a. A committee machine and its linearised twin, both with "
    "momentum 0.95.",
)
def figure_13a(runs: Experiment) -> Grid:
    """Losses with momentum."""
    return _with_twin(runs, SQUARED)


@published(
    "kumar2024_fig13b",
    caption="Kumar et al. 2024, Fig. 13b. A student of a random tanh network, weights N(0, 1), and "
    "its linearised twin, both with AdamW.",
)
def figure_13b(runs: Experiment) -> Grid:
    """Losses of a student."""
    return _with_twin(runs, Axis("squared error", "log"))


@published(
    "kumar2024_fig13c",
    caption="Kumar et al. 2024, Fig. 13c. A one-layer transformer on modular addition and its "
    "linearised twin, both with AdamW: the loss leaves that of the twin early.",
)
def figure_13c(runs: Experiment) -> Grid:
    """Losses of a transformer."""
    return _with_twin(runs, Axis("cross-entropy (nats)", "log"))


@published(
    "kumar2024_fig14",
    caption="Kumar et al. 2024, Fig. 14. Targets that are half the sum of the squares along one, "
    "two or three directions; the settings are not stated in the paper.",
)
def figure_14(runs: Experiment) -> Grid:
    """Losses by number of directions."""
    arms = runs.arms_by("task.directions")
    titled = [(arm, f"directions: {count:g}") for count, arm in arms]
    return Grid(split_panels(runs, titled, RELATIVE, relative=True), len(arms), share_y=False)


@published(
    "kumar2024_fig15",
    caption="Kumar et al. 2024, Fig. 15. Targets and activations of higher degree; the settings "
    "are not stated in the paper.",
)
def figure_15(runs: Experiment) -> Grid:
    """Losses by degree of the target."""
    degrees = sorted((int(runs.setting(arm, "task.degree") or 2), arm) for arm in runs.arms)
    titled = [(arm, f"degree {degree}") for degree, arm in degrees]
    return Grid(split_panels(runs, titled, RELATIVE, relative=True), len(titled), share_y=False)


def _twins(runs: Experiment) -> list[Line]:
    """Return the losses of a network and of its expansion."""
    network = both_splits(runs, "network", "loss", label="network", colour=REFERENCE_COLOUR)
    return network + both_splits(runs, "linearised", "loss", label="linearised", colour=COLOURS[1])


def _norm(runs: Experiment) -> Panel:
    norm = curve(runs, "network", "parameter_norm", "all", style=look(0))
    return Panel(STEPS, Axis("norm of weights"), [norm])


def _with_twin(runs: Experiment, loss: Axis) -> Grid:
    """Return the losses of a network and of its expansion, and the network's weight norm."""
    return Grid([Panel(STEPS, loss, _twins(runs)), _norm(runs)], 2)


def _terms(runs: Experiment, arm: str, first: dict[str, str] | None = None) -> Panel:
    """Return the terms of the test loss; `first` are layers and labels before them."""
    lines = [
        curve(runs, arm, "loss_terms", layer, style=look(place), label=label)
        for place, (layer, label) in enumerate({**(first or {}), **TERMS}.items(), not first)
    ]
    return Panel(STEPS, Axis("terms of the test loss"), lines)


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
    arms = runs.arms_by("task.index")
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
    arms = runs.arms_by(path)
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
            {seed: Censored.exactly(value) for seed, value in runs.each(of, arm).items()},
        )
        for _, arm in members
    ]
    style = ArmStyle((REFERENCE_COLOUR, *COLOURS)[index], SOLID, "os^"[index])
    return Points(values, style, label, range=SIZE, size=(7.0, 4.5, 3.0)[index], hollow=True)
