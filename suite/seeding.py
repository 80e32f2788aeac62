"""Named seed streams: every random draw belongs to a stream hashed from (task, repetition, stream).

Arms of a sweep that differ in schedule or intervention share the task and the repetition, and so
the data split, the initial weights, the batch order and the environment seeds. Comparisons between
them are paired.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def seed_for(task: str, repetition: int, stream: str) -> int:
    """Hash a stream's name to a seed in [0, 2**63).

    >>> seed_for("digits", 0, "init") == seed_for("digits", 0, "init")
    True
    >>> seed_for("digits", 0, "init") == seed_for("digits", 1, "init")
    False
    """
    digest = hashlib.sha256(f"{task}\x1f{repetition}\x1f{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True)
class Seeds:
    """The streams of one run: `task` is the task's seed key, `repetition` the run's seed."""

    task: str
    repetition: int

    def seed(self, stream: str) -> int:
        """Return the integer seed of a stream."""
        return seed_for(self.task, self.repetition, stream)

    def torch(self, stream: str) -> torch.Generator:
        """Return a fresh CPU torch generator at the start of a stream."""
        import torch

        return torch.Generator().manual_seed(self.seed(stream))

    def numpy(self, stream: str) -> np.random.Generator:
        """Return a fresh numpy generator at the start of a stream."""
        import numpy as np

        return np.random.default_rng(self.seed(stream))
