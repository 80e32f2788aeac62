"""Accuracy on earlier tasks: the matrix A, forgetting and backward transfer.

``A[k, j]`` is the accuracy on the held-out data of task j at the end of task k. Where a stream has
more than `MOST_TASKS` tasks, only the task that ends and the one before it are scored.

References:
    Lopez-Paz and Ranzato 2017, Gradient Episodic Memory for Continual Learning (matrix, transfer);
    Kumar et al. 2025, A.2 (the transfer of one step).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from suite.metrics.base import Observation, StatefulMetric, metric
from suite.models.predict import predict
from suite.ranges import SHARE
from suite.streams.stream import Stream

MOST_TASKS = 50
"""Tasks of a stream whose whole matrix is measured."""


def accuracies(seen: Observation) -> dict[int, Tensor]:
    """Return the accuracy on each task that is scored now, the one that ends last.

    Empty unless a task ends. Measured once, however many metrics ask.
    """
    stream = seen.task
    if not isinstance(stream, Stream) or seen.model is None:
        return {}
    if (index := stream.ended(seen.step)) is None:
        return {}
    if stream.scores is None or stream.scores[0] != seen.step:
        first = 0 if len(stream.clock.starts) <= MOST_TASKS else max(0, index - 1)
        found = {}
        for task in range(first, index + 1):
            if (data := stream.held_out(task)) is not None:
                inputs, targets = data
                found[task] = seen.criterion.correct(predict(seen.model, inputs), targets)
        stream.scores = (seen.step, found)
    return dict(stream.scores[1])


@metric("task_accuracy", "share", "task", "model", range=SHARE)
def task_accuracy(seen: Observation) -> dict[str, Tensor]:
    """Accuracy on each task so far, at the end of a task; the layer is the number of the scored."""
    return {str(task): value for task, value in accuracies(seen).items()}


class _Since(StatefulMetric):
    """Base of metrics that compare with the accuracy of each task at its own end."""

    def __init__(self) -> None:
        self.at_end: dict[int, Tensor] = {}

    def changes(self, seen: Observation) -> dict[int, Tensor]:
        """Return ``A[k, j] - A[j, j]`` of the earlier tasks j, and keep ``A[k, k]``."""
        found = accuracies(seen)
        if not found:
            return {}
        last = max(found)
        known = self.at_end  # not of tasks whose ends were not measured
        changes = {j: a - known[j] for j, a in found.items() if j < last and j in known}
        self.at_end[last] = found[last]
        return changes

    def state_dict(self) -> dict[str, Any]:
        """Return the accuracies at the ends of the tasks."""
        return {"at_end": dict(self.at_end)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.at_end = dict(state["at_end"])


@metric("forgetting", "1", "task", "model", range=SHARE.difference())
class Forgetting(_Since):
    """``A[j, j] - A[k, j]`` of each earlier task j at the end of task k; the layer is j."""

    def __call__(self, seen: Observation) -> dict[str, Tensor]:
        """Return it where a task ends."""
        return {str(j): -change for j, change in self.changes(seen).items()}


@metric("backward_transfer", "1", "task", "model", range=SHARE.difference())
class BackwardTransfer(_Since):
    """Mean of ``A[k, j] - A[j, j]`` over the earlier tasks; ``one_step`` is that of task k - 1."""

    def __call__(self, seen: Observation) -> dict[str, Tensor]:
        """Return both where a task ends."""
        changes = self.changes(seen)
        if not changes:
            return {}
        mean = torch.stack(list(changes.values())).mean()
        whole = len(seen.task.clock.starts) <= MOST_TASKS
        return {"one_step": changes[max(changes)]} | ({"": mean} if whole else {})
