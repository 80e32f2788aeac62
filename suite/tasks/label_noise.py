"""Labels that become cleaner: the same examples, a falling share of wrong labels from task to task.

Lee et al. 2024 train on growing data whose labels are 50, 40, 40, 30, 30, 20, 20, 10, 10 and 0 per
cent wrong; here the data stay, so that noise is all that changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from suite.seeding import Seeds
from suite.streams.phase import Phase, Pool, wrong_labels
from suite.streams.tasks import EqualTasksConfig
from suite.tasks.base import TASKS


@TASKS.register("label_noise")
class LabelNoiseConfig(EqualTasksConfig):
    """The same examples in every task; the share of wrong labels goes from `start` to `end`."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "label_noise",
            "dataset": "digits",
            "batch_size": 16,
            "tasks": 3,
            "examples_per_task": 64,
            "epochs": 1,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    primary_metric: ClassVar[tuple[str, str]] = ("accuracy", "test")
    kind: Literal["label_noise"] = "label_noise"
    start: Annotated[float, Field(ge=0, le=1)] = 0.5
    end: Annotated[float, Field(ge=0, le=1)] = 0.0

    def noise(self, index: int) -> float:
        """Return the share of wrong labels of a task; it changes by equal steps."""
        return self.start + (self.end - self.start) * index / max(1, self.tasks - 1)

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return the subset with wrong labels of the task's own, the same for all arms."""
        examples = self.subset(pool, seeds)
        generator = seeds.torch(f"noise/{index}")
        labels = wrong_labels(pool.labels[examples], self.noise(index), pool.classes, generator)
        return Phase(examples, f"order/{index}", labels=labels)
