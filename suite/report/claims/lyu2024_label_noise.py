"""Claims of Lyu et al. 2024, Appendix B.2: label noise acts as a slow weight decay."""

from __future__ import annotations

import math

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.shared import base_rate
from suite.report.experiment import NotMeasured, Repetition
from suite.report.statistics.censored import Censored, slope
from suite.report.statistics.transitions import falling

GENERALISED = 0.1
"""Population loss, over |w|^2, that counts as generalising (ours)."""


def _size(seed: Repetition, arm: str) -> float:
    """Return |w|^2, the number of ones in w."""
    return float(seed.setting(arm, "task.active"))


def _noisy(seed: Repetition) -> list[str]:
    """Return the arms with label noise.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    found = [arm for arm in seed.arms if seed.setting(arm, "task.noise") > 0]
    if len(found) < 2:
        raise NotMeasured("two rates with label noise")
    return found


@claim(
    "lyu2024.13a",
    experiment="lyu2024_label_noise",
    says="Without noise descent ends at an interpolation that does not generalise",
    statistic="last test loss of full-batch descent, over |w|^2",
    holds=above(GENERALISED),
    source="Lyu et al. 2024, Theorem B.1: of the order of |w|^2; a tenth is ours",
)
def flow_does_not_generalise(seed: Repetition) -> float:
    """Last loss of the arm without noise."""
    clean = seed.arm({"task.noise": 0})
    return seed.track(clean, "loss", "test").last / _size(seed, clean)


@claim(
    "lyu2024.13b",
    experiment="lyu2024_label_noise",
    says="With label noise the network generalises in the end",
    statistic="largest over rates of the last test loss, over |w|^2",
    holds=below(GENERALISED),
    source="Lyu et al. 2024, Theorem B.2; a tenth is ours",
)
def noise_generalises(seed: Repetition) -> float:
    """Largest last loss of the arms with noise."""
    return max(seed.track(a, "loss", "test").last / _size(seed, a) for a in _noisy(seed))


@claim(
    "lyu2024.13c",
    experiment="lyu2024_label_noise",
    says="The steps that it takes grow as 1 / rate^2",
    statistic=f"slope, on logarithmic axes, of the step at which the test loss falls to "
    f"{GENERALISED:g} |w|^2 against the rate",
    holds=between(-2.4, -1.6),
    source="Lyu et al. 2024, Theorem B.2: T / rate^2 steps; 20% is ours",
)
def inverse_square_of_rate(seed: Repetition) -> Censored:
    """Exponent of the rate."""
    arms = _noisy(seed)
    rates = [base_rate(seed, arm) for arm in arms]
    steps = [falling(seed.track(a, "loss", "test"), GENERALISED * _size(seed, a)) for a in arms]
    return slope([math.log2(rate) for rate in rates], [step.clip(1.0).log() for step in steps])
