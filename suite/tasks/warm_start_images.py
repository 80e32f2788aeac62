"""Warm-started image classification: data arrive in phases (Ash and Adams 2020; Lyle et al. 2025).

Phase i trains on a random subset of a given fraction of the training images, the subsets nested;
the usual run is a fraction, then everything. A network warmed up on the small subset tends to end
below one that starts fresh on the full set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from suite.clock import Clock, Duration
from suite.config import Config
from suite.data.checks import CLASSES
from suite.data.images import SHAPES, TRAIN_SIZES, ImageSetName, load_images
from suite.errors import ConfigError
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask, SupervisedTaskConfig, epoch_order

PROBE = 256
EVALUATED = 10_000
"""Largest number of training images that the training accuracy is taken on."""


class PhaseConfig(Config):
    """One phase: which fraction of the training images, for how many passes or steps."""

    fraction: Annotated[float, Field(gt=0, le=1)]
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> PhaseConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ConfigError("epochs", self.epochs, "either 'epochs' or 'steps', not both")
        return self


@TASKS.register("warm_start_images")
class WarmStartImagesConfig(SupervisedTaskConfig):
    """Data set, phases and batch; the paper's are CIFAR-10 and 70 epochs each, its batch is not."""

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "warm_start_images",
            "batch_size": 16,
            "phases": [{"fraction": 0.05, "steps": 5}, {"fraction": 0.1, "steps": 7}],
        },
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
    }
    kind: Literal["warm_start_images"] = "warm_start_images"
    dataset: ImageSetName = "digits"
    phases: Annotated[tuple[PhaseConfig, ...], Field(strict=False, min_length=1)] = (
        PhaseConfig(fraction=0.1, epochs=70),
        PhaseConfig(fraction=1.0, epochs=70),
    )
    batch_size: Annotated[int, Field(ge=1)] = 128

    @property
    def seed_key(self) -> str:
        """The data set: arms with other phases see the same subsets and initial weights."""
        return f"{self.kind}/{self.dataset}"

    @property
    def label(self) -> str:
        """For instance ``warm_start_digits``."""
        return f"warm_start_{self.dataset}"

    def spec(self) -> ModelSpec:
        """Images (channels, height, width); ten classes."""
        return ModelSpec(inputs=Floats(SHAPES[self.dataset]), outputs=CLASSES)

    def prepare(self) -> None:
        """Find the files, or download them; digits need none."""
        if self.dataset != "digits":
            load_images(self.dataset)

    def examples(self, clock: Clock) -> list[int]:
        """The batch size, or what there is."""
        return [min(self.batch_size, size) for size in self.sizes()]

    def sizes(self) -> list[int]:
        """Return the number of images of each phase."""
        return [max(1, round(p.fraction * TRAIN_SIZES[self.dataset])) for p in self.phases]

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock whose phases have the lengths of the config.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        if budget is not None:
            raise ConfigError(
                "budget", budget.model_dump(), "no budget: the task's phases say how long it runs"
            )
        per_epoch = tuple(max(1, size // self.batch_size) for size in self.sizes())
        starts = [0]
        for phase, steps in zip(self.phases, per_epoch, strict=True):
            starts.append(starts[-1] + (phase.steps or (phase.epochs or 0) * steps))
        return Clock(starts[-1], tuple(starts[:-1]), per_epoch)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `WarmStartImages`."""
        return WarmStartImages(self, seeds, clock, device)


class WarmStartImages(SupervisedTask):
    """The images as bytes on the device, normalised a batch at a time."""

    def __init__(
        self, config: WarmStartImagesConfig, seeds: Seeds, clock: Clock, device: torch.device
    ) -> None:
        images = load_images(config.dataset)
        self.source = images.source
        self._images = torch.from_numpy(images.train_images).to(device)
        self._labels = torch.from_numpy(images.train_labels).to(device)
        pixels = self._images.float() / 255
        self._mean, self._std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
        del pixels
        self._test = (
            self._normalise(torch.from_numpy(images.test_images).to(device)),
            torch.from_numpy(images.test_labels).to(device),
        )

        count = len(self._labels)
        order = torch.randperm(count, generator=seeds.torch("subset")).to(device)
        self._subsets = [order[:size] for size in config.sizes()]
        probe = torch.randperm(count, generator=seeds.torch("probe"))[:PROBE].to(device)
        self.probe = self._normalise(self._images[probe])

        self._clock, self._seeds, self._batch_size = clock, seeds, config.batch_size
        # The n-th phase with a fraction draws the same orders whatever came before it.
        fractions = [phase.fraction for phase in config.phases]
        self._streams = [f"order/{f}/{fractions[:i].count(f)}" for i, f in enumerate(fractions)]
        self._epoch = (-1, -1)
        self._order = torch.empty(0, dtype=torch.int64)
        self._train: tuple[int, Batch] | None = None

    def _normalise(self, images: Tensor) -> Tensor:
        """Return (n, channels, height, width) floats, channels last in memory."""
        floats = images.float().div_(255).sub_(self._mean).div_(self._std)
        return floats.permute(0, 3, 1, 2)

    def _phase(self, step: int) -> int:
        return sum(start <= step for start in self._clock.starts) - 1

    def batch(self, step: int) -> Batch:
        """Return the next `batch_size` images of the phase's subset in the epoch's order."""
        phase = self._phase(step)
        subset = self._subsets[phase]
        size = min(self._batch_size, len(subset))
        per_epoch = len(subset) // size
        epoch, within = divmod(step - self._clock.starts[phase], per_epoch)
        if (phase, epoch) != self._epoch:
            order = epoch_order(self._seeds, self._streams[phase], epoch, len(subset))
            self._epoch, self._order = (phase, epoch), subset[order.to(subset.device)]
        index = self._order[within * size : (within + 1) * size]
        return self._normalise(self._images[index]), self._labels[index]

    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return the subset that the latest update drew from (at most 10,000) and the test set."""
        phase = self._phase(max(step - 1, 0))
        if self._train is None or self._train[0] != phase:
            index = self._subsets[phase][:EVALUATED]
            self._train = (phase, (self._normalise(self._images[index]), self._labels[index]))
        return {"train": self._train[1], "test": self._test}
