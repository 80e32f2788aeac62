"""Shared code of tasks that learn (x + y) mod p from a share of all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.seeding import Seeds
from suite.tasks.base import Batch
from suite.tasks.fixed_set import FixedSet, FixedSetConfig

PROBE = 512
"""Most pairs on which features are measured."""


class PairsConfig(FixedSetConfig):
    """Base of their configs.

    Attributes:
        modulus: p.
        fraction: share of the p^2 ordered pairs for training, rounded down; the rest tests.
    """

    modulus: Annotated[int, Field(ge=2)]
    fraction: Annotated[float, Field(gt=0, lt=1)]

    @property
    def label(self) -> str:
        """For instance ``modular_regression_23``."""
        return f"{self.kind}_{self.modulus}"

    @property
    def train_size(self) -> int:
        """Number of training pairs."""
        return int(self.fraction * self.modulus**2)

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        clock = super().clock(budget)
        if self.train_size < 1:
            raise ConfigError("task.fraction", self.fraction, "a share that leaves a pair")
        return clock


class Pairs(FixedSet):
    """All pairs, split at random; targets are integers below p.

    Args:
        config: modulus and share.
        seeds: of the run.
        device: where the data live.
        encode: makes inputs of pairs (n, 2), which else are the inputs themselves.
    """

    def __init__(
        self,
        config: PairsConfig,
        seeds: Seeds,
        device: torch.device,
        encode: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        p = config.modulus
        pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
        order = torch.randperm(len(pairs), generator=seeds.torch("split"))

        def part(index: Tensor) -> Batch:
            chosen = pairs[index].contiguous()
            inputs = chosen if encode is None else encode(chosen)
            return inputs.to(device), (chosen.sum(1) % p).to(device)

        probe = torch.randperm(len(pairs), generator=seeds.torch("probe"))[:PROBE]
        train, test = part(order[: config.train_size]), part(order[config.train_size :])
        super().__init__(train, test, part(probe)[0])
