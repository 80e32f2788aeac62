"""Claims of Lyle et al. 2025, section 4: norm, effective rate and grokking on demand.

"Reached" means a test accuracy of 95%. The floor is the training fraction rho, what a network
scores that has memorised and knows that addition commutes, plus 0.10.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.shared import length
from suite.report.experiment import NotMeasured, Repetition, Settings, Undetermined
from suite.report.statistics.censored import Censored, mean
from suite.report.statistics.transitions import first_above

REACHED = 0.95
FLOOR = 0.10
"""Above the training fraction."""

MEMORISED = 0.99
"""Training accuracy from which on a network counts as having memorised."""

NEARLY_ALL = 0.9
"""Share of the seeds that counts as whatever the seed; ours."""

WITHIN = 0.25
"""Share of the budget within which a re-warmed network has to generalise."""


def step_reached(seed: Repetition, arm: str) -> Censored:
    """Return the step of 95% test accuracy, at least the run's length if it is not reached."""
    found = first_above(seed.track(arm, "accuracy", "test"), REACHED)
    return Censored(min(found, length(seed, arm)), found)


def reached(seed: Repetition, arm: str) -> bool:
    """Return whether an arm ever has 95% of the test set right."""
    return bool((seed.track(arm, "accuracy", "test").values >= REACHED).any())


def best_over_floor(seed: Repetition, arm: str) -> float:
    """Return the best test accuracy of an arm less the training fraction."""
    fraction = float(seed.setting(arm, "task.fraction"))
    return float(seed.track(arm, "accuracy", "test").values.max()) - fraction


def norms(pinned: bool) -> dict[str, Any]:
    """Return the settings of arms with pinned or with free norms."""
    return {"interventions.nap.kind": "nap"} if pinned else {"interventions.nap": None}


def projected(seed: Repetition, arm: str) -> bool:
    """Return whether an arm's norms are pinned."""
    return arm in seed.arms_with(norms(True))


def by_rate_and_decay(seed: Repetition, pinned: bool) -> dict[Settings, str]:
    """Return the arms with pinned or with free norms, by (rate, weight decay).

    Raises:
        NotMeasured: unless there are two rates and two decays, crossed.
    """
    decay = "interventions.weight_decay.coefficient"
    found = seed.grid("optimizer.lr", decay, where=norms(pinned))
    rates, decays = map(set, zip(*found, strict=True))
    if min(len(rates), len(decays)) < 2 or len(found) < len(rates) * len(decays):
        raise NotMeasured("arms of all rates and decays")
    return found


def _share_reached(seed: Repetition, pinned: bool, *, small_decay: bool) -> float:
    """Return the share of the arms of the two highest rates that reach 95%."""
    arms = by_rate_and_decay(seed, pinned)
    rates = sorted({rate for rate, _ in arms})[-2:]
    least = min(decay for _, decay in arms)
    chosen = [
        arm
        for (rate, decay), arm in arms.items()
        if rate in rates and (decay == least or not small_decay)
    ]
    return float(np.mean([reached(seed, arm) for arm in chosen]))


@claim(
    "lyle2025.1a",
    experiment="lyle2025_fig2l_pinned",
    says="With norms pinned, networks grok at the two highest rates whatever the weight decay",
    statistic=f"whether all projected arms of the two highest rates reach {REACHED:.0%} on the "
    "test set",
    holds=above(NEARLY_ALL),
    source=f"Lyle et al. 2025, Fig. 2 left; {NEARLY_ALL:.0%} of seeds and {REACHED:.0%} are ours; "
    "fewer than 36 seeds cannot show so large a share",
)
def pinned_networks_grok(seed: Repetition) -> bool:
    """Return whether all projected arms reach 95%."""
    return _share_reached(seed, True, small_decay=False) == 1.0


@claim(
    "lyle2025.1b",
    experiment="lyle2025_fig2l",
    says="With free norms and little weight decay fewer networks grok than with pinned norms",
    statistic="share of the projected arms of the two highest rates and the smallest decay that "
    f"reach {REACHED:.0%}, less that of the free ones",
    holds=above(0.0),
    source=f"Lyle et al. 2025, Fig. 2 left; {REACHED:.0%} is ours",
)
def free_networks_grok_less(seed: Repetition) -> float:
    """Return by how much more projected than free arms reach 95%."""
    pinned, free = (_share_reached(seed, p, small_decay=True) for p in (True, False))
    return pinned - free


@claim(
    "lyle2025.2",
    experiment="lyle2025_fig2l",
    says="With free norms the rate matters more for when a network groks than weight decay does",
    statistic=f"mean |change of log10(step of {REACHED:.0%})| per decade of the rate, less the "
    "same by decade of the decay, over the extremes of each",
    holds=above(0.0),
    source="Lyle et al. 2025, section 4.1; there both are varied 100-fold",
)
def rate_matters_more_than_decay(seed: Repetition) -> Censored:
    """Return the effect of a decade of the rate less that of a decade of the decay."""
    arms = by_rate_and_decay(seed, False)
    times = {key: step_reached(seed, arm).log(10) for key, arm in arms.items()}
    rates, decays = (sorted({key[i] for key in times}) for i in (0, 1))
    low, high = rates[0], rates[-1]
    of_rate = [abs(times[high, d] - times[low, d]) for d in decays]
    weak, strong = decays[0], decays[-1]
    of_decay = [abs(times[r, strong] - times[r, weak]) for r in rates]
    by_rate = mean(of_rate) / math.log10(high / low)
    return by_rate - mean(of_decay) / math.log10(strong / weak)


@claim(
    "lyle2025.3a",
    experiment="lyle2025_fig2r",
    says="With norm layers and pinned weights, and no scale decay, a network does not grok",
    statistic="best test accuracy of the whole run less the training fraction, once the training "
    f"accuracy has reached {MEMORISED:.0%}",
    holds=below(FLOOR),
    source=f"Lyle et al. 2025, Fig. 2 right; {FLOOR:.2f} and {MEMORISED:.0%} are ours. That the "
    "network has memorised is asked for since the first board",
)
def norm_layers_prevent_it(seed: Repetition) -> float:
    """Return the best test accuracy over the training fraction.

    Raises:
        Undetermined: if a run ended before it was known.
    """
    arm = seed.arm({"interventions.scale_decay": None})
    if seed.track(arm, "accuracy", "train").values.max() < MEMORISED:
        raise Undetermined(f"a training accuracy of {MEMORISED:.0%} without scale decay")
    return best_over_floor(seed, arm)


@claim(
    "lyle2025.3b",
    experiment="lyle2025_fig2r",
    says="Decay of the gains makes it grok",
    statistic="lowest over the coefficients of the best test accuracy",
    holds=above(REACHED),
    source=f"Lyle et al. 2025, Fig. 2 right; {REACHED:.0%} is ours",
)
def scale_decay_brings_it_back(seed: Repetition) -> float:
    """Return the best test accuracy of the worst arm with scale decay.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    path = "interventions.scale_decay.coefficient"
    arms = [
        arm
        for arm in seed.arms_with({"interventions.scale_decay.kind": "scale_decay"})
        if seed.setting(arm, path)
    ]
    if len(arms) < 2:
        raise NotMeasured("arms with scale decay")
    return min(float(seed.track(arm, "accuracy", "test").values.max()) for arm in arms)
