"""Figures 1, 2, 5 and 8 of Lyle et al. 2024: norm layers and plasticity as labels are redrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from suite.report.claims.lyle2024_plasticity import METHODS, at_task_ends, by_method
from suite.report.claims.shared import Chosen
from suite.report.experiment import Experiment, Repetition, Track, interventions
from suite.report.page.streams import TASK
from suite.report.published.base import published
from suite.report.published.data import Axis, Grid, Line, Panel
from suite.report.published.lines import curve, look
from suite.report.published.lyle2025_warm_start import UPDATES, last_layer

TASKS = Axis("task", low=1)
NORMS = {"none": "no norm layers", "rms": "RMSNorm", "layer": "LayerNorm"}
PLACED: Sequence[tuple[Chosen, str]] = (
    ({"model.norm": "none"}, NORMS["none"]),
    ({"model.norm": "rms", "model.norm_place": "before"}, f"{NORMS['rms']} before"),
    ({"model.norm": "layer", "model.norm_place": "before"}, f"{NORMS['layer']} before"),
    ({"model.norm": "rms", "model.norm_place": "after"}, f"{NORMS['rms']} behind"),
    ({"model.norm": "layer", "model.norm_place": "after"}, f"{NORMS['layer']} behind"),
)
"""Settings of the arms of Fig. 1 and their names, in the order of the lines."""


def optimizer_of(runs: Experiment, arm: str) -> str:
    """Return the name of an arm's optimizer."""
    if runs.setting(arm, "optimizer.kind") == "adam":
        return "Adam"
    momentum = float(runs.setting(arm, "optimizer.momentum"))
    return f"SGD, momentum {momentum:g}" if momentum else "SGD"


def by_task(runs: Experiment, arm: str, metric: str, layer: str, place: int, label: str) -> Line:
    """Return a metric at the end of each task over the number of the task, from 1 on."""

    def ends(seed: Repetition) -> Track:
        values = np.array(at_task_ends(seed, arm, metric, layer))
        return Track(np.arange(1.0, len(values) + 1), values)

    return Line(runs.each(ends), look(place), label, range=runs.range_of(metric))


def online_by_task(runs: Experiment, arm: str, place: int, label: str) -> Line:
    """Return the mean online accuracy on each task over the number of the task, from 1 on."""
    tracks = runs.each(Repetition.over_tasks, arm, TASK)
    return Line(tracks, look(place), label, range=runs.range_of(TASK))


@published(
    "lyle2024_n1",
    caption=(
        "Share of dead units of the last layer as labels are redrawn again and again, by optimizer "
        "and norm layer, before the nonlinearities or behind them. The paper (Fig. 1): the share "
        "jumps where labels change; with norm layers before the nonlinearities units come back, "
        "without norm layers they add up. The figure has none behind them: those lines are ours."
    ),
)
def figure_1(runs: Experiment) -> Grid:
    """A panel for each optimizer with a line for each norm layer and place."""
    optimizers: dict[str, list[str]] = {}
    for arm in runs.arms:
        optimizers.setdefault(optimizer_of(runs, arm), []).append(arm)
    panels = []
    for title, arms in optimizers.items():
        lines: list[Line] = []
        for place, (chosen, label) in enumerate(PLACED):
            for arm in runs.arms_with(chosen):
                if arm in arms:
                    layer = last_layer(runs, arm, "dead_units")
                    style = look(place)
                    lines.append(curve(runs, arm, "dead_units", layer, style=style, label=label))
        panels.append(Panel(UPDATES, Axis("share of dead units", low=0), lines, title=title))
    return Grid(panels, max(1, len(panels)))


def norms_of(runs: Experiment) -> list[tuple[str, str]]:
    """Return the arms of Fig. 2 with their names, in the order of the lines."""
    found = []
    for arm in runs.arms:
        norm = str(runs.setting(arm, "model.norm"))
        label = NORMS[norm]
        if interventions(runs, arm, "nap"):
            label += " and projection"
        found.append((arm, label))
    order = [*NORMS.values(), *(f"{label} and projection" for label in NORMS.values())]
    return sorted(found, key=lambda pair: order.index(pair[1]))


@published(
    "lyle2024_n3",
    caption=(
        "Training loss, norm of the Jacobian and norm of all matrices at the end of each task, as "
        "labels are redrawn. The paper (Fig. 2): without norm layers both norms grow fast and the "
        "loss gets worse; with LayerNorm the parameters grow and the Jacobian shrinks; with "
        "projection the norm stays, and later tasks are learnt as well as the first."
    ),
)
def figure_2(runs: Experiment) -> Grid:
    """Loss and both norms over the number of the task, a line for each treatment of norms."""
    shown = (
        ("loss", "train", Axis("final training loss", "log")),
        ("jacobian_norm", "", Axis("Jacobian norm", "log")),
        ("parameter_norm", "all", Axis("parameter norm", "log")),
    )
    panels = []
    for metric, layer, y in shown:
        lines = [
            by_task(runs, arm, metric, layer, place, label)
            for place, (arm, label) in enumerate(norms_of(runs))
        ]
        panels.append(Panel(TASKS, y, lines))
    return Grid(panels, len(panels))


def places_of(runs: Experiment) -> Mapping[str, int]:
    """Return the place of each method among the lines, the same in all panels."""
    names = dict.fromkeys([*METHODS, *by_method(runs, nap=False), *by_method(runs, nap=True)])
    return {name: place for place, name in enumerate(names)}


SIDES = ((False, "without NaP"), (True, "with NaP"))


@published(
    "lyle2024_n9",
    caption=(
        "Mean accuracy of the batches of each task before their updates, labels redrawn for each "
        "task, by method for plasticity, without NaP and with it. The paper (Fig. 5): without NaP "
        "methods differ much and many fall from task to task; with NaP they hardly differ, and "
        "curves stay level or rise."
    ),
)
def figure_5(runs: Experiment) -> Grid:
    """Two panels, without NaP and with it, a line for each method."""
    places = places_of(runs)
    panels = []
    for nap, title in SIDES:
        lines = [
            online_by_task(runs, arm, places[name], METHODS.get(name, name))
            for name, arm in by_method(runs, nap=nap).items()
        ]
        panels.append(Panel(TASKS, Axis("online accuracy"), lines, title=title))
    return Grid(panels, len(panels))


@published(
    "lyle2024_n9_features",
    experiment="lyle2024_n9",
    caption=(
        "What becomes of the network at the end of each task, by method, without NaP and with it: "
        "units of the last layer that are off or on for all examples, numerical rank of its "
        "features, norm of all matrices, norm of the gradient. The paper (Fig. 8) has them beside "
        "the accuracies."
    ),
)
def figure_8(runs: Experiment) -> Grid:
    """A row for each quantity, a column without NaP and one with it."""
    shown: Sequence[tuple[str, str | None, Axis]] = (
        ("linearised_units", None, Axis("linearised units", low=0)),
        ("feature_rank", None, Axis("feature rank", low=0)),
        ("parameter_norm", "all", Axis("parameter norm", "log")),
        ("gradient_norm", None, Axis("gradient norm", "log")),
    )
    places = places_of(runs)
    panels = []
    for row, (metric, layer, y) in enumerate(shown):
        for nap, title in SIDES:
            lines = [
                by_task(
                    runs,
                    arm,
                    metric,
                    layer if layer is not None else last_layer(runs, arm, metric),
                    places[name],
                    METHODS.get(name, name),
                )
                for name, arm in by_method(runs, nap=nap).items()
            ]
            panels.append(Panel(TASKS, y, lines, title=title if row == 0 else ""))
    return Grid(panels, len(SIDES))
