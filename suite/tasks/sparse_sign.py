"""Classification by a few of very many coordinates, or by one direction (Lyu et al. 2024, Fig. 1).

::

    grokking       x uniform on {-1, 1}^d,  y = sign(w . x), w = 1 on the first k coordinates, k odd
    misgrokking    z ~ N(0, I), w a random unit vector, y = sign(w . z), x = z + (gamma / 2) y w

In the first the classifier of the largest L1 margin generalises and that of the largest L2 margin
does not; in the second it is the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.losses import LOGISTIC
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig


@TASKS.register("sparse_sign")
class SparseSignConfig(FixedSetConfig):
    """Which labels, and sizes; each update sees the whole training set.

    Attributes:
        labels: ``sparse`` (Fig. 1a) or ``direction`` (Fig. 1b).
        dimension: d; 100,000 in the paper.
        points: n, for training; 256 in Fig. 1a and 32 in Fig. 1b.
        test_points: for testing; 10,000 in the authors' code.
        active: k, of ``sparse`` labels; odd, 3 there.
        gap: gamma, of ``direction`` labels; 25 there.
    """

    default_metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "loss",
        "parameter_norm",
        "relative_update",
    )
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "sparse_sign", "dimension": 30, "points": 12, "test_points": 8},
        "model": {"kind": "diagonal", "initial_norm": 4.0},
        "optimizer": {"kind": "adam", "lr": 0.3},
        "budget": 12,
    }
    own_data_at_once: ClassVar[bool] = False
    kind: Literal["sparse_sign"] = "sparse_sign"
    labels: Literal["sparse", "direction"] = "sparse"
    dimension: Annotated[int, Field(ge=1)] = 100_000
    points: Annotated[int, Field(ge=1)] = 256
    test_points: Annotated[int, Field(ge=1)] = 10_000
    active: Annotated[int, Field(ge=1)] = 3
    gap: Annotated[float, Field(ge=0)] = 25.0

    @property
    def train_size(self) -> int:
        """The training points, n."""
        return self.points

    def spec(self) -> ModelSpec:
        """D inputs, one output."""
        return ModelSpec(inputs=Floats((self.dimension,)), outputs=1)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        clock = super().clock(budget)
        if self.active % 2 == 0 or self.active > self.dimension:
            wanted = f"an odd number up to task.dimension = {self.dimension}, so that no sum is 0"
            raise ConfigError("task.active", self.active, wanted)
        return clock

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `SparseSign`."""
        return SparseSign(self, seeds, device)


class SparseSign(FixedSet):
    """Both point sets.

    Attributes:
        direction: w, (d,).
    """

    criterion = LOGISTIC

    def __init__(self, config: SparseSignConfig, seeds: Seeds, device: torch.device) -> None:
        d = config.dimension
        if config.labels == "sparse":
            self.direction = torch.zeros(d, dtype=torch.float32)
            self.direction[: config.active] = 1.0
        else:
            drawn = torch.randn(d, generator=seeds.torch("direction"), dtype=torch.float32)
            self.direction = drawn / drawn.norm()

        def part(stream: str, points: int) -> Batch:
            generator = seeds.torch(stream)
            if config.labels == "sparse":
                x = torch.randint(0, 2, (points, d), generator=generator).float().mul_(2).sub_(1)
                y = (x @ self.direction).sign()
            else:
                x = torch.randn(points, d, generator=generator, dtype=torch.float32)
                y = (x @ self.direction).sign()
                x.addr_(y, self.direction, alpha=config.gap / 2)
            dtype = torch.get_default_dtype()
            return x.to(device, dtype), y.to(device, dtype)

        test = part("test", config.test_points)
        super().__init__(part("train", config.points), test, test[0][:64])
