"""Sparse linear regression with noise in the labels of updates (Lyu et al. 2024, Appendix B.2).

::

    x ~ N(0, I)         y = w . x,  w = 1 on the first k coordinates, else 0
    update              one example drawn at random, gradient of (f(x) - y - xi)^2,  xi ~ N(0, 1)

Every update draws new noise. It acts on a diagonal network like a weight decay of the order of the
rate: u_k v_k shrinks by a factor 1 - 16 eta^2 on average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.losses import SQUARED
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig

BLOCK = 4096
"""Number of updates for which draws are made at once."""


@TASKS.register("sparse_regression")
class SparseRegressionConfig(FixedSetConfig):
    """Sparse linear regression with noise in the labels of updates (Lyu et al. 2024, B.2).

    Attributes:
        dimension: d.
        points: n, for training.
        test_points: for testing, labels without noise.
        active: k.
        batch_size: examples of an update, drawn with replacement; without one all of them.
        noise: standard deviation of xi.
    """

    primary_metric: ClassVar[tuple[str, str]] = ("loss", "test")
    primary_unit: ClassVar[str] = "1"
    default_metrics: ClassVar[tuple[str, ...]] = ("loss", "parameter_norm", "true_coordinates")
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "sparse_regression", "dimension": 8, "points": 6, "test_points": 8},
        "model": {"kind": "diagonal", "initial_norm": 1.0},
        "optimizer": {"kind": "adam", "lr": 0.005},
        "budget": 12,
    }
    kind: Literal["sparse_regression"] = "sparse_regression"
    dimension: Annotated[int, Field(ge=1)] = 1000
    points: Annotated[int, Field(ge=1)] = 100
    test_points: Annotated[int, Field(ge=1)] = 1000
    active: Annotated[int, Field(ge=1)] = 2
    batch_size: Annotated[int, Field(ge=1)] | None = 1
    noise: Annotated[float, Field(ge=0)] = 1.0

    @property
    def train_size(self) -> int:
        """The training points, n."""
        return self.points

    @property
    def whole_batch(self) -> bool:
        """Whether every update sees the same: all examples, and no noise."""
        return self.batch_size is None and self.noise == 0

    def examples(self, clock: Clock) -> list[int]:
        """The batch size, or the whole training set."""
        return [self.batch_size or self.points]

    def spec(self) -> ModelSpec:
        """D inputs, one output."""
        return ModelSpec(inputs=Floats((self.dimension,)), outputs=1)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or more active coordinates than there are any.
        """
        clock = super().clock(budget)
        if self.active > self.dimension:
            wanted = f"a number up to task.dimension = {self.dimension}"
            raise ConfigError("task.active", self.active, wanted)
        return clock

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `SparseRegression`."""
        return SparseRegression(self, seeds, device)


class SparseRegression(FixedSet):
    """Both point sets, and the draws of updates.

    Attributes:
        direction: w, (d,).
    """

    criterion = SQUARED

    def __init__(self, config: SparseRegressionConfig, seeds: Seeds, device: torch.device) -> None:
        dtype = torch.get_default_dtype()
        self.direction = torch.zeros(config.dimension, dtype=torch.float64)
        self.direction[: config.active] = 1.0

        def part(stream: str, points: int) -> Batch:
            shape = (points, config.dimension)
            x = torch.randn(*shape, generator=seeds.torch(stream), dtype=torch.float64)
            return x.to(device, dtype), (x @ self.direction).to(device, dtype)

        test = part("test", config.test_points)
        super().__init__(part("train", config.points), test, test[0][:64])
        self._seeds, self._size, self._noise = seeds, config.batch_size, config.noise
        self._block = -1
        self._index: list[list[int]] = []
        self._targets = torch.empty(0)

    def batch(self, step: int) -> Batch:
        """Return the examples of an update, with noise in their labels."""
        if self._size is None and self._noise == 0:
            return self._train
        inputs = self._train[0]
        block, within = divmod(step, BLOCK)
        if block != self._block:
            self._draw(block)
        if self._size is None:
            return inputs, self._targets[within]
        index = self._index[within]
        if self._size == 1:  # a view
            return inputs[index[0] : index[0] + 1], self._targets[within]
        return inputs[index], self._targets[within]

    def _draw(self, block: int) -> None:
        """Draw examples and noise of a block of updates."""
        targets = self._train[1]
        size, count = self._size or len(targets), len(targets)
        if self._size is None:
            chosen = targets.expand(BLOCK, -1)
        else:
            order = self._seeds.torch(f"order/{block}")
            index = torch.randint(0, count, (BLOCK, size), generator=order)
            self._index, chosen = index.tolist(), targets[index.to(targets.device)]
        drawn = self._seeds.torch(f"noise/{block}")
        noise = torch.randn(BLOCK, size, generator=drawn, dtype=torch.float64)
        self._targets = chosen + self._noise * noise.to(targets.device, targets.dtype)
        self._block = block
