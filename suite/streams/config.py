"""What every stream of a data set can be asked for: the base of their configs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from suite.clock import Clock, Duration
from suite.data.base import DataSpec
from suite.data.sets import AnyData, describe, load
from suite.errors import ConfigError
from suite.interventions.base import Bound, Intervention
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.streams.boundary import Boundary, Head
from suite.streams.phase import Length, Phase, Pool
from suite.tasks.base import Request, SupervisedTask, SupervisedTaskConfig

KEPT = 2**27
"""Largest size, in bytes, of a phase's inputs that are kept ready rather than made per batch."""

HELD_OUT = "validation"
"""Name of the held-out split that replaces the test set, and of the stream that draws it."""


class StreamConfig(SupervisedTaskConfig):
    """Base of the streams: a data set, phases, and what happens where one ends.

    A stream is defined by `lengths`, from its keys alone, and `phase`. Random draws are those of
    `Seeds`, so that arms which differ in anything but the data see the same examples.

    Attributes:
        dataset: a name, or one's own data by path (`suite.data.sets`).
        batch_size: examples per update; a smaller phase is one batch.
        validation: share of the training examples that is held out. The test set is then not
            looked at: the held-out examples are scored in its place. They are the same in all runs.
        augment: ``crop_flip`` shifts images by up to four pixels and mirrors half of them.
        transition: updates at the beginning of each later phase in which examples of the phase
            before are mixed in, a share that falls linearly (Liu and Mou 2026).
        until_accuracy: a phase ends early after an epoch in which this share of the examples was
            right before their updates. The updates that are left out are not counted: the next
            phase begins at its own step.
        optimizer_at_phase: ``fresh`` clears moments and step counts where a phase begins.
        buffers: ``fresh`` gives running statistics their initial values there.
        head: what happens to the output layer there: ``keep``, ``zero``, ``fresh`` initial values,
            or ``masked``, where only the outputs of the phase's classes count, in training and
            evaluation.
    """

    ends_phases: ClassVar[bool] = True
    """Whether it is measured at the end of each phase as well."""

    stream: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "average_online_accuracy",
        "online_accuracy",
        "task_online_accuracy",
        "loss",
        "effective_lr",
        "relative_update",
        "parameter_norm",
    )

    dataset: AnyData = "mnist1d"
    batch_size: Annotated[int, Field(ge=1)] = 128
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augment: Literal["none", "crop_flip"] = "none"
    transition: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    until_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None
    optimizer_at_phase: Literal["keep", "fresh"] = "keep"
    buffers: Literal["keep", "fresh"] = "keep"
    head: Head = "keep"

    def lengths(self) -> Sequence[Length]:
        """Return the size of each phase."""
        raise NotImplementedError

    def phase(self, index: int, pool: Pool, seeds: Seeds) -> Phase:
        """Return a phase: a function of its index, the seeds and the data.

        Raises:
            ConfigError: if the data lack what it needs.
        """
        raise NotImplementedError

    def outputs(self) -> int:
        """Return the number of outputs of the network; the number of classes by default."""
        return self.data.classes

    @cached_property
    def data(self) -> DataSpec:
        """The data set's shapes and sizes."""
        return describe(self.dataset)

    @property
    def minibatches(self) -> bool:
        """Batches are of equal sizes; phases that end early do so at steps of each run's own."""
        own = type(self).build is not StreamConfig.build
        return self.until_accuracy is None and not own

    @property
    def pool_size(self) -> int:
        """Number of training examples that phases choose from."""
        return self.data.train - round(self.validation * self.data.train)

    @property
    def held_out(self) -> str:
        """The split that the stream is scored on."""
        return HELD_OUT if self.validation else "test"

    @property
    def split_names(self) -> tuple[str, ...]:  # type: ignore[override]  # by the config
        """What the stream is evaluated on."""
        return "train", self.held_out

    @property
    def score(self) -> tuple[str, str]:
        """The primary metric; accuracies are those of the held-out split."""
        name, layer = self.primary_metric
        return name, self.held_out if layer == "test" else layer

    @property
    def seed_key(self) -> str:
        """The data set: arms with other phases see the same subsets and initial weights."""
        return f"{self.kind}/{self.data.label}"

    @property
    def label(self) -> str:
        """For instance ``permuted_mnist``."""
        return f"{self.kind}_{self.data.label}"

    def spec(self) -> ModelSpec:
        """Return inputs of the data set's shape and `outputs`."""
        return ModelSpec(inputs=Floats(self.data.shape), outputs=self.outputs())

    def prepare(self) -> None:
        """Find the files, or download or make them."""
        load(self.dataset)

    def examples(self, clock: Clock) -> list[int]:
        """Return the batch size of each phase, or what there is."""
        return [min(self.batch_size, length.examples) for length in self.lengths()]

    def bytes_kept(self, examples: int) -> int:
        """Return the size of a phase's inputs in float32 if they are kept ready, else 0."""
        size = 4 * examples * prod(self.data.shape)
        return size if self.augment == "none" and size <= KEPT else 0

    def ready_bytes(self) -> int:
        """Return the size of the inputs of the largest phase that is kept ready."""
        return max(map(self.bytes_kept, {length.examples for length in self.lengths()}))

    def check(self, run: Request) -> None:
        """Check that the parts of a run fit together.

        Raises:
            ConfigError: if augmentation is asked for data that are no images, or the phases are
                shorter than `transition`.
        """
        super().check(run)
        if self.augment != "none" and not self.data.images:
            raise ConfigError(
                "task.augment", self.augment, f"'none': {self.data.label} is no set of images"
            )
        shortest = min(length.steps for length in self.lengths())
        if self.transition > shortest:
            wanted = f"at most {shortest}, the updates of the shortest phase"
            raise ConfigError("task.transition", self.transition, wanted)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock whose phases have the lengths of the config.

        Raises:
            ConfigError: if there is a budget.
        """
        if budget is not None:
            raise ConfigError(
                "budget", budget.model_dump(), "no budget: the task's phases say how long it runs"
            )
        lengths = self.lengths()  # of up to a million phases, most of them of one size
        starts = tuple(accumulate((length.steps for length in lengths), initial=0))
        per_epoch = {size: self.per_epoch(size) for size in {each.examples for each in lengths}}
        passes = tuple([per_epoch[length.examples] for length in lengths])
        return Clock(starts[-1], starts[:-1], passes)

    def length(self, examples: int, epochs: int | None, steps: int | None) -> Length:
        """Return the length of a phase with so many passes, or so many updates."""
        return Length(examples, steps or (epochs or 0) * self.per_epoch(examples))

    def per_epoch(self, examples: int) -> int:
        """Return the updates of a pass over so many examples; what is left over is dropped."""
        return max(1, examples // self.batch_size)

    def check_memory(self, run: Request) -> None:
        """The data are held as they are stored."""

    def at_phase(self, bound: Bound) -> Intervention | None:
        """Return what resets the optimizer, buffers and head where a phase begins, if asked for."""
        return Boundary.of(self.optimizer_at_phase, self.buffers, self.head, bound)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return the `suite.streams.stream.Stream`."""
        from suite.streams.stream import Stream

        return Stream(self, seeds, clock, device)
