"""Claims of Lyle et al. 2024 on how projection is done: how often, and of which layers.

The paper speaks of returns in Rainbow that differ by less than the noise between seeds. These
experiments are streams of random labels, whose average online accuracy takes the place of returns.
A statistic sees one seed, whose arms have the same labels and batches, so its noise is that of a
mean of paired differences over the tasks of the stream.
"""

from __future__ import annotations

import numpy as np

from suite.report.claims.base import above, below, claim
from suite.report.claims.shared import extremes
from suite.report.experiment import Array, NotMeasured, Repetition

ERRORS = 2.0
"""Difference, in standard errors, that counts as one; ours."""

STATISTIC = (
    "absolute difference of the average online accuracies, in standard errors of a mean over the "
    "tasks: s / sqrt(tasks), with s the standard deviation of the differences of the online "
    "accuracies of single tasks, taken from differences of successive tasks"
)


def standard_error(differences: Array) -> float:
    """Return the standard error of the mean of differences, one for each task, (tasks,).

    It is ``s / sqrt(tasks)``, s the standard deviation, trends left out: half the mean of the
    squared differences of successive tasks is the variance (von Neumann et al. 1941).

    Raises:
        NotMeasured: if all are the same.
    """
    variance = np.square(np.diff(differences)).mean() / 2
    found = float(np.sqrt(variance / len(differences)))
    if found == 0.0:
        raise NotMeasured("differences of arms that vary from task to task")
    return found


def apart(seed: Repetition, usual: str, other: str) -> float:
    """Return by how many standard errors two arms differ.

    Raises:
        NotMeasured: if they do not have the same tasks, at least two.
    """
    arms = (usual, other)
    one, two = (seed.track(arm, "average_online_accuracy").last for arm in arms)
    tasks = [seed.over_tasks(arm, "task_online_accuracy") for arm in arms]
    if len(tasks[0].steps) < 2 or not np.array_equal(tasks[0].steps, tasks[1].steps):
        raise NotMeasured(f"the same tasks, two or more, in arms {usual!r} and {other!r}")
    return abs(two - one) / standard_error(tasks[1].values - tasks[0].values)


@claim(
    "lyle2024.7",
    experiment="lyle2024_nap_interval",
    says="Projection every 1,000 updates does as well as after every update",
    statistic=STATISTIC,
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
    statistic=STATISTIC,
    holds=above(ERRORS),
    source="after Lyle et al. 2024, which does not test it; stream and threshold ours",
)
def output_layer_matters(seed: Repetition) -> float:
    """See the claim."""
    free, projected = (
        seed.arm({"interventions.nap.which": which}) for which in ("invariant", "matrices")
    )
    return apart(seed, free, projected)
