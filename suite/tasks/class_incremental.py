"""Classes that arrive one group after another, the earlier ones staying (Dohare et al. 2024).

Their stream: CIFAR-100, five more classes every 200 epochs, batch 90, SGD whose rate jumps back to
its start with every group, in all arms. Outputs of classes that have not come yet are masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from suite.errors import ConfigError
from suite.seeding import Seeds
from suite.streams.boundary import Head
from suite.streams.config import StreamConfig
from suite.streams.phase import Length, Phase, Pool, shuffled
from suite.tasks.base import TASKS, SupervisedTaskConfig


@TASKS.register("class_incremental")
class ClassIncrementalConfig(StreamConfig):
    """More classes in every task, in a random order; those that have come stay.

    Attributes:
        tasks: number of phases.
        classes_per_task: classes that each adds.
        per_class: training examples of each class; the same number of all.
        epochs: passes over all examples so far.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "class_incremental",
            "dataset": "digits",
            "batch_size": 16,
            "tasks": 3,
            "classes_per_task": 2,
            "per_class": 20,
            "epochs": 1,
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    default_metrics: ClassVar[tuple[str, ...]] = SupervisedTaskConfig.default_metrics
    kind: Literal["class_incremental"] = "class_incremental"
    head: Head = "masked"
    tasks: Annotated[int, Field(ge=1)] = 5
    classes_per_task: Annotated[int, Field(ge=1)] = 2
    per_class: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=1)] = 10

    def lengths(self) -> Sequence[Length]:
        """Return sizes that grow by the same number of examples.

        Raises:
            ConfigError: if there are not so many classes.
        """
        if self.tasks * self.classes_per_task > self.data.classes:
            wanted = f"with {self.tasks} tasks at most {self.data.classes // self.tasks}: "
            wanted += f"{self.data.label} has {self.data.classes} classes"
            raise ConfigError("task.classes_per_task", self.classes_per_task, wanted)
        sizes = [(i + 1) * self.classes_per_task * self.per_class for i in range(self.tasks)]
        return [Length(size, self.epochs * self.per_epoch(size)) for size in sizes]

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return all examples of the classes so far; other classes are not asked for."""
        order = shuffled(pool.classes, seeds.torch("classes")).tolist()
        seen = order[: (index + 1) * self.classes_per_task]
        examples = [
            pool.of_class(label, self.per_class, seeds.torch(f"class/{label}")) for label in seen
        ]
        relabel = torch.full((pool.classes,), -1)
        relabel[seen] = torch.tensor(seen)
        outputs = torch.zeros(pool.classes, dtype=torch.bool)
        outputs[seen] = True
        return Phase(torch.cat(examples), f"order/{index}", relabel=relabel, outputs=outputs)
