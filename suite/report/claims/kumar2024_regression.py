"""Kumar et al. 2024 on images (Fig. 6a) and on students of a teacher (Figs. 8 and 17).

An arm that does not fit its training set has no lag that could be told.
"""

from __future__ import annotations

import math

import numpy as np

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.kumar2024 import FACTOR
from suite.report.claims.kumar2024_modular import lag
from suite.report.claims.shared import extremes
from suite.report.experiment import NotMeasured, Repetition, Track, Undetermined
from suite.report.statistics.censored import Censored, largest, smallest
from suite.report.statistics.transitions import rising
from suite.rows import THRESHOLDS, layer_of

IMAGES_LEVEL = 0.6
"""Accuracy at which times are taken for images, six times that of chance; ours."""

STUDENT_LEVEL = 0.9
"""The same for students; ours."""

HALF = 0.5
"""That of Fig. 8, which students reach at more of the scales than they reach 90%; ours."""

TOGETHER = 1.5
"""Ratio of times that is no lag; ours."""

LIKE_THE_START = 1.25
"""Factor within which a norm is the one of the start; ours."""


def threshold_lag(seed: Repetition, arm: str, threshold: float) -> Censored | None:
    """Return log2 of the time to `STUDENT_LEVEL` of the test points over that of the training ones.

    None if the training points are right at the start already, or never are.
    """
    train, test = (
        seed.track(arm, "accuracy_within", layer_of(split, threshold))
        for split in ("train", "test")
    )
    if train.first >= STUDENT_LEVEL or train.values.max() < STUDENT_LEVEL:
        return None
    first, second = (rising(track, STUDENT_LEVEL).clip(1.0) for track in (train, test))
    return (second / first).log()


def lags(seed: Repetition) -> list[Censored]:
    """Return the lags of the one arm of Fig. 17 over thresholds that tell anything.

    Raises:
        NotMeasured: if what it needs was not run.
    """
    arm = seed.arm({})
    found = [threshold_lag(seed, arm, threshold) for threshold in THRESHOLDS]
    kept = [value for value in found if value is not None]
    if len(kept) < 2:
        raise NotMeasured("two thresholds that training reaches after the start")
    return kept


def losses(seed: Repetition) -> tuple[Track, Track]:
    """Return training and test loss of the one arm of Fig. 17."""
    arm = seed.arm({})
    return seed.track(arm, "loss", "train"), seed.track(arm, "loss", "test")


@claim(
    "kumar2024.K9a",
    experiment="kumar2024_fig6a",
    says="On images a larger output scale lengthens the lag of test behind training accuracy",
    statistic=f"log2 of the ratio of times to {IMAGES_LEVEL:.0%}, at the largest alpha less that "
    "at the smallest",
    holds=above(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 6a; the accuracy and the factor of {FACTOR:g} are ours",
)
def scale_lengthens_the_lag(seed: Repetition) -> Censored:
    """A ratio, for at small scales everything takes longer: the rate stays."""
    (_, small), (_, large) = extremes(seed, "model.alpha")
    return lag(seed, large, IMAGES_LEVEL) - lag(seed, small, IMAGES_LEVEL)


@claim(
    "kumar2024.K9b",
    experiment="kumar2024_fig6a",
    says="On images there is no lag at the smallest output scale",
    statistic=f"log2 of the time to {IMAGES_LEVEL:.0%} test accuracy over that to "
    f"{IMAGES_LEVEL:.0%} training accuracy",
    holds=below(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 6a; the accuracy and the factor of {FACTOR:g} are ours",
)
def no_lag_at_the_smallest_scale(seed: Repetition) -> Censored:
    """With initial weights as large as in the other arms."""
    (_, small), _ = extremes(seed, "model.alpha")
    return lag(seed, small, IMAGES_LEVEL)


@claim(
    "kumar2024.K9c",
    experiment="kumar2024_fig6a",
    says="At the smallest output scale images are learnt with weights as large as at the start",
    statistic=f"norm of all weights at {IMAGES_LEVEL:.0%} test accuracy over that at the start",
    holds=between(1 / LIKE_THE_START, LIKE_THE_START),
    source="Kumar et al. 2024, Fig. 6a; the accuracy and the quarter are ours",
)
def learnt_with_large_weights(seed: Repetition) -> float:
    """Small norms are not what makes the smallest scale generalise at once.

    Raises:
        Undetermined: if a run ended before it was known.
    """
    (_, arm), _ = extremes(seed, "model.alpha")
    norm = seed.track(arm, "parameter_norm", "all")
    learnt = rising(seed.track(arm, "accuracy", "test"), IMAGES_LEVEL)
    if not learnt.exact:
        raise Undetermined(f"a test accuracy of {IMAGES_LEVEL:g} of arm {arm!r}")
    return norm.at(learnt.lo) / norm.first


@claim(
    "kumar2024.K11",
    experiment="kumar2024_fig8",
    says="The output scale alone changes a student's accuracy gap, its initial weights unchanged",
    statistic=f"largest less smallest log2 of the ratio of times to {HALF:.0%} over alpha, "
    "threshold 0.001",
    holds=above(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 8; {HALF:.0%} and the factor of {FACTOR:g} are ours",
)
def scale_moves_the_gap(seed: Repetition) -> Censored:
    """Times to 50%, which more of the scales reach than 90%."""
    extremes(seed, "model.alpha")
    found = [lag(seed, arm, HALF) for _, arm in seed.arms_by("model.alpha")]
    return largest(found) - smallest(found)


@claim(
    "kumar2024.14a",
    experiment="kumar2024_fig17",
    says="With some threshold a student's test accuracy lags far behind its training accuracy",
    statistic=f"largest log2 of the ratio of times to {STUDENT_LEVEL:.0%} over thresholds",
    holds=above(math.log2(FACTOR)),
    source=f"Kumar et al. 2024, Fig. 17; {STUDENT_LEVEL:.0%} and the factor of {FACTOR:g} are ours",
)
def a_gap_with_some_threshold(seed: Repetition) -> Censored:
    """Over the thresholds that training reaches, though not at the start."""
    return largest(lags(seed))


@claim(
    "kumar2024.14b",
    experiment="kumar2024_fig17",
    says="With another threshold the same run's accuracies rise together",
    statistic=f"smallest log2 of the ratio of times to {STUDENT_LEVEL:.0%} over thresholds",
    holds=below(math.log2(TOGETHER)),
    source=f"Kumar et al. 2024, Fig. 17; {STUDENT_LEVEL:.0%} and the factor of {TOGETHER:g} are "
    "ours",
)
def no_gap_with_another(seed: Repetition) -> Censored:
    """Over the thresholds that training reaches, though not at the start."""
    return smallest(lags(seed))


@claim(
    "kumar2024.14c",
    experiment="kumar2024_fig17",
    says="All the while the student's training and test loss stay within a small factor",
    statistic="largest ratio of test to training loss",
    holds=below(10.0),
    source="Kumar et al. 2024, Fig. 17; an order of magnitude is ours",
)
def losses_within_a_factor(seed: Repetition) -> float:
    """To the end of the run, when what is left of both is tiny."""
    train, test = losses(seed)
    return float((test.values / np.maximum(train.values, np.finfo(np.float32).tiny)).max())


@claim(
    "kumar2024.14d",
    experiment="kumar2024_fig17",
    says="On the scale on which the losses are drawn training and test loss are the same curve",
    statistic="largest difference of test and training loss over the initial training loss",
    holds=below(0.1),
    source="Kumar et al. 2024, Fig. 17; a tenth is ours",
)
def losses_look_alike(seed: Repetition) -> float:
    """A reading of the claim by eye: differences small beside the fall of both."""
    train, test = losses(seed)
    return float(np.abs(test.values - train.values).max()) / train.first
