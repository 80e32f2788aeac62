"""Regression on one-hot labels of a few images (Liu et al. 2023; Kumar et al. 2024, Fig. 6a).

The images for training and for testing are drawn from the training images of a data set, their
pixels in [0, 1]. Batches run through the training images in a fixed order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.data.checks import CLASSES
from suite.data.sets import describe, load
from suite.errors import ConfigError
from suite.losses import ONE_HOT_SQUARED
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask, SupervisedTaskConfig

PROBE = 256

ImageSetName = Literal["digits", "mnist", "cifar10"]


@TASKS.register("image_regression")
class ImageRegressionConfig(SupervisedTaskConfig):
    """Regression on one-hot labels of a few images; the defaults are from Kumar et al. 2024.

    Attributes:
        dataset: source of the images.
        points: number of images for training.
        test_points: number of other images for testing.
        batch_size: images per update; without it each update sees all.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "image_regression",
            "dataset": "digits",
            "points": 20,
            "test_points": 10,
            "batch_size": 5,
        },
        "model": {"kind": "mlp", "width": 8, "norm": "layer"},
        "budget": 12,
    }
    kind: Literal["image_regression"] = "image_regression"
    dataset: ImageSetName = "mnist"
    points: Annotated[int, Field(ge=1)] = 1000
    test_points: Annotated[int, Field(ge=1)] = 2000
    batch_size: Annotated[int, Field(ge=1)] | None = 200

    @property
    def seed_key(self) -> str:
        """The data set: arms with other batches see the same images and initial weights."""
        return f"{self.kind}/{self.dataset}"

    @property
    def label(self) -> str:
        """For instance ``image_regression_mnist``."""
        return f"{self.kind}_{self.dataset}"

    @property
    def whole_batch(self) -> bool:
        """Whether there is no batch size."""
        return self.batch_size is None

    def spec(self) -> ModelSpec:
        """Images (channels, height, width); ten outputs."""
        return ModelSpec(inputs=Floats(describe(self.dataset).shape), outputs=CLASSES)

    def prepare(self) -> None:
        """Find the files, or download them."""
        load(self.dataset)

    def examples(self, clock: Clock) -> list[int]:
        """The batch size, or all."""
        return [min(self.batch_size or self.points, self.points)]

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock with epochs of the training images.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        if budget is None:
            raise ConfigError("budget", None, "a number of gradient steps, such as 20000")
        most = describe(self.dataset).train
        if self.points + self.test_points > most:
            wanted = f"at most {most} with task.points"
            raise ConfigError("task.test_points", self.test_points, wanted)
        per_epoch = (max(1, self.points // self.examples(Clock(1))[0]),)
        total = Clock(1, steps_per_epoch=per_epoch).steps(budget, "budget")
        return Clock(total, steps_per_epoch=per_epoch)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return an `ImageRegression`."""
        return ImageRegression(self, seeds, device)


class ImageRegression(SupervisedTask):
    """Images as floats on the device."""

    criterion = ONE_HOT_SQUARED

    def __init__(self, config: ImageRegressionConfig, seeds: Seeds, device: torch.device) -> None:
        images = load(config.dataset)
        self.source = images.source
        order = torch.randperm(len(images.train_labels), generator=seeds.torch("subset"))

        def part(index: Tensor) -> Batch:
            pixels = torch.from_numpy(images.train_inputs[index.numpy()])
            floats = pixels.to(device, torch.get_default_dtype()).div_(255)
            labels = torch.from_numpy(images.train_labels[index.numpy()])
            return floats.permute(0, 3, 1, 2).contiguous(), labels.to(device)

        self._train = part(order[: config.points])
        self._test = part(order[config.points : config.points + config.test_points])
        self.probe = self._train[0][:PROBE]
        size = min(config.batch_size or config.points, config.points)
        self._batches = [
            (self._train[0][start : start + size], self._train[1][start : start + size])
            for start in range(0, config.points - size + 1, size)
        ]

    def batch(self, step: int) -> Batch:
        """Return the next images of the order; a rest that fills no batch is left out."""
        return self._batches[step % len(self._batches)]

    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return the images for training and for testing."""
        return {"train": self._train, "test": self._test}
