"""Permuted labels: every task calls the classes by other numbers (Elsayed and Mahmood 2024).

Their streams have batch 1 and a change every 2,500 examples. Features can be reused, so this stream
shows forgetting in the head more than a loss of plasticity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from suite.seeding import Seeds
from suite.streams.phase import Phase, Pool, shuffled
from suite.streams.tasks import EqualTasksConfig
from suite.tasks.base import TASKS


@TASKS.register("label_permuted")
class LabelPermutedConfig(EqualTasksConfig):
    """The same examples in every task, their classes renamed by a random permutation."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "label_permuted",
            "dataset": "digits",
            "batch_size": 16,
            "tasks": 2,
            "examples_per_task": 48,
            "steps": 6,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    kind: Literal["label_permuted"] = "label_permuted"

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return the subset with a permutation of the classes, the same for all arms."""
        names = shuffled(pool.classes, seeds.torch(f"names/{index}"))
        return Phase(self.subset(pool, seeds), f"order/{index}", relabel=names)
