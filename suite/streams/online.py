"""Online accuracy: the share of each batch that is right before the update that it is used for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class OnlineAccuracy:
    """Sums of batch accuracies, kept on the device: of the run, of the phase, of the epoch.

    Args:
        device: where the accuracies come from.

    Attributes:
        updates: of the run so far.
        phase_updates: of the phase so far.
    """

    def __init__(self, device: torch.device) -> None:
        self._sum = torch.zeros((), dtype=torch.float64, device=device)
        self._at_phase, self._at_epoch = self._sum.clone(), self._sum.clone()
        self.updates = self.phase_updates = 0
        self._epoch_updates = 0

    def add(self, accuracy: Tensor, updates: int = 1) -> None:
        """Add the accuracy of a batch, a scalar, or the sum of those of several updates."""
        self._sum += accuracy
        self.updates += updates
        self.phase_updates += updates
        self._epoch_updates += updates

    @property
    def total(self) -> Tensor:
        """Sum over the run, a scalar."""
        return self._sum.clone()

    def run_mean(self) -> Tensor | None:
        """Return the mean over the run so far; None before the first update."""
        return self._sum / self.updates if self.updates else None

    def phase_mean(self) -> Tensor | None:
        """Return the mean over the phase so far; None before its first update."""
        return (self._sum - self._at_phase) / self.phase_updates if self.phase_updates else None

    def since_epoch(self) -> float:
        """Return the mean since the last call or the start of the phase; waits for the device."""
        if not self._epoch_updates:
            return 0.0
        mean = (self._sum - self._at_epoch).item() / self._epoch_updates
        self._at_epoch.copy_(self._sum)
        self._epoch_updates = 0
        return mean

    def begin_phase(self) -> None:
        """Start the sums of a phase and of its first epoch."""
        self._at_phase.copy_(self._sum)
        self._at_epoch.copy_(self._sum)
        self.phase_updates = self._epoch_updates = 0

    def state_dict(self) -> dict[str, Any]:
        """Return everything with state."""
        return {
            "sums": torch.stack([self._sum, self._at_phase, self._at_epoch]),
            "updates": [self.updates, self.phase_updates, self._epoch_updates],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        sums = state["sums"].to(self._sum)
        for mine, other in zip((self._sum, self._at_phase, self._at_epoch), sums, strict=True):
            mine.copy_(other)
        self.updates, self.phase_updates, self._epoch_updates = state["updates"]
