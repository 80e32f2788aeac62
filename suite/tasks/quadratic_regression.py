"""Regression on a polynomial of few directions of Gaussian inputs (Kumar et al. 2024, section 1).

::

    x ~ N(0, I / D)         y = c sum_k (beta_k . x)^2,  beta_k ~ N(0, I),  c = 1/2
                            y = H_k(beta . x) / sqrt(k!)    with `degree: k` (Fig. 15)

One direction in most figures, two or three in Fig. 14. A fixed set of P points for training,
another for testing, the same directions in both. H_k is the Hermite polynomial
(`suite.models.hermite`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.losses import SQUARED
from suite.models.base import ModelSpec
from suite.models.hermite import hermite
from suite.models.inputs import Floats, TaughtFloats
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig


@TASKS.register("quadratic_regression")
class QuadraticRegressionConfig(FixedSetConfig):
    """Regression on the square of a direction of Gaussian inputs (Kumar et al. 2024).

    Each update sees the whole training set.

    Attributes:
        dimension: D.
        points: P, for training.
        test_points: for testing; 1,000 in the authors' code.
        directions: number of directions whose squares are added.
        coefficient: c.
        degree: degree of a Hermite polynomial that replaces the square; one direction only.
    """

    primary_metric: ClassVar[tuple[str, str]] = ("loss", "test")
    primary_unit: ClassVar[str] = "1"
    default_metrics: ClassVar[tuple[str, ...]] = ("loss", "parameter_norm", "relative_update")
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "quadratic_regression", "dimension": 5, "points": 12, "test_points": 8},
        "model": {"kind": "committee", "width": 8, "epsilon": 0.5},
        "optimizer": {"kind": "adam", "lr": 0.3},
        "budget": 12,
    }
    kind: Literal["quadratic_regression"] = "quadratic_regression"
    dimension: Annotated[int, Field(ge=1)] = 100
    points: Annotated[int, Field(ge=1)] = 550
    test_points: Annotated[int, Field(ge=1)] = 1000
    directions: Annotated[int, Field(ge=1)] = 1
    coefficient: Annotated[float, Field(gt=0)] = 0.5
    degree: Annotated[int, Field(ge=2, le=6)] | None = None

    @property
    def train_size(self) -> int:
        """The training points, P."""
        return self.points

    def spec(self) -> ModelSpec:
        """D inputs, one output, a teacher if a single square is learnt."""
        taught = self.directions == 1 and self.degree is None and self.coefficient == 0.5
        inputs = TaughtFloats if taught else Floats
        return ModelSpec(inputs=inputs((self.dimension,)), outputs=1)

    def drawn_spec(self, seeds: Seeds) -> ModelSpec:
        """Add the teacher's direction."""
        spec = self.spec()
        if not isinstance(spec.inputs, TaughtFloats):
            return spec
        direction = tuple(directions(self, seeds)[0].tolist())
        return replace(spec, inputs=replace(spec.inputs, direction=direction))

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        if self.degree is not None and (self.directions, self.coefficient) != (1, 0.5):
            wanted = "none with several directions or a coefficient"
            raise ConfigError("task.degree", self.degree, wanted)
        return super().clock(budget)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `QuadraticRegression`."""
        return QuadraticRegression(self, seeds, device)


def directions(config: QuadraticRegressionConfig, seeds: Seeds) -> Tensor:
    """Return the directions of the target, (directions, D), in double precision."""
    shape = (config.directions, config.dimension)
    return torch.randn(*shape, generator=seeds.torch("beta"), dtype=torch.float64)


class QuadraticRegression(FixedSet):
    """Both point sets.

    Attributes:
        beta: the directions, (directions, D).
        coefficient: c.
        degree: of a Hermite target, None for squares.
    """

    criterion = SQUARED

    def __init__(
        self, config: QuadraticRegressionConfig, seeds: Seeds, device: torch.device
    ) -> None:
        def to(drawn: Tensor) -> Tensor:
            return drawn.to(device, torch.get_default_dtype())

        size = config.dimension
        self.beta = to(directions(config, seeds))
        self.coefficient, self.degree = config.coefficient, config.degree

        def part(stream: str, points: int) -> Batch:
            generator = seeds.torch(stream)
            drawn = torch.randn(points, size, generator=generator, dtype=torch.float64)
            x = to(drawn) / math.sqrt(size)
            return x, self.target(x)

        test = part("test", config.test_points)
        super().__init__(part("train", config.points), test, test[0])

    def target(self, x: Tensor) -> Tensor:
        """Return y (n,) for inputs (n, D)."""
        along = x @ self.beta.T
        if self.degree is not None:
            return hermite(self.degree, along[:, 0]) / math.sqrt(math.factorial(self.degree))
        return self.coefficient * along.square().sum(1)

    def square(self) -> Tensor | None:
        """Return B (D, D) of ``y = x^T B x / 2``, None if the target is no such form."""
        return None if self.degree is not None else 2 * self.coefficient * self.beta.T @ self.beta
