"""Claims of Lyle et al. 2024 on how projection is done: how often, and of which layers.

The paper speaks of returns in Rainbow that differ by less than the noise between seeds. These
experiments are streams of random labels, whose average online accuracy takes the place of returns.
A statistic sees one seed, so its noise is that of two means over the tasks of the stream: the
standard error of their difference, from the scatter of accuracies from task to task.
"""

from __future__ import annotations

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.lyle2024_plasticity import at_task_ends
from suite.report.claims.shared import extremes
from suite.report.experiment import NotMeasured, Repetition

ERRORS = 2.0
"""Difference, in standard errors, that counts as one; ours."""

STATISTIC = (
    "absolute difference of the average online accuracies, in standard errors of a difference of "
    "two means over the tasks: s sqrt(2 / tasks), with s the standard deviation of the online "
    "accuracies of single tasks with {of}, taken from differences of successive tasks"
)


def standard_error(seed: Repetition, arm: str) -> float:
    """Return the standard error of the difference of two means over as many tasks as an arm has.

    It is ``s sqrt(2 / tasks)``, s the standard deviation of the online accuracies of tasks, trends
    left out: half the mean of the squared differences of successive tasks is the variance (von
    Neumann et al. 1941).

    Raises:
        NotMeasured: if all tasks have the same accuracy.
    """
    ends = np.array(at_task_ends(seed, arm, "task_online_accuracy"))
    variance = np.square(np.diff(ends)).mean() / 2
    found = float(np.sqrt(variance * 2 / len(ends)))
    if found == 0.0:
        raise NotMeasured(f"tasks of different accuracies in arm {arm!r}")
    return found


def apart(seed: Repetition, usual: str, other: str) -> float:
    """Return by how many standard errors two arms differ, from the scatter of the usual one."""
    one, two = (seed.track(arm, "average_online_accuracy").last for arm in (usual, other))
    return abs(one - two) / standard_error(seed, usual)


@claim(
    "lyle2024.7",
    experiment="lyle2024_nap_interval",
    says="Projection every 1,000 updates does as well as after every update",
    statistic=STATISTIC.format(of="the shortest interval"),
    holds=below(ERRORS),
    source="after Lyle et al. 2024, on Rainbow; the stream and the threshold are ours",
)
def interval_does_not_matter(seed: Repetition) -> float:
    """See the claim."""
    (_, shortest), (_, longest) = extremes(seed, "interventions.nap.every")
    return apart(seed, shortest, longest)


@claim(
    "lyle2024.12",
    experiment="lyle2024_output",
    says="Projecting the output layer too changes what is learnt",
    statistic=STATISTIC.format(of="the output layer free"),
    holds=above(ERRORS),
    source="after Lyle et al. 2024, which does not test it; stream and threshold ours",
)
def output_layer_matters(seed: Repetition) -> float:
    """See the claim."""
    free, projected = (
        seed.arm({"interventions.nap.which": which}) for which in ("invariant", "matrices")
    )
    return apart(seed, free, projected)
