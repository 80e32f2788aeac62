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

from suite.clock import Clock
from suite.criteria import SQUARED
from suite.models.base import ModelSpec
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig


@TASKS.register("quadratic_regression")
class QuadraticRegressionConfig(FixedSetConfig):
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
    def train_size(self) -> int:
        """The training points, P."""
        return self.points

    def spec(self) -> ModelSpec:
        """D inputs, one output."""
        return ModelSpec(inputs=(self.dimension,), outputs=1)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `QuadraticRegression`."""
        return QuadraticRegression(self, seeds, device)


class QuadraticRegression(FixedSet):
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

        test = part("test", config.test_points)
        super().__init__(part("train", config.points), test, test[0])
