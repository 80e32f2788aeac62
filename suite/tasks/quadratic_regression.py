"""Regression on a quadratic of one direction of Gaussian inputs (Kumar et al. 2024, section 1).

::

    x ~ N(0, I / D)         y = (beta . x)^2 / 2,  beta ~ N(0, I)

A fixed set of P points for training, another for testing, the same beta in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.criteria import SQUARED
from suite.errors import ConfigError
from suite.models.base import ModelSpec
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask, SupervisedTaskConfig


@TASKS.register("quadratic_regression")
class QuadraticRegressionConfig(SupervisedTaskConfig):
    """Sizes; each update sees the whole training set.

    Attributes:
        dimension: D.
        points: P, for training.
        test_points: for testing; 1,000 in the authors' code.
    """

    headline: ClassVar[tuple[str, str]] = ("loss", "test")
    headline_unit: ClassVar[str] = "1"
    default_metrics: ClassVar[tuple[str, ...]] = ("loss", "parameter_norm", "relative_update")
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "quadratic_regression", "dimension": 5, "points": 12, "test_points": 8},
        "model": {"kind": "mlp", "width": 8, "norm": "layer"},
        "optimizer": {"kind": "adam", "lr": 0.3},
        "budget": 12,
    }
    kind: Literal["quadratic_regression"] = "quadratic_regression"
    dimension: Annotated[int, Field(ge=1)] = 100
    points: Annotated[int, Field(ge=1)] = 550
    test_points: Annotated[int, Field(ge=1)] = 1000

    @property
    def whole_batch(self) -> bool:
        """Yes."""
        return True

    def spec(self) -> ModelSpec:
        """D inputs, one output."""
        return ModelSpec(inputs=(self.dimension,), outputs=1)

    def examples(self, clock: Clock) -> list[int]:
        """The whole training set."""
        return [self.points]

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update."""
        if budget is None:
            raise ConfigError("budget", None, "a number of gradient steps, such as 10000")
        return Clock(Clock(1, steps_per_epoch=(1,)).steps(budget, "budget"), steps_per_epoch=(1,))

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `QuadraticRegression`."""
        return QuadraticRegression(self, seeds, device)


class QuadraticRegression(SupervisedTask):
    """Both point sets.

    Attributes:
        beta: the direction, (D,).
    """

    criterion = SQUARED

    def __init__(
        self, config: QuadraticRegressionConfig, seeds: Seeds, device: torch.device
    ) -> None:
        def normal(stream: str, *shape: int) -> Tensor:
            drawn = torch.randn(*shape, generator=seeds.torch(stream), dtype=torch.float64)
            return drawn.to(device, torch.get_default_dtype())

        size = config.dimension
        self.beta = normal("beta", size)

        def part(stream: str, points: int) -> Batch:
            x = normal(stream, points, size) / math.sqrt(size)
            return x, 0.5 * (x @ self.beta).square()

        self._train = part("train", config.points)
        self._test = part("test", config.test_points)
        self.probe = self._test[0]

    def batch(self, step: int) -> Batch:
        """Return the training set."""
        return self._train

    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return both sets."""
        return {"train": self._train, "test": self._test}
