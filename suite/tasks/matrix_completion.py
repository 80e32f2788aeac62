"""Completing the multiplication table from a few of its entries (Lyu et al. 2024, section 3.3.3).

The matrix is ``X_ij = i j / d^2`` for i, j = 0 .. d - 1, of rank 1. A random share of the d^2
entries is observed, without regard to symmetry; the others are the test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.losses import SQUARED
from suite.models.base import ModelSpec
from suite.models.inputs import MatrixEntries
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig


@TASKS.register("matrix_completion")
class MatrixCompletionConfig(FixedSetConfig):
    """Completion of the multiplication table from a few entries (Lyu et al. 2024, Fig. 3).

    Each update sees all observed entries.

    Attributes:
        size: d; 97 in the paper.
        fraction: share of entries observed; 0.05 there.
    """

    primary_metric: ClassVar[tuple[str, str]] = ("loss", "test")
    primary_unit: ClassVar[str] = "1"
    default_metrics: ClassVar[tuple[str, ...]] = ("loss", "parameter_norm", "relative_update")
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "matrix_completion", "size": 6, "fraction": 0.3},
        "model": {"kind": "matrix_factors", "scale": 1.0},
        "optimizer": {"kind": "adam", "lr": 0.5},
        "budget": 12,
    }
    kind: Literal["matrix_completion"] = "matrix_completion"
    size: Annotated[int, Field(ge=2)] = 97
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.05

    @property
    def train_size(self) -> int:
        """Number of observed entries: the share of d^2, rounded down."""
        return int(self.fraction * self.size**2)

    def spec(self) -> ModelSpec:
        """Pairs of indices, one output."""
        return ModelSpec(inputs=MatrixEntries(self.size), outputs=1)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        clock = super().clock(budget)
        if self.train_size < 1:
            raise ConfigError("task.fraction", self.fraction, "a share that leaves an entry")
        return clock

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `MatrixCompletion`."""
        return MatrixCompletion(self, seeds, device)


class MatrixCompletion(FixedSet):
    """Observed entries and the others."""

    criterion = SQUARED

    def __init__(self, config: MatrixCompletionConfig, seeds: Seeds, device: torch.device) -> None:
        d = config.size
        pairs = torch.cartesian_prod(torch.arange(d), torch.arange(d))
        values = pairs.prod(1).to(torch.get_default_dtype()) / d**2
        order = torch.randperm(len(pairs), generator=seeds.torch("split"))

        def part(index: Tensor) -> Batch:
            return pairs[index].to(device), values[index].to(device)

        train, test = part(order[: config.train_size]), part(order[config.train_size :])
        super().__init__(train, test, test[0])
