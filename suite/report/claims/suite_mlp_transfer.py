"""Our own claims: what projection and re-warming do for grokking carries over to an MLP."""

from __future__ import annotations

from suite.report.claims.base import above, claim
from suite.report.claims.lyle2025_grokking import REACHED, norms, step_reached
from suite.report.experiment import Ambiguous, NotMeasured, Repetition
from suite.report.statistics.censored import Censored

LOWER = 0.25
"""Difference in test accuracy that counts, of the 0.6 to 0.8 between floor and perfection."""


def rate_of(seed: Repetition, arm: str) -> str:
    """Return ``constant``, ``low`` or ``rewarmed``: what becomes of an arm's rate."""
    if seed.setting(arm, "schedule.kind") == "delayed":
        return "rewarmed"
    return "low" if float(seed.setting(arm, "schedule.value")) < 1 else "constant"


def arm_of(seed: Repetition, layers: str, pinned: bool, rate: str) -> str:
    """Return the arm with these norm layers, free or pinned norms, and rate.

    Raises:
        NotMeasured: if there is none.
        Ambiguous: if there are several.
    """
    network = {"model.norm": layers, **norms(pinned)}
    arms = [arm for arm in seed.arms_with(network) if rate_of(seed, arm) == rate]
    if len(arms) > 1:
        raise Ambiguous(f"{layers}, {pinned}, {rate}: {', '.join(arms)}")
    if not arms:
        raise NotMeasured(f"an arm with {layers}, {pinned}, {rate}")
    return arms[0]


def sooner(seed: Repetition, layers: str) -> Censored:
    """Return log10 of the step of 95% with free norms over that with pinned ones."""
    free, pinned = (step_reached(seed, arm_of(seed, layers, p, "constant")) for p in (False, True))
    return (free / pinned).log(10)


def gain(seed: Repetition, layers: str, pinned: bool) -> float:
    """Return the last test accuracy of the re-warmed arm less that of the low one."""
    warm, low = (
        seed.track(arm_of(seed, layers, pinned, rate), "accuracy", "test").last
        for rate in ("rewarmed", "low")
    )
    return warm - low


SOONER = f"log10(step of {REACHED:.0%} with free norms / with projection) at the constant rate"
OURS = "ours, after Lyle et al. 2025, Figs. 2 and 3; so is the threshold"


@claim(
    "suite.mlp_transfer.1a",
    experiment="lyle2025_mlp",
    says="In an MLP with norm layers projection makes grokking come sooner",
    statistic=SOONER,
    holds=above(0.0),
    source=OURS,
)
def projection_helps_with_norm_layers(seed: Repetition) -> Censored:
    """Return how much sooner a normalised MLP groks with projection."""
    return sooner(seed, "rms")


@claim(
    "suite.mlp_transfer.1b",
    experiment="lyle2025_mlp",
    says="In an MLP without norm layers it does too",
    statistic=SOONER,
    holds=above(0.0),
    source=OURS,
)
def projection_helps_without_norm_layers(seed: Repetition) -> Censored:
    """Return how much sooner a plain MLP groks with projection."""
    return sooner(seed, "none")


@claim(
    "suite.mlp_transfer.2a",
    experiment="lyle2025_mlp",
    says="Re-warming makes a projected MLP with norm layers grok on demand",
    statistic="last test accuracy of the re-warmed arm less that of the arm left at the low rate",
    holds=above(LOWER),
    source=OURS,
)
def re_warming_helps_with_norm_layers(seed: Repetition) -> float:
    """Return what re-warming adds to the test accuracy of a normalised, projected MLP."""
    return gain(seed, "rms", pinned=True)


@claim(
    "suite.mlp_transfer.2b",
    experiment="lyle2025_mlp",
    says="Re-warming makes a projected MLP without norm layers grok on demand",
    statistic="last test accuracy of the re-warmed arm less that of the arm left at the low rate",
    holds=above(LOWER),
    source=OURS,
)
def re_warming_helps_without_norm_layers(seed: Repetition) -> float:
    """Return what re-warming adds to the test accuracy of a plain, projected MLP."""
    return gain(seed, "none", pinned=True)


@claim(
    "suite.mlp_transfer.3",
    experiment="lyle2025_mlp",
    says="Re-warming does more with pinned norms than with free ones, norm layers or not",
    statistic="what re-warming adds to the test accuracy with projection, less the same without, "
    "mean over both networks",
    holds=above(0.0),
    source=OURS,
)
def re_warming_needs_projection(seed: Repetition) -> float:
    """Return how much more re-warming adds with projection than without."""
    nets = ("none", "rms")
    return sum(gain(seed, n, pinned=True) - gain(seed, n, pinned=False) for n in nets) / len(nets)
