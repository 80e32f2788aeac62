"""Claims of Lyle et al. 2024 on norms and plasticity in supervised streams, Figs. 1, 2 and 5."""

from __future__ import annotations

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition

SAME = 1.05
"""Ratio of losses of the last and the first task that counts as no change; ours."""

HALVED = 2.0
"""Ratio of spreads that the claim asks for."""

NAP: Chosen = {"interventions.nap.kind": "nap"}
LAYER_NORM: Chosen = {"model.norm": "layer", "interventions.nap": None}
NO_NORM: Chosen = {"model.norm": "none"}
RESETS = ("redo",)
"""Methods that the claim leaves out: their resets ignore the normalisation."""


def at_task_ends(seed: Repetition, arm: str, metric: str, layer: str = "") -> list[float]:
    """Return a metric at the end of each task.

    Raises:
        NotMeasured: unless there are two tasks.
    """
    starts = seed.track(arm, "phase").steps[1:]
    track = seed.track(arm, metric, layer)
    if not len(starts):
        raise NotMeasured(f"a second task of arm {arm!r}")
    return [track.at(float(start)) for start in starts] + [track.last]


def last_over_first(seed: Repetition, arm: str, metric: str, layer: str = "") -> float:
    """Return a metric at the end of the last task over that at the end of the first."""
    ends = at_task_ends(seed, arm, metric, layer)
    return ends[-1] / ends[0]


@claim(
    "lyle2024.3a",
    experiment="lyle2024_n3",
    says="With LayerNorm and projection later tasks are learnt as well as the first",
    statistic="training loss at the end of the last task over that at the end of the first",
    holds=below(SAME),
    source="Lyle et al. 2024, Fig. 2; 5% is ours",
)
def projected_stays(seed: Repetition) -> float:
    """See the claim."""
    return last_over_first(seed, seed.arm(NAP), "loss", "train")


@claim(
    "lyle2024.3b",
    experiment="lyle2024_n3",
    says="With LayerNorm alone later tasks are learnt worse than the first",
    statistic="training loss at the end of the last task over that at the end of the first",
    holds=above(1.0),
    source="Lyle et al. 2024, Fig. 2",
)
def layer_norm_degrades(seed: Repetition) -> float:
    """See the claim."""
    return last_over_first(seed, seed.arm(LAYER_NORM), "loss", "train")


@claim(
    "lyle2024.3c",
    experiment="lyle2024_n3",
    says="Without norm layers the last task is learnt worst",
    statistic="training loss at the end of the last task over the larger of the other two arms'",
    holds=above(1.0),
    source="Lyle et al. 2024, Fig. 2",
)
def no_norm_is_worst(seed: Repetition) -> float:
    """See the claim."""
    last = [
        at_task_ends(seed, seed.arm(of), "loss", "train")[-1] for of in (NO_NORM, LAYER_NORM, NAP)
    ]
    return last[0] / max(last[1:])


@claim(
    "lyle2024.4a",
    experiment="lyle2024_n3",
    says="With LayerNorm alone the norm of the parameters grows from task to task",
    statistic="norm of all matrices at the end of the last task over that at the end of the first",
    holds=above(1.0),
    source="Lyle et al. 2024, Fig. 2",
)
def norm_grows(seed: Repetition) -> float:
    """See the claim."""
    return last_over_first(seed, seed.arm(LAYER_NORM), "parameter_norm", "all")


@claim(
    "lyle2024.4b",
    experiment="lyle2024_n3",
    says="With LayerNorm alone the norm of the Jacobian shrinks",
    statistic="norm of the Jacobian at the end of the last task over that at the end of the first",
    holds=below(1.0),
    source="Lyle et al. 2024, Fig. 2",
)
def jacobian_shrinks(seed: Repetition) -> float:
    """See the claim."""
    return last_over_first(seed, seed.arm(LAYER_NORM), "jacobian_norm")


@claim(
    "lyle2024.4c",
    experiment="lyle2024_n3",
    says="Without norm layers both norms grow",
    statistic="smaller of the two ratios, last task over first, of parameters and Jacobian",
    holds=above(1.0),
    source="Lyle et al. 2024, Fig. 2",
)
def both_norms_grow(seed: Repetition) -> float:
    """See the claim."""
    arm = seed.arm(NO_NORM)
    return min(
        last_over_first(seed, arm, "parameter_norm", "all"),
        last_over_first(seed, arm, "jacobian_norm"),
    )


def methods(seed: Repetition, *, nap: bool) -> dict[str, float]:
    """Return the average online accuracy by method.

    Raises:
        NotMeasured: unless there are several methods.
    """
    found: dict[str, float] = {}
    for arm in seed.arms_with(NAP if nap else {"interventions.nap": None}):
        kinds = [entry["kind"] for entry in seed.config(arm)["interventions"]]
        names = [kind for kind in kinds if kind != "nap"]
        activation = str(seed.setting(arm, "model.activation"))
        name = names[0] if names else activation
        found[name] = seed.track(arm, "average_online_accuracy").last
    if len(found) < 3:
        raise NotMeasured("arms of three methods")
    return found


@claim(
    "lyle2024.5a",
    experiment="lyle2024_n9",
    says="With NaP the choice of a method for plasticity matters much less",
    statistic="largest less smallest average online accuracy of the methods without NaP, over "
    "that with NaP",
    holds=above(HALVED),
    source="Lyle et al. 2024, Fig. 5; the factor is ours",
)
def spread_is_halved(seed: Repetition) -> float:
    """See the claim."""
    free, nap = (list(methods(seed, nap=nap).values()) for nap in (False, True))
    return float(np.ptp(free) / np.ptp(nap))


@claim(
    "lyle2024.5b",
    experiment="lyle2024_n9",
    says="NaP raises the accuracy of every method but ReDo",
    statistic="smallest gain in average online accuracy by NaP over the methods but ReDo",
    holds=above(0.0),
    source="Lyle et al. 2024, Fig. 5",
)
def nap_raises_all(seed: Repetition) -> float:
    """See the claim.

    Raises:
        NotMeasured: if no method has both arms.
    """
    free, nap = (methods(seed, nap=nap) for nap in (False, True))
    shared = [name for name in free if name in nap and name not in RESETS]
    if not shared:
        raise NotMeasured("a method with and without NaP")
    return min(nap[name] - free[name] for name in shared)


@claim(
    "lyle2024.6",
    experiment="lyle2024_n1",
    says="Under Adam fewer units are dead after many changes of the labels with norm layers",
    statistic="share of dead units of the last layer at the end without norm layers, less the "
    "larger of those with RMSNorm and LayerNorm",
    holds=above(0.0),
    source="Lyle et al. 2024, Fig. 1",
)
def norms_keep_units_alive(seed: Repetition) -> float:
    """See the claim."""
    dead = []
    for norm in ("none", "rms", "layer"):
        arm = seed.arm({"optimizer.kind": "adam", "model.norm": norm})
        layer = seed.layers(arm, "dead_units")[-1]
        dead.append(seed.track(arm, "dead_units", layer).last)
    return dead[0] - max(dead[1:])
