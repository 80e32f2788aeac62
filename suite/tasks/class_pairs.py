"""Pairs of classes: every task tells two classes apart, with the same two outputs.

Continual ImageNet (Dohare et al. 2024): 600 images a class, batch 100, the head set to zero at each
new pair, thousands of pairs. With few classes pairs come again, with other examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from suite.seeding import Seeds
from suite.streams.boundary import Head
from suite.streams.config import StreamConfig
from suite.streams.phase import Length, Phase, Pool, check_one_length, shuffled
from suite.streams.tasks import MOST_TASKS
from suite.tasks.base import TASKS


@TASKS.register("class_pairs")
class ClassPairsConfig(StreamConfig):
    """Two classes in every task, drawn in random order; all pairs come before one comes again.

    Attributes:
        tasks: number of phases.
        per_class: training examples of each of the two classes.
        epochs: passes over them, or
        steps: updates.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "class_pairs",
            "dataset": "digits",
            "batch_size": 16,
            "tasks": 3,
            "per_class": 24,
            "steps": 4,
            "head": "fresh",
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    primary_metric: ClassVar[tuple[str, str]] = ("average_online_accuracy", "")
    kind: Literal["class_pairs"] = "class_pairs"
    head: Head = "zero"
    tasks: Annotated[int, Field(ge=1, le=MOST_TASKS)] = 10
    per_class: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> ClassPairsConfig:
        check_one_length(self.epochs, self.steps)
        return self

    def outputs(self) -> int:
        """Return two."""
        return 2

    def lengths(self) -> Sequence[Length]:
        """Return the same length for every task."""
        return [self.length(2 * self.per_class, self.epochs, self.steps)] * self.tasks

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return examples of the task's two classes, called 0 and 1."""
        pairs = torch.combinations(torch.arange(pool.classes))
        turn, place = divmod(index, len(pairs))
        order = shuffled(len(pairs), seeds.torch(f"pairs/{turn}"))
        pair = pairs[order[place]].tolist()
        examples = [
            pool.of_class(label, self.per_class, seeds.torch(f"examples/{index}/{label}"))
            for label in pair
        ]
        relabel = torch.full((pool.classes,), -1)
        relabel[pair] = torch.arange(2)
        return Phase(torch.cat(examples), f"order/{index}", relabel=relabel)
