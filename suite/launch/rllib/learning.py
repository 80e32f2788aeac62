"""Learning: by the learner of this process, or by remote learners that share each batch.

Remote learners average their gradients (distributed data parallel: gloo on CPUs, nccl on GPUs) and
do everything else in the same way: schedule, interventions, noise and target copies depend only on
the step, the seeds and the averaged gradients, so their networks stay equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.rllib.core.learner.learner_group import LearnerGroup
from torch import Tensor

from suite.errors import DivergedError
from suite.launch.rllib.learner import NapLearner
from suite.replay.frame_ring import Sample
from suite.rl.batches import to_tensors
from suite.rows import Event
from suite.tasks.switch import SwitchConfig
from suite.training.observer import Value


class Learning(Protocol):
    """Who makes the updates.

    Attributes:
        device: where tensors of the caller's should live.
    """

    device: torch.device

    def start(self, probe: Tensor) -> None:
        """Begin the run at step 0, with the observations on which features are read."""

    def batches(self, sample: Sample, size: int) -> Sequence[Any]:
        """Return batches of `size` of a sample as `learn` takes them, in their order."""

    def learn(self, batch: Any) -> None:
        """Make one update."""

    def switch(self, switch: SwitchConfig) -> None:
        """Go on in another environment and forget what `switch` says."""

    def errors(self) -> NDArray[np.float32]:
        """Return the errors of the latest batch, (batch,), for the replay."""

    def weights(self) -> list[Tensor]:
        """Return the parameters of the online network."""

    def events(self) -> list[Event]:
        """Return what happened at updates since the last call, in the order of the steps."""

    def check(self) -> None:
        """Check that the latest loss is finite."""

    def measure(self) -> list[Value]:
        """Return what the learner has to show."""


class LocalLearning:
    """The learner of this process."""

    def __init__(self, learner: NapLearner) -> None:
        self.learner, self.device = learner, learner.device
        self._weights: list[Tensor] = list(learner.net.q.parameters())

    def start(self, probe: Tensor) -> None:
        """Begin the run."""
        self.learner.start(probe)

    def batches(self, sample: Sample, size: int) -> Sequence[Any]:
        """Return batches on the learner's device, moved there at once."""
        return self.learner.split(to_tensors(sample, self.device), size)

    def learn(self, batch: Any) -> None:
        """Make one update."""
        self.learner.learn(batch)

    def switch(self, switch: SwitchConfig) -> None:
        """Go on in another environment."""
        self.learner.switch(switch)

    def errors(self) -> NDArray[np.float32]:
        """Return the errors of the latest batch; this waits for the device."""
        found: NDArray[np.float32] = self.learner.errors.float().cpu().numpy()
        return found

    def weights(self) -> list[Tensor]:
        """Return the parameters themselves."""
        return self._weights

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self.learner.take_events() if self.learner.events else []

    def check(self) -> None:
        """Check the latest loss."""
        self.learner.check()

    def measure(self) -> list[Value]:
        """Return the learner's values."""
        return self.learner.measure()


class RemoteLearning:
    """The remote learners of an RLlib group; each gets an equal part of every batch."""

    def __init__(self, group: LearnerGroup) -> None:
        self.workers: list[Any] = list(group._workers or ())
        self.device = torch.device("cpu")
        self._errors = np.empty(0, np.float32)
        self._events: list[Event] = []

    def _all(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every learner and return the answers, in their order.

        Raises:
            DivergedError: if a learner has diverged.
        """
        calls = [getattr(worker, method).remote(*arguments) for worker in self.workers]
        try:
            return list(ray.get(calls))
        except DivergedError as error:  # without the trace of the other process
            raise DivergedError(str(getattr(error, "cause", error))) from None

    def start(self, probe: Tensor) -> None:
        """Begin the run."""
        self._all("start", probe)

    def batches(self, sample: Sample, size: int) -> Sequence[Any]:
        """Return samples."""
        return sample.parts(size)

    def learn(self, batch: Any) -> None:
        """Make one update, every learner on its part of the batch."""
        fields = {k: v for k, v in vars(batch).items() if v is not None and k != "index"}
        count = len(self.workers)
        parts = {k: np.array_split(np.asarray(v), count) for k, v in fields.items()}
        calls = [
            worker.learn_part.remote({k: v[i] for k, v in parts.items()})
            for i, worker in enumerate(self.workers)
        ]
        answers = ray.get(calls)
        self._errors = np.concatenate([errors for errors, _ in answers])
        self._events += answers[0][1]

    def switch(self, switch: SwitchConfig) -> None:
        """Continue in another environment, with all learners."""
        self._all("switch", switch)

    def errors(self) -> NDArray[np.float32]:
        """Return the errors of the latest batch."""
        return self._errors

    def weights(self) -> list[Tensor]:
        """Return a copy of the first learner's parameters."""
        found: list[Tensor] = ray.get(self.workers[0].parameters.remote())
        return found

    def events(self) -> list[Event]:
        """Return what happened since the last call; all learners have the same."""
        events, self._events = self._events, []
        return events

    def check(self) -> None:
        """Check the latest losses."""
        self._all("check")

    def measure(self) -> list[Value]:
        """Return the first learner's values, with the loss averaged over all."""
        measured = self._all("measure")
        losses = [v for values in measured for name, _, v in values if name == "batch_loss"]
        mean = float(np.mean(losses)) if losses else 0.0
        return [(n, k, mean if n == "batch_loss" else v) for n, k, v in measured[0]]
