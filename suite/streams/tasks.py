"""Streams of tasks of equal size: what permuted inputs, random labels and the like share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from torch import Tensor

from suite.errors import ConfigError
from suite.seeding import Seeds
from suite.streams.config import StreamConfig
from suite.streams.phase import Length, Pool, check_one_length, shuffled

MOST_TASKS = 1_000_000
"""Phases of a stream."""


class EqualTasksConfig(StreamConfig):
    """Base of the streams whose tasks all have as many examples and updates.

    Attributes:
        tasks: number of phases.
        examples_per_task: training examples of each; all by default.
        epochs: passes over them, or
        steps: updates.
    """

    primary_metric: ClassVar[tuple[str, str]] = ("average_online_accuracy", "")
    tasks: Annotated[int, Field(ge=1, le=MOST_TASKS)] = 10
    examples_per_task: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> EqualTasksConfig:
        check_one_length(self.epochs, self.steps)
        return self

    @property
    def size(self) -> int:
        """Training examples of a task.

        Raises:
            ConfigError: if there are fewer.
        """
        asked = self.examples_per_task or self.pool_size
        if asked > self.pool_size:
            wanted = f"at most the {self.pool_size:,} training examples of {self.data.label}"
            raise ConfigError("task.examples_per_task", asked, wanted)
        return asked

    def lengths(self) -> Sequence[Length]:
        """Return the same length for every task."""
        return [self.length(self.size, self.epochs, self.steps)] * self.tasks

    def subset(self, pool: Pool, seeds: Seeds) -> Tensor:
        """Return the examples that all tasks share, a random subset, (size,)."""
        return shuffled(len(pool), seeds.torch("subset"), self.size)
