"""Kumar et al. 2024, Figs. 1 and 4: late generalisation while the weight norm grows, in terms."""

from __future__ import annotations

import math

import numpy as np

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.kumar2024 import SOURCE, loss_on_test, rise
from suite.report.claims.shared import length
from suite.report.experiment import Repetition, Track

FIGURE_1 = "kumar2024_fig1"
NETWORK, TWIN = "network", "linearised"
BUMP, APART = 0.02, 0.1
"""Shares of the run: steps 2,000 and 10,000 of 100,000."""

COUNTS = 0.01
"""Share of the first test loss from which on a loss is compared with its terms; ours."""

SETTING = f"{SOURCE}, Fig. 1; the numbers are of a rerun of the authors' code"


@claim(
    "kumar2024.1a",
    experiment=FIGURE_1,
    says="The test loss first rises by a quarter or more",
    statistic=f"largest test loss within {BUMP:.0%} of the run over the first, less 1",
    holds=above(0.25),
    source=SETTING,
)
def rises_first(seed: Repetition) -> float:
    """Return the rise within the first 2% of the run."""
    return rise(_bump(seed)[0])


@claim(
    "kumar2024.1b",
    experiment=FIGURE_1,
    says="The test loss ends below a tenth of its start",
    statistic="test loss at the end over the first",
    holds=below(0.1),
    source=SETTING,
)
def ends_low(seed: Repetition) -> float:
    """Return the last test loss over the first."""
    track = loss_on_test(seed, NETWORK)
    return track.last / track.first


@claim(
    "kumar2024.1c",
    experiment=FIGURE_1,
    says="The test loss rises before it falls, while the training loss falls",
    statistic=f"largest test loss within {BUMP:.0%} of the run over the first, less 1; 0 unless "
    "it later falls below its start, and the training loss is below its own by then",
    holds=above(0.01),
    source=f"{SOURCE}, Fig. 1; 1% is ours. Regression on the linear part alone, which is what is "
    "learnt first, makes it D / (P - D - 1), 22%, in the mean",
)
def rises_at_all(seed: Repetition) -> float:
    """Return the rise within the first 2% of the run, of a run that goes on as is claimed."""
    test, train = loss_on_test(seed, NETWORK), seed.track(NETWORK, "loss", "train")
    early, peak = _bump(seed)
    later = test.between(peak, float(test.steps[-1]))
    learnt = later.values.min() < test.first and train.at(peak) < train.first
    return rise(early) if learnt else 0.0


@claim(
    "kumar2024.2",
    experiment=FIGURE_1,
    says="The weight norm grows on the way to generalisation, with no weight decay",
    statistic="weight norm at the end over the start",
    holds=above(1.0),
    source=f"{SOURCE}, Fig. 1",
)
def weight_norm_grows(seed: Repetition) -> float:
    """Return the last norm of all matrices over the first."""
    track = seed.track(NETWORK, "parameter_norm", "all")
    return track.last / track.first


@claim(
    "kumar2024.3a",
    experiment=FIGURE_1,
    says="Up to the peak of the test loss the network is its linearised twin",
    statistic="largest |loss / the twin's - 1| of training and test loss up to the peak of the "
    f"network's test loss within {BUMP:.0%} of the run",
    holds=below(0.05),
    source=SETTING,
)
def lazy_up_to_the_peak(seed: Repetition) -> float:
    """Return the largest relative difference from the twin before the peak."""
    _, peak = _bump(seed)
    return max(
        float(np.abs(_ratio(seed, split).between(0, peak).values - 1).max())
        for split in ("train", "test")
    )


@claim(
    "kumar2024.3b",
    experiment=FIGURE_1,
    says="Then it leaves its linearised twin behind: by a tenth of the run losses differ twofold",
    statistic=f"the twin's loss over the network's at {APART:.0%} of the run, the smaller of "
    "training and test",
    holds=above(2.0),
    source=SETTING,
)
def rich_by_a_tenth_of_the_run(seed: Repetition) -> float:
    """Return the twin's loss over the network's at a tenth of the run."""
    step = APART * length(seed, NETWORK)
    return min(1 / max(_ratio(seed, split).at(step), 1e-12) for split in ("train", "test"))


@claim(
    "kumar2024.4",
    experiment=FIGURE_1,
    says="The tangent kernel aligns itself with the target",
    statistic="alignment (one-sided centring, as in the authors' code) at the end over the start, "
    "less 1",
    holds=above(0.2),
    source=SETTING,
)
def kernel_aligns(seed: Repetition) -> float:
    """Return the relative growth of the alignment."""
    track = seed.track(NETWORK, "ntk_alignment", "one_sided")
    return track.last / track.first - 1


@claim(
    "kumar2024.9",
    experiment="kumar2024_fig4",
    says="Variance, misalignment and linear power add up to the test loss",
    statistic="mean over measurements of (sum of the terms / measured test loss - 1), where that "
    f"is at least {COUNTS:.0%} of its first value",
    holds=between(-0.1, 0.1),
    source=f"{SOURCE}, Fig. 4; 10% is ours, the standard error of a loss on 1,000 points",
)
def terms_are_the_test_loss(seed: Repetition) -> float:
    """Return the mean relative gap between the terms' sum and the measured test loss."""
    measured, total = loss_on_test(seed, NETWORK), seed.track(NETWORK, "loss_terms", "total")
    gaps = [
        total.at(step) / value - 1
        for step, value in zip(measured.steps, measured.values, strict=True)
        if value >= COUNTS * measured.first
    ]
    return math.fsum(gaps) / len(gaps)


def _bump(seed: Repetition) -> tuple[Track, float]:
    """Return the network's test loss within the first 2% of the run, and the step of its peak."""
    early = loss_on_test(seed, NETWORK).between(0, BUMP * length(seed, NETWORK))
    return early, float(early.steps[int(np.argmax(early.values))])


def _ratio(seed: Repetition, split: str) -> Track:
    """Return the network's loss over its twin's, at the network's measurements."""
    own, twin = (seed.track(arm, "loss", split) for arm in (NETWORK, TWIN))
    return Track(own.steps, own.values / np.array([twin.at(step) for step in own.steps]))
