"""Kumar et al. 2024 on modular addition: the quadratic network (Fig. 2), the transformer (6b, 12).

An arm that does not fit its training set has no delay that could be told, long or short.
"""

from __future__ import annotations

import math

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.kumar2024 import FACTOR
from suite.report.claims.shared import base_rate, extremes
from suite.report.experiment import Repetition, Track, Undetermined
from suite.report.statistics.censored import Censored
from suite.report.statistics.transitions import rising

MATRICES = ("inner.hidden.weight", "inner.readout.weight")
"""The two maps of the quadratic network, in an output scale."""

PUBLISHED_RATE = 100.0
"""Rate of Fig. 2 at alpha = 1."""

LEARNT = 0.9
"""Accuracy at which the transformer's times are taken; ours."""

ALL, HALF = 1.0, 0.5
"""Accuracies at which those of the quadratic network are."""

NARROW, WIDE = 0.25, 2.25
"""Its output scales, the squares of the paper's alpha."""

NO_DELAY = 0.15
"""The transformer's output scale that is published as an example of no grokking."""

WEAK, STRONG = 1.0, 5.0
"""Weight decays of Fig. 12."""

SMALLER, LARGER = 0.5, 1.4
"""Output scales of Fig. 12."""


def times(seed: Repetition, arm: str, level: float) -> tuple[Censored, Censored]:
    """Return when training and test accuracy reach `level`, at least 1 step each.

    Raises:
        Undetermined: if training does not within the run.
    """
    train, test = (seed.track(arm, "accuracy", split) for split in ("train", "test"))
    fitted = rising(train, level)
    if not fitted.exact:
        raise Undetermined(f"a training accuracy of {level:g} of arm {arm!r}")
    return fitted.clip(1.0), rising(test, level).clip(1.0)


def accuracy_delay(seed: Repetition, arm: str, level: float) -> Censored:
    """Return by how many steps the test accuracy is later, at least 1."""
    train, test = times(seed, arm, level)
    return (test - train).clip(1.0)


def lag(seed: Repetition, arm: str, level: float) -> Censored:
    """Return log2 of the ratio of the two times: 1 if the test takes twice as long."""
    train, test = times(seed, arm, level)
    return (test / train).log()


def weight_norm(seed: Repetition, arm: str) -> Track:
    """Return the sum of the Frobenius norms of the quadratic network's two maps."""
    first, second = (seed.track(arm, "parameter_norm", name) for name in MATRICES)
    return Track(first.steps, first.values + second.values)


def unscaled(seed: Repetition) -> str:
    """Return the arm whose output scale is 1."""
    return seed.arm({"model.alpha": 1.0})


def delay_with(seed: Repetition, alpha: float, decay: float) -> Censored:
    """Return the transformer's delay with an output scale and a weight decay."""
    settings = {"model.alpha": alpha, "interventions.weight_decay.coefficient": decay}
    return accuracy_delay(seed, seed.arm(settings), LEARNT)


@claim(
    "kumar2024.10a",
    experiment="kumar2024_fig2",
    says="A quadratic network fits all training sums 1,000 steps before all test sums are right",
    statistic=f"steps from {ALL:.0%} training to {ALL:.0%} test accuracy at alpha = 1, in steps of "
    f"rate {PUBLISHED_RATE:g}",
    holds=above(1000.0),
    source="Kumar et al. 2024, Fig. 2a",
)
def fits_before_it_generalises(seed: Repetition) -> Censored:
    """At other rates steps are counted by the way that gradient flow goes in them."""
    arm = unscaled(seed)
    train, test = times(seed, arm, ALL)
    return (test - train) * (base_rate(seed, arm) / PUBLISHED_RATE)


@claim(
    "kumar2024.10b",
    experiment="kumar2024_fig2",
    says="The weights of the quadratic network grow as it learns",
    statistic="|W_1| + |W_2| at the end over the start, alpha = 1",
    holds=above(1.0),
    source="Kumar et al. 2024, Fig. 2b",
)
def weights_grow(seed: Repetition) -> float:
    """Under plain gradient descent, without weight decay."""
    norm = weight_norm(seed, unscaled(seed))
    return norm.last / norm.first


@claim(
    "kumar2024.10c",
    experiment="kumar2024_fig2",
    says="A larger output scale lengthens the gap between training and test accuracy",
    statistic=f"log2 of the steps from {HALF:.0%} to {HALF:.0%} at the paper's alpha "
    f"{math.sqrt(WIDE):g} over those at {math.sqrt(NARROW):g}",
    holds=above(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 2c; a factor of {FACTOR:g} is ours",
)
def scale_lengthens_the_gap(seed: Repetition) -> Censored:
    """Its alpha is the root of the output scale, 2.25 and 0.25."""
    arms = (seed.arm({"model.alpha": alpha}) for alpha in (NARROW, WIDE))
    small, large = (accuracy_delay(seed, arm, HALF) for arm in arms)
    return (large / small).log()


@claim(
    "kumar2024.13a",
    experiment="kumar2024_fig12",
    says="Five times the weight decay shortens the transformer's delay more than fivefold",
    statistic=f"log2 of the delay with decay {WEAK:g} over that with decay {STRONG:g}, alpha = "
    f"{SMALLER:g}, from {LEARNT:.0%} to {LEARNT:.0%}",
    holds=above(math.log2(STRONG / WEAK)),
    source="Kumar et al. 2024, Fig. 12a and b; the accuracies are ours",
)
def decay_shortens_the_delay(seed: Repetition) -> Censored:
    """Both arms have the same rate."""
    return (delay_with(seed, SMALLER, WEAK) / delay_with(seed, SMALLER, STRONG)).log()


@claim(
    "kumar2024.13b",
    experiment="kumar2024_fig12",
    says="A larger output scale brings the delay back",
    statistic=f"log2 of the delay at alpha {LARGER:g}, decay {STRONG:g} over that at alpha "
    f"{SMALLER:g}, decay {WEAK:g}, from {LEARNT:.0%} to {LEARNT:.0%}",
    holds=between(-math.log2(FACTOR), math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 12a and c, to within {FACTOR:g}; the accuracies are ours",
)
def scale_restores_the_delay(seed: Repetition) -> Censored:
    """Its rate is lower as well, by the square of the scale."""
    return (delay_with(seed, LARGER, STRONG) / delay_with(seed, SMALLER, WEAK)).log()


@claim(
    "kumar2024.K10a",
    experiment="kumar2024_fig6b",
    says="The transformer's delay grows with the output scale",
    statistic="log2 of the delay at the largest alpha over that at the smallest, from "
    f"{LEARNT:.0%} to {LEARNT:.0%}",
    holds=above(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 6b; the accuracies and the factor of {FACTOR:g} are ours",
)
def delay_grows_with_scale(seed: Repetition) -> Censored:
    """Rate and weight decay per step change as well, by the square of the scale."""
    (_, small), (_, large) = extremes(seed, "model.alpha")
    return (accuracy_delay(seed, large, LEARNT) / accuracy_delay(seed, small, LEARNT)).log()


@claim(
    "kumar2024.K10b",
    experiment="kumar2024_fig6b",
    says=f"At alpha = {NO_DELAY:g} the transformer does not grok: both accuracies rise together",
    statistic=f"log2 of the time to {LEARNT:.0%} test accuracy over that to {LEARNT:.0%} training "
    "accuracy",
    holds=below(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 6b; the accuracies and the factor of {FACTOR:g} are ours",
)
def no_delay_at_small_scale(seed: Repetition) -> Censored:
    """The published example of no grokking."""
    return lag(seed, seed.arm({"model.alpha": NO_DELAY}), LEARNT)
