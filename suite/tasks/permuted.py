"""Permuted inputs: every task is the same data with the inputs in another order.

Goodfellow et al. 2013; as a test of plasticity Dohare et al. 2024 (800 tasks of 60,000 MNIST
images, one pass, batch 1) and Kumar et al. 2025 (500 tasks of 10,000 images, one pass, batch 16).
Labels stay, so the distribution of outputs carries over from task to task.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar, Literal

from suite.seeding import Seeds
from suite.streams.phase import Phase, Pool, shuffled
from suite.streams.tasks import EqualTasksConfig
from suite.tasks.base import TASKS


@TASKS.register("permuted")
class PermutedConfig(EqualTasksConfig):
    """The same examples in every task, their inputs in a random order of the task's own.

    With `first_in_order` the first task has the inputs as they are.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "permuted",
            "dataset": "digits",
            "batch_size": 16,
            "tasks": 3,
            "examples_per_task": 64,
            "epochs": 1,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    kind: Literal["permuted"] = "permuted"
    first_in_order: bool = False

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return the subset with a permutation of the task's own, the same for all arms."""
        permutation = None
        if index or not self.first_in_order:
            permutation = shuffled(prod(pool.shape), seeds.torch(f"permutation/{index}"))
        return Phase(self.subset(pool, seeds), f"order/{index}", permutation=permutation)
