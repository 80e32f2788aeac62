"""The engine interface: what the launcher must know about a kind of run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch

from suite.errors import ConfigError, DivergedError
from suite.launch.calibrate import Cost
from suite.records.run_folder import RunState
from suite.run_config import RunConfig
from suite.text.secrets import redact

Outcome = tuple[RunState, str]
"""How a run ended, and why."""

R = TypeVar("R", bound=RunConfig)

SIDE_BY_SIDE = 16
"""Largest number of runs that are trained at once in one trial."""


def outcome(error: Exception | None) -> Outcome:
    """Return how a run ended that an error ended, or none."""
    if error is None:
        return "complete", ""
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    if isinstance(error, ConfigError):
        return "failed", str(error)
    return "failed", redact(f"{type(error).__name__}: {error}")


class Engine(ABC, Generic[R]):
    """What is done with the runs of one kind.

    Attributes:
        x: what learning curves are drawn over: gradient steps or emulator frames.
    """

    x: ClassVar[Literal["steps", "frames"]]

    @abstractmethod
    def of(self, config: RunConfig) -> R:
        """Return a run with its parts by their types."""

    @abstractmethod
    def train(self, runs: Sequence[RunConfig], sessions: Sequence[Any]) -> list[Outcome]:
        """Train the runs of a trial; return how each of them ended."""

    def batch_key(self, config: RunConfig) -> Hashable | None:
        """Return what runs must share to be trained at once; None if this one is trained alone."""
        return None

    def parted_by(self, config: RunConfig) -> list[str]:
        """Return the parts of plugins without which a run could be trained at once with others."""
        return []

    def bundles(self, config: RunConfig) -> list[dict[str, float]]:
        """Return what a trial asks of the machine: for itself, then for each process it starts."""
        return [{"CPU": config.resources.cpus, "GPU": config.resources.gpus}]

    def replay_bytes(self, config: RunConfig) -> int:
        """Return the memory of a run apart from its network."""
        return 0

    def check_memory(self, configs: Iterable[RunConfig], slots: int) -> None:
        """Check that what the trials that run side by side remember fits into the host's memory.

        Args:
            configs: runs of this engine.
            slots: how many trials run at a time.

        Raises:
            ConfigError: if it does not.
        """

    def measured_cost(self, group: Sequence[RunConfig]) -> Cost:
        """Return what each run of a trial costs, measured here and now.

        Args:
            group: runs that are trained at once, or one run.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(group[0].resources.threads)
        try:
            return self._measured([self.of(config) for config in group])
        finally:
            torch.set_num_threads(threads)

    @abstractmethod
    def _measured(self, group: Sequence[R]) -> Cost:
        """Measure, with the run's own number of threads."""

    @abstractmethod
    def arithmetic_cost(self, config: RunConfig, at_once: int = 1) -> Cost:
        """Return what a run costs by its arithmetic and rules of thumb.

        Args:
            config: the run; if its phases differ in their batches, the updates are of the first.
            at_once: how many runs share each update (`suite.training.batched`), and its overhead.
        """

    @abstractmethod
    def run_seconds(self, config: RunConfig, cost: Cost) -> float:
        """Return the predicted seconds of a run, on one thread of this machine."""

    def start_seconds(self, first: bool, runs: int) -> float:
        """Return the other seconds of a trial of some runs; `first` if its worker has had none."""
        return 0.0

    def at_hand(self, config: RunConfig) -> bool:
        """Return whether a run can be built in a moment: no large data to load or download."""
        return True
