"""Figures 4, 5, 9 and 13 of Lyle et al. 2025: warm starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suite.report.experiment import Experiment, NotMeasured, Repetition, interventions
from suite.report.published.base import published
from suite.report.published.data import Axis, Grid, Level, Line, Panel, Points
from suite.report.published.lines import curve, look
from suite.report.statistics.censored import Censored

UPDATES = Axis("gradient steps", low=0)
FRACTION = Axis("data in the first phase (%)", "log", ticks=(10, 50, 100))
FIRST = "task.phases.0.fraction"


def nap(runs: Experiment, arm: str) -> bool:
    """Return whether an arm is projected."""
    return bool(interventions(runs, arm, "nap"))


def fractions(runs: Experiment, arms: Sequence[str]) -> dict[float, list[str]]:
    """Return the arms by the share of the data that their first phase has, in rising order."""
    found: dict[float, list[str]] = {}
    for arm in arms:
        found.setdefault(float(runs.setting(arm, FIRST)), []).append(arm)
    return dict(sorted(found.items()))


def plain(runs: Experiment) -> list[str]:
    """Return the arms without augmentation."""
    return runs.arms_with({"task.augment": "none"})


def boundary(runs: Experiment, arm: str) -> list[Level]:
    """Return the start of the second phase, which all seeds share; nothing if none began."""
    for track in runs.tracks(arm, "phase"):
        begun = track.steps[track.values == 1]
        if len(begun):
            return [Level(x=float(begun[0]), dotted=True)]
    return []


def last_layer(runs: Experiment, arm: str, metric: str) -> str:
    """Return the last layer that a metric was measured on.

    Raises:
        NotMeasured: if it was not measured.
    """
    for layers in runs.each(Repetition.layers, arm, metric).values():
        return layers[-1]
    raise NotMeasured(f"{metric} of arm {arm!r}")


def final(
    runs: Experiment, arm: str, metric: str = "accuracy", layer: str = "test"
) -> Mapping[int, Censored]:
    """Return the last value of a metric, by seed."""
    tracks = runs.each(Repetition.track, arm, metric, layer)
    return {seed: Censored(track.last, track.last) for seed, track in tracks.items()}


def over_fractions(
    runs: Experiment, arms: Sequence[str], place: int, label: str, metric: str, layer: str
) -> Points:
    """Return the last values of a metric over the share of the data in the first phase."""
    values = [
        (100 * share, final(runs, of, metric, layer))
        for share, found in fractions(runs, arms).items()
        for of in found
    ]
    style = look(place)
    return Points(
        values, style, label, range=runs.range_of(metric), joined=True, nudge=1 + 0.03 * place
    )


def over_time(
    runs: Experiment, metric: str, layer: str | None, y: Axis, arms: Sequence[str], titled: bool
) -> list[Panel]:
    """Return a panel for each first phase with a line for free norms and one for NaP."""
    panels = []
    for share, found in fractions(runs, arms).items():
        lines: list[Line] = []
        for arm in sorted(found, key=lambda a: not nap(runs, a)):
            of = layer if layer is not None else last_layer(runs, arm, metric)
            label = "NaP" if nap(runs, arm) else "free norms"
            style = look(0 if nap(runs, arm) else 1)
            lines.append(curve(runs, arm, metric, of, style=style, label=label))
        title = f"{share:.0%} first" if titled else ""
        panels.append(Panel(UPDATES, y, lines, levels=boundary(runs, found[0]), title=title))
    return panels


@published(
    "lyle2025_fig4",
    caption=(
        "Warm starts with two aligned cycles: test accuracy, norm of an update, change of the "
        "feature covariance of the last layer and of activation patterns between measurements, by "
        "share of the data in the first phase. Dotted: the new data. The paper: features change "
        "less with free norms in the second cycle although updates are as large, and only with NaP "
        "does the final accuracy not depend on the first phase."
    ),
)
def figure_4(runs: Experiment) -> Grid:
    """A column for each first phase, a row for each metric; without augmentation."""
    arms = plain(runs)
    shown: list[tuple[str, str | None, Axis]] = [
        ("accuracy", "test", Axis("test accuracy")),
        ("update_norm", "all", Axis("update norm")),
        ("feature_covariance_change", None, Axis(r"$\Delta_C$")),
        ("activation_pattern_change", "mean", Axis(r"$\Delta_A$")),
    ]
    panels = [
        panel
        for row, (metric, layer, y) in enumerate(shown)
        for panel in over_time(runs, metric, layer, y, arms, titled=row == 0)
    ]
    return Grid(panels, len(fractions(runs, arms)))


@published(
    "lyle2025_fig9",
    caption=(
        "Warm starts with five cycles that do not fit the phases: test accuracy by share of the "
        "data in the first phase. Dotted: the new data. The paper: the gap closes as with aligned "
        "cycles as long as one whole cycle remains."
    ),
)
def figure_9(runs: Experiment) -> Grid:
    """A panel for each first phase."""
    panels = over_time(runs, "accuracy", "test", Axis("test accuracy"), plain(runs), titled=True)
    return Grid(panels, len(panels))


@published(
    "lyle2025_fig5r",
    caption=(
        "Final test accuracy after a warm start, with and without projection, with and without "
        "re-warming by CUSUM, by share of the data in the first phase. The paper: both together "
        "close the gap, and neither alone does."
    ),
)
def figure_5_right(runs: Experiment) -> Grid:
    """One panel, an arm for each combination."""
    points = []
    for place, (is_nap, kind) in enumerate(
        [
            (True, "triggered"),
            (True, "warmup_cosine"),
            (False, "triggered"),
            (False, "warmup_cosine"),
        ]
    ):
        arms = [a for a in runs.arms_with({"schedule.kind": kind}) if nap(runs, a) == is_nap]
        norms = "NaP" if is_nap else "free norms"
        label = f"{norms}, {'CUSUM' if kind == 'triggered' else 'one cycle'}"
        points.append(over_fractions(runs, arms, place, label, "accuracy", "test"))
    return Grid([Panel(FRACTION, Axis("final test accuracy"), points=points)], 1)


def assignment(runs: Experiment, arm: str) -> str:
    """Return what the rates of an arm's layers are called in the paper."""
    if interventions(runs, arm, "even_ratio_abs"):
        return "even ratio"
    rates: Mapping[str, Any] = runs.setting(arm, "optimizer.rate_by_role")
    if "output" in rates:
        return "fast features"
    return "slow features" if "weight" in rates else "constant"


ASSIGNMENTS = ("constant", "fast features", "slow features", "even ratio")


@published(
    "lyle2025_fig5l",
    caption=(
        "Final test accuracy and dead units of the last layer after a warm start, by rates of the "
        "layers and share of the data in the first phase. The paper: a tenth of the rate in the "
        "last layer makes no difference, in the layers below it widens the gap."
    ),
)
def figure_5_left(runs: Experiment) -> Grid:
    """Accuracy and dead units over the share of the data, a line for each assignment."""
    panels = []
    for metric, y in (("accuracy", "final test accuracy"), ("dead_units", "share of dead units")):
        points = []
        for place, name in enumerate(ASSIGNMENTS):
            arms = [arm for arm in runs.arms if assignment(runs, arm) == name]
            if arms:
                layer = "test" if metric == "accuracy" else last_layer(runs, arms[0], metric)
                points.append(over_fractions(runs, arms, place, name, metric, layer))
        panels.append(Panel(FRACTION, Axis(y), points=points))
    return Grid(panels, 2)


@published(
    "lyle2025_fig13",
    caption=(
        "Re-warming above the first peak, by rates of the layers: test accuracy after the smallest "
        "first phase and numerical rank of the last features. Dotted: the new data and the second "
        "peak. The paper: a gap that is left at equal peaks vanishes at the tenfold one, where the "
        "rank jumps."
    ),
)
def figure_13(runs: Experiment) -> Grid:
    """A column for each assignment of rates, accuracy above rank, a line for each second peak."""
    smallest = next(iter(fractions(runs, runs.arms).values()))
    names = [n for n in ASSIGNMENTS if any(assignment(runs, arm) == n for arm in smallest)]
    panels = []
    for metric, y in (("accuracy", "test accuracy"), ("feature_rank", "feature rank")):
        for name in names:
            arms = [arm for arm in smallest if assignment(runs, arm) == name]
            arms.sort(key=lambda arm: float(runs.setting(arm, "schedule.peaks.1")))
            lines = []
            for place, arm in enumerate(arms):
                layer = "test" if metric == "accuracy" else last_layer(runs, arm, metric)
                label = f"second peak {float(runs.setting(arm, 'schedule.peaks.1')):g}x"
                lines.append(curve(runs, arm, metric, layer, style=look(place), label=label))
            title = name if metric == "accuracy" else ""
            panels.append(
                Panel(UPDATES, Axis(y), lines, levels=boundary(runs, arms[0]), title=title)
            )
    return Grid(panels, len(names))
