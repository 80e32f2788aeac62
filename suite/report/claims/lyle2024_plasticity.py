"""Claims of Lyle et al. 2024 on norms and plasticity in supervised streams, Figs. 1, 2 and 5."""

from __future__ import annotations

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.shared import Chosen
from suite.report.experiment import Ambiguous, Arms, NotMeasured, Repetition

SAME = 1.05
"""Ratio of losses of the last and the first task that counts as no change; ours."""

HALVED = 2.0
"""Ratio of spreads that the claim asks for."""

NAP: Chosen = {"interventions.nap.kind": "nap"}
LAYER_NORM: Chosen = {"model.norm": "layer", "interventions.nap": None}
NO_NORM: Chosen = {"model.norm": "none"}
FEW = 0.05
"""Share of units that counts as none; ours."""

NORMS = ("rms", "layer")
METHODS = {
    "relu": "no method",
    "l2": "L2",
    "l2_init": "L2 to the start",
    "shrink_perturb": "shrink and perturb",
    "redo": "ReDo",
    "leaky_relu": "leaky ReLU",
    "update_noise": "noise on updates",
}
"""No method, and the paper's six, by the kind of intervention or by activation; what figures call
them."""

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


def by_method(runs: Arms, *, nap: bool) -> dict[str, str]:
    """Return the arms with or without NaP by method, those of `METHODS` first.

    A method is named by the kinds of its interventions but NaP, and by its activation where that is
    not ReLU: ``l2``, ``leaky_relu``, ``l2+leaky_relu``; ``relu`` if there is none.

    Raises:
        Ambiguous: if several arms have the same method.
    """
    arms: dict[str, str] = {}
    for arm in runs.arms_with(NAP if nap else {"interventions.nap": None}):
        kinds = [str(entry["kind"]) for entry in runs.setting(arm, "interventions")]
        used = [kind for kind in kinds if kind != "nap"]
        activation = str(runs.setting(arm, "model.activation"))
        name = "+".join(used if activation == "relu" and used else [*used, activation])
        if name in arms:
            raise Ambiguous(f"several arms with {name}: {arms[name]}, {arm}")
        arms[name] = arm
    return {name: arms[name] for name in [*METHODS, *arms] if name in arms}


def methods(seed: Repetition, *, nap: bool) -> dict[str, float]:
    """Return the average online accuracy of the seven methods, by method.

    Raises:
        Ambiguous: if several arms have the same method.
        NotMeasured: if a method is missing.
    """
    arms = by_method(seed, nap=nap)
    missing = [name for name in METHODS if name not in arms]
    if missing:
        raise NotMeasured(f"arms {'with' if nap else 'without'} NaP: {', '.join(missing)}")
    return {name: seed.track(arms[name], "average_online_accuracy").last for name in METHODS}


@claim(
    "lyle2024.5a",
    experiment="lyle2024_n9",
    says="With NaP the choice of a method for plasticity matters much less",
    statistic="largest less smallest average online accuracy of the seven arms (none and six "
    "methods) without NaP, over that with NaP",
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
    statistic="smallest gain in average online accuracy by NaP over the seven arms but ReDo",
    holds=above(0.0),
    source="Lyle et al. 2024, Fig. 5",
)
def nap_raises_all(seed: Repetition) -> float:
    """See the claim."""
    free, nap = (methods(seed, nap=nap) for nap in (False, True))
    return min(nap[name] - free[name] for name in METHODS if name not in RESETS)


def dead_at_the_end(seed: Repetition, norm: str, place: str = "before") -> float:
    """Return the share of dead units of the last layer at the end, under Adam."""
    arm = seed.arm({"optimizer.kind": "adam", "model.norm": norm, "model.norm_place": place})
    layer = seed.layers(arm, "dead_units")[-1]
    return seed.track(arm, "dead_units", layer).last


@claim(
    "lyle2024.6a",
    experiment="lyle2024_n1",
    says="Under Adam fewer units are dead after many changes of the labels with norm layers before "
    "the nonlinearities",
    statistic="share of dead units of the last layer at the end without norm layers, less the "
    "larger of those with RMSNorm and LayerNorm before the nonlinearities",
    holds=above(0.0),
    source="Lyle et al. 2024, Fig. 1",
)
def norms_keep_units_alive(seed: Repetition) -> float:
    """See the claim."""
    return dead_at_the_end(seed, "none") - max(dead_at_the_end(seed, kind) for kind in NORMS)


@claim(
    "lyle2024.6b",
    experiment="lyle2024_n1",
    says="Norm layers behind the nonlinearities do not lower the share of dead units",
    statistic="smaller of the shares of dead units of the last layer at the end with RMSNorm and "
    "LayerNorm behind the nonlinearities, less that without norm layers",
    holds=above(-FEW),
    source="after Lyle et al. 2024, Fig. 1; 5% of the units count as none, which is ours",
)
def norms_behind_do_not(seed: Repetition) -> float:
    """See the claim."""
    return min(dead_at_the_end(seed, of, "after") for of in NORMS) - dead_at_the_end(seed, "none")
