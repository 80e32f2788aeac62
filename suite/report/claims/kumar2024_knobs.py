"""Kumar et al. 2024, Figs. 3 and 7: what laziness, alignment and the scale of weights do."""

from __future__ import annotations

from itertools import pairwise

from suite.report.claims.base import above, below, claim
from suite.report.claims.kumar2024 import (
    FLAT,
    GROK,
    SOURCE,
    delay,
    ladder,
    log_ratio,
    loss_on_test,
    rise,
)
from suite.report.experiment import NotMeasured, Repetition
from suite.report.statistics.censored import Censored, largest, smallest

ALPHA, EPSILON, SIGMA = "model.alpha", "model.inner.epsilon", "model.inner.init_scale"
FEWEST = 5
"""Output scales that a trend is told from."""

RICH, ALIGNED = 0.25, 1.0
"""Output scales up to the one, and epsilons from the other on, have no rise of the test loss."""

LESS_ALIGNED, MORE_ALIGNED = 0.25, 0.5
"""Epsilons whose delays are compared."""


@claim(
    "kumar2024.5",
    experiment="kumar2024_fig3a",
    says="The time to grok grows with the output scale alpha, the rate being over alpha^2",
    statistic=f"smallest log of (1 + {GROK}) over that at the next smaller alpha; {FEWEST} alphas "
    "or more, as far as training losses fall, and of those whose test loss never does the first",
    holds=above(0.0),
    source=f"{SOURCE}, Fig. 3a",
)
def delay_grows_with_scale(seed: Repetition) -> Censored:
    """Return the smallest step of the ladder of times.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    times = [time for _, time in ladder(seed, ALPHA)]
    if len(times) < FEWEST:
        raise NotMeasured(f"{FEWEST} output scales whose training loss falls")
    return smallest(log_ratio(later, earlier) for earlier, later in pairwise(times))


@claim(
    "kumar2024.6",
    experiment="kumar2024_fig3a",
    says="With an output scale of a quarter or less the test loss does not rise",
    statistic=f"largest rise of the test loss above its start, of alphas up to {RICH:g}",
    holds=below(FLAT),
    source=f"{SOURCE}, Fig. 3a; {FLAT:.0%} is ours",
)
def rich_runs_do_not_overfit(seed: Repetition) -> float:
    """Return the largest rise of arms with a small output scale.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    rises = [rise(loss_on_test(seed, arm)) for value, arm in seed.arms_by(ALPHA) if value <= RICH]
    if not rises:
        raise NotMeasured("an output scale of a quarter or less")
    return max(rises)


@claim(
    "kumar2024.7a",
    experiment="kumar2024_fig3b",
    says="Less alignment at the start, a longer delay: it is longer at epsilon 1/4 than at 1/2",
    statistic=f"log of (1 + {GROK}) at epsilon {LESS_ALIGNED:g} over that at {MORE_ALIGNED:g}",
    holds=above(0.0),
    source=f"{SOURCE}, Fig. 3b",
)
def delay_shrinks_with_alignment(seed: Repetition) -> Censored:
    """Return the log ratio of the two delays."""
    less, more = (delay(seed, seed.arm({EPSILON: e})) for e in (LESS_ALIGNED, MORE_ALIGNED))
    return log_ratio(less, more)


@claim(
    "kumar2024.7b",
    experiment="kumar2024_fig3b",
    says="With epsilon 1 or more the test loss does not rise",
    statistic=f"largest rise of the test loss above its start, of epsilons from {ALIGNED:g} on",
    holds=below(FLAT),
    source=f"{SOURCE}, Fig. 3b; {FLAT:.0%} is ours",
)
def aligned_runs_do_not_overfit(seed: Repetition) -> float:
    """Return the largest rise of arms with a large epsilon.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    rises = [
        rise(loss_on_test(seed, arm)) for value, arm in seed.arms_by(EPSILON) if value >= ALIGNED
    ]
    if not rises:
        raise NotMeasured("an epsilon of 1 or more")
    return max(rises)


@claim(
    "kumar2024.7c",
    experiment="kumar2024_fig3e",
    says="The time to grok is longest at the largest alpha and the smallest epsilon",
    statistic=f"log of (1 + {GROK}) in that corner of the map over the longest of the other "
    "corners",
    holds=above(0.0),
    source=f"{SOURCE}, Fig. 3e",
)
def longest_in_its_corner(seed: Repetition) -> Censored:
    """Return the log ratio of the corner to the longest of the other three.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    cells = seed.grid(ALPHA, EPSILON)
    alphas, epsilons = (sorted(set(values)) for values in zip(*cells, strict=True))
    ends = {(a, e) for a in (alphas[0], alphas[-1]) for e in (epsilons[0], epsilons[-1])}
    if len(ends) < 4 or not ends <= cells.keys():
        raise NotMeasured("all corners of the map")
    corners = {key: cells[key] for key in ends}
    longest = corners.pop((alphas[-1], epsilons[0]))
    others = largest(delay(seed, arm) for arm in corners.values())
    return log_ratio(delay(seed, longest), others)


@claim(
    "kumar2024.8",
    experiment="kumar2024_fig7",
    says="Weights move by an amount that depends on sigma^2 alpha alone",
    statistic="among arms of equal sigma^2 alpha the largest final relative movement over the "
    "smallest, less 1; the largest over such groups",
    holds=below(0.2),
    source=f"{SOURCE}, Fig. 7",
)
def movement_is_of_the_product(seed: Repetition) -> float:
    """Return the largest spread of the final movement within a group.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    groups: dict[float, list[float]] = {}
    for alpha, arm in seed.arms_by(ALPHA):
        product = round(float(seed.setting(arm, SIGMA)) ** 2 * float(alpha), 9)
        groups.setdefault(product, []).append(seed.track(arm, "relative_movement", "all").last)
    spreads = [max(of) / min(of) - 1 for of in groups.values() if len(of) > 1]
    if not spreads:
        raise NotMeasured("arms of equal sigma^2 alpha")
    return max(spreads)
