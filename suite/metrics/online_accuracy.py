"""Online accuracy: of each batch before its update (Kumar et al. 2025, section 5).

It needs no held-out data and is what a stream is usually scored by: the mean over the whole run
counts how fast every task is learnt, not only how well the last one ends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from suite.metrics.base import Observation, StatefulMetric, metric
from suite.ranges import SHARE
from suite.streams.stream import Stream


@metric("online_accuracy", "share", "task", range=SHARE)
class RecentOnlineAccuracy(StatefulMetric):
    """Mean over the updates since the last measurement."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._updates = 0

    def __call__(self, seen: Observation) -> dict[str, Tensor]:
        """Return the mean; nothing before the first update, and nothing for other tasks."""
        if not isinstance(seen.task, Stream):
            return {}
        online = seen.task.online
        total, made = online.total, online.updates - self._updates
        recent = total if self._sum is None else total - self._sum
        self._sum, self._updates = total, online.updates
        return {"": recent / made} if made else {}

    def state_dict(self) -> dict[str, Any]:
        """Return the sum and the number of updates at the last measurement."""
        return {"sum": self._sum, "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._sum, self._updates = state["sum"], state["updates"]


@metric("average_online_accuracy", "share", "task", range=SHARE)
def average_online_accuracy(seen: Observation) -> dict[str, Tensor]:
    """Mean over all updates so far: in the last row, over the run."""
    if not isinstance(seen.task, Stream):
        return {}
    mean = seen.task.online.run_mean()
    return {} if mean is None else {"": mean}


@metric("task_online_accuracy", "share", "task", range=SHARE)
def task_online_accuracy(seen: Observation) -> dict[str, Tensor]:
    """Mean over the updates of a task, measured at its end; the layer is the task's number."""
    if not isinstance(seen.task, Stream) or (index := seen.task.ended(seen.step)) is None:
        return {}
    mean = seen.task.online.phase_mean()
    return {} if mean is None else {str(index): mean}


@metric("sample_plasticity", "share", "task", "model", range=SHARE)
def sample_plasticity(seen: Observation) -> dict[str, Tensor]:
    """How much the latest update lowered the loss of its own batch (Elsayed and Mahmood 2024).

    ``max(0, 1 - L(w+, z) / max(L(w, z), eps))``, with dropout and running statistics as in
    evaluation after the update.
    """
    if not isinstance(seen.task, Stream) or seen.task.last is None or seen.model is None:
        return {}
    (inputs, targets), before = seen.task.last
    with torch.no_grad():
        after = seen.criterion.loss(seen.model(inputs), targets)
    ratio = after / before.clamp_min(torch.finfo(before.dtype).eps)
    return {"": (1 - ratio).clamp_min(0)}
