"""Our own claims: is it the norm of the parameters or the effective rate that decides on grokking?

Both are pinned, at every combination of three values each (`tune_configs/norm_or_elr.yaml`).
"""

from __future__ import annotations

import math

from suite.report.claims.base import above, between, claim
from suite.report.claims.lyle2025_grokking import REACHED, step_reached
from suite.report.experiment import NotMeasured, Repetition, Settings
from suite.report.statistics.censored import Censored, mean, slope

Grid = dict[Settings, Censored]
"""By (norm, effective rate), each in multiples of the middle one."""


def log_steps(seed: Repetition) -> Grid:
    """Return log2 of the step of 95% test accuracy.

    Raises:
        NotMeasured: unless the two are crossed, three values or more of each.
    """
    arms = seed.grid("model.factor", "schedule.value")
    norms, rates = map(set, zip(*arms, strict=True))
    crossed = len(arms) == len(norms) * len(rates)
    if not crossed or min(len(norms), len(rates)) < 3 or not {1.0} <= norms & rates:
        raise NotMeasured("norms and effective rates, crossed")
    return {key: step_reached(seed, arm).log() for key, arm in arms.items()}


def slopes(grid: Grid, of: int) -> list[Censored]:
    """Return, for each value of the other, the slope of log2(step) by log2 of norm (0) or rate (1).

    By least squares.
    """
    found = []
    for held in sorted({key[1 - of] for key in grid}):
        along = {key[of]: value for key, value in grid.items() if key[1 - of] == held}
        found.append(slope([math.log2(x) for x in along], list(along.values())))
    return found


def _middle(grid: Grid, of: int) -> Censored:
    """Return the slope where the other is 1."""
    held = sorted({key[1 - of] for key in grid})
    return slopes(grid, of)[held.index(1.0)]


OURS = "ours, after Lyle et al. 2025, section 4.1; so are thresholds"
TIME = f"log2(step of {REACHED:.0%} test accuracy)"
NEAR_ONE = between(-1.5, -0.5)
"""Exponents that count as in inverse proportion; ours."""

NEAR_ZERO = between(-0.5, 0.5)
"""Exponents that count as none; ours."""


@claim(
    "suite.norm_or_elr.4",
    experiment="norm_or_elr_mlp",
    says="In an MLP whose hidden maps are scale-invariant the effective rate sets the pace",
    statistic=f"slope by log2(effective rate), at the usual norm, of {TIME}",
    holds=NEAR_ONE,
    source=OURS,
)
@claim(
    "suite.norm_or_elr.6",
    experiment="norm_or_elr_map",
    says="With the norm of its scale-invariant map held, an MLP's effective rate sets the pace",
    statistic=f"slope by log2(effective rate), at the usual norm, of {TIME}",
    holds=NEAR_ONE,
    source=f"{OURS}; added after claim 4",
)
@claim(
    "suite.norm_or_elr.1",
    experiment="norm_or_elr",
    says="At one norm, grokking takes the longer the smaller the effective rate, in proportion",
    statistic=f"slope by log2(effective rate), at the usual norm, of {TIME}",
    holds=NEAR_ONE,
    source=OURS,
)
def effective_rate_decides(seed: Repetition) -> Censored:
    """Return the slope by effective rate at the usual norm."""
    return _middle(log_steps(seed), 1)


@claim(
    "suite.norm_or_elr.5",
    experiment="norm_or_elr_mlp",
    says="In an MLP whose hidden maps are scale-invariant the norm does not matter",
    statistic=f"slope by log2(norm), at the middle effective rate, of {TIME}",
    holds=NEAR_ZERO,
    source=OURS,
)
@claim(
    "suite.norm_or_elr.7",
    experiment="norm_or_elr_map",
    says="Of the scale-invariant map alone, at its own effective rate, the norm does not matter",
    statistic=f"slope by log2(norm), at the middle effective rate, of {TIME}",
    holds=NEAR_ZERO,
    source=f"{OURS}; added after claim 5, whose rates move that of the gain as well",
)
@claim(
    "suite.norm_or_elr.2",
    experiment="norm_or_elr",
    says="At one effective rate the norm does not matter",
    statistic=f"slope by log2(norm), at the middle effective rate, of {TIME}",
    holds=NEAR_ZERO,
    source=OURS,
)
def norm_does_not_matter(seed: Repetition) -> Censored:
    """Return the slope by norm at the middle effective rate."""
    return _middle(log_steps(seed), 0)


@claim(
    "suite.norm_or_elr.3",
    experiment="norm_or_elr",
    says="Over the whole grid the effective rate matters more than the norm",
    statistic=f"mean |slope by log2(effective rate)| less mean |slope by log2(norm)| of {TIME}",
    holds=above(0.0),
    source=OURS,
)
def effective_rate_matters_more(seed: Repetition) -> Censored:
    """Return by how much more the effective rate matters."""
    grid = log_steps(seed)
    of_norm, of_rate = (mean([abs(s) for s in slopes(grid, of)]) for of in (0, 1))
    return of_rate - of_norm
