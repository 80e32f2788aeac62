"""Figures 2, 3 and 8 of Lyle et al. 2025: norm, effective rate and grokking on demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from suite.report.experiment import Experiment, NotMeasured, interventions
from suite.report.published.base import published
from suite.report.published.data import STEPS, Axis, Grid, Level, Panel, number
from suite.report.published.lines import TEST_ACCURACY, curve, floor, ladder, look, shares


def member(runs: Experiment, arm: str, kind: str, key: str) -> Any:
    """Return a key of an arm's intervention of a kind, 0 if it has none."""
    found = interventions(runs, arm, kind)
    return found[0][key] if found else 0


@published(
    "lyle2025_fig2l",
    caption=(
        "Test accuracy without norm layers, norms free and pinned. Dotted: the training fraction. "
        "The paper: with pinned norms all networks grok, weight decay making little difference; "
        "with free ones a high rate or strong decay is needed."
    ),
)
def figure_2_left(runs: Experiment) -> Grid:
    """A panel for free and one for pinned norms, a line for each rate and decay."""
    rates = sorted({runs.setting(arm, "optimizer.lr") for arm in runs.arms}, reverse=True)
    decays = sorted({member(runs, arm, "weight_decay", "coefficient") for arm in runs.arms})
    panels = []
    for pinned in (False, True):
        lines = []
        for arm in runs.arms:
            if bool(interventions(runs, arm, "nap")) == pinned:
                rate = runs.setting(arm, "optimizer.lr")
                decay = member(runs, arm, "weight_decay", "coefficient")
                style = look(rates.index(rate) * len(decays) + decays.index(decay))
                label = f"rate {number(rate)}, decay {number(decay)}"
                lines.append(curve(runs, arm, "accuracy", "test", style=style, label=label))
        title = "norms pinned" if pinned else "norms free"
        panels.append(Panel(STEPS, TEST_ACCURACY, lines, levels=[floor(runs)], title=title))
    return Grid(panels, 2)


@published(
    "lyle2025_fig2r",
    caption=(
        "Test accuracy, entropy of the attention and rank of its outputs with norm layers and "
        "pinned weights, by the coefficient of scale decay. Dotted: the training fraction. The "
        "paper: without scale decay accuracy never leaves that floor, which it explains by "
        "attention of low entropy."
    ),
)
def figure_2_right(runs: Experiment) -> Grid:
    """Accuracy as in the paper, and what its explanation is about."""
    shown = (
        ("accuracy", "test", TEST_ACCURACY),
        ("attention_entropy", "mean", Axis("attention entropy (nats)")),
        ("attention_rank", "attention_output", Axis("rank of attention outputs")),
    )
    arms = sorted((member(runs, arm, "scale_decay", "coefficient"), arm) for arm in runs.arms)
    named = [(arm, f"scale decay {number(by)}" if by else "no scale decay") for by, arm in arms]
    panels = [
        Panel(
            *(STEPS, y, ladder(runs, named, metric, layer)),
            levels=[floor(runs)] if metric == "accuracy" else [],
        )
        for metric, layer, y in shown
    ]
    return Grid(panels, 3)


@published(
    "lyle2025_fig3",
    caption=(
        "Grokking on demand: test accuracy (above) and share of activations flipped since the last "
        "measurement (below). Dotted: re-warming, from a rate that is too low. The paper: a high "
        "peak flips many activations and test accuracy rises soon after; a ten times lower one "
        "does neither."
    ),
)
def figure_3(runs: Experiment) -> Grid:
    """The highest peak at the left and the lowest at the right."""
    steps = replace(STEPS, scale="linear", low=0)
    peaks = sorted({runs.setting(arm, "optimizer.lr") for arm in runs.arms}, reverse=True)
    above, below = [], []
    for peak in (peaks[0], peaks[-1]):
        arms = sorted(
            (runs.setting(arm, "schedule.offset"), arm)
            for arm in runs.arms
            if runs.setting(arm, "optimizer.lr") == peak
        )
        named = [(arm, f"offset {offset:,}") for offset, arm in arms]
        accuracies = ladder(runs, named, "accuracy", "test")
        flips = ladder(runs, named, "activation_pattern_change", "mean", factor=100)
        offsets = [
            Level(x=offset, colour=look(place).colour, dotted=True)
            for place, (offset, _) in enumerate(arms)
            if offset
        ]
        levels, title = [*offsets, floor(runs)], f"peak rate {number(peak)}"
        above.append(Panel(steps, TEST_ACCURACY, accuracies, levels=levels, title=title))
        below.append(Panel(steps, Axis("activations flipped (%)", "log"), flips, levels=offsets))
    return Grid([*above, *below], 2, 1.6)


RANK_LABELS = {
    "attention_rank": "rank, 1% (share)",
    "attention_rank_10": "rank, 10% (share)",
    "attention_effective_rank": "effective rank (share)",
}
"""Metrics of the rank in Fig. 8, and what the legend calls them."""


@published(
    "lyle2025_fig8",
    caption=(
        "Test accuracy (black) and rank of the attention outputs by three definitions, each as a "
        "share of its largest: singular values above 1% and above 10% of the largest, and the "
        "effective rank; with norm layers, by weight decay (rows) and updates between two "
        "projections (columns). Dotted: the training fraction. The paper, which gives no "
        "definition: every network that groks loses rank as it does."
    ),
)
def figure_8(runs: Experiment) -> Grid:
    """A panel for each pair of decay and frequency.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    by = {
        (member(runs, arm, "weight_decay", "coefficient"), member(runs, arm, "nap", "every")): arm
        for arm in runs.arms
    }
    largest: dict[str, float] = {}
    for metric in RANK_LABELS:
        tracks = [t for arm in runs.arms for t in runs.tracks(arm, metric, "attention_output")]
        if tracks:
            largest[metric] = max(float(track.values.max()) for track in tracks)
    if "attention_rank" not in largest:
        raise NotMeasured("attention_rank")
    decays, everys = (sorted({key[i] for key in by}) for i in (0, 1))
    panels = []
    for decay, every in ((decay, every) for decay in decays for every in everys):
        lines = []
        if (arm := by.get((decay, every))) is not None:
            lines = [curve(runs, arm, "accuracy", "test", style=look(0), label="test accuracy")]
            lines += [
                curve(
                    *(runs, arm, metric, "attention_output"),
                    style=look(place),
                    label=label,
                    factor=1 / largest[metric],
                )
                for place, (metric, label) in enumerate(RANK_LABELS.items(), start=1)
                if metric in largest
            ]
        title = f"decay {number(decay)}, every {every}"
        y = shares("accuracy, rank")
        panels.append(Panel(STEPS, y, lines, levels=[floor(runs)], title=title))
    return Grid(panels, len(everys), 1.4)
