"""Random labels: every task gives the same inputs new labels, which can only be memorised.

Kumar et al. 2025 (1,200 images, batch 16, 400 epochs, 50 tasks); Lyle et al. 2024, experiments N3
(500 redraws) and N9 (200 tasks of 100,000 updates). There is nothing to generalise, so no held-out
data are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch

from suite.seeding import Seeds
from suite.streams.phase import Phase, Pool
from suite.streams.tasks import EqualTasksConfig
from suite.tasks.base import TASKS


@TASKS.register("random_labels")
class RandomLabelsConfig(EqualTasksConfig):
    """The same inputs in every task, each with a uniformly drawn class."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "random_labels",
            "dataset": "digits",
            "batch_size": 16,
            "tasks": 2,
            "examples_per_task": 48,
            "steps": 6,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    kind: Literal["random_labels"] = "random_labels"

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return the subset with labels of the task's own, the same for all arms."""
        generator = seeds.torch(f"labels/{index}")
        labels = torch.randint(0, pool.classes, (self.size,), generator=generator)
        return Phase(self.subset(pool, seeds), f"order/{index}", labels=labels, tested=False)
