"""Modular addition from a fraction of all pairs (Power et al. 2022; Lyle et al. 2025, section 4).

Inputs are strings "x . y = _" with 0 <= x, y < p; the target is (x + y) mod p. A random fraction of
the p^2 ordered pairs is for training, the rest for testing; (x, y) and (y, x) are different
examples, so a network that learns commutativity alone scores about the training fraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.models.base import ModelSpec
from suite.models.inputs import Floats, IntegerPairs
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask, epoch_order
from suite.tasks.pairs import Pairs, PairsConfig


@TASKS.register("modular_addition")
class ModularAdditionConfig(PairsConfig):
    """Modulus, training fraction and batch; the paper's are 117 and 0.2, its batch is not stated.

    `inputs` are operand ``pairs`` for the transformer or their concatenated ``one_hot`` codes for
    other models. Without a batch size each update sees the whole training set.
    """

    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "modular_addition", "modulus": 7, "fraction": 0.5, "batch_size": 6},
        "model": {"kind": "transformer", "width": 8, "heads": 2, "hidden": 16, "norm": "rms"},
        "budget": 12,
    }
    kind: Literal["modular_addition"] = "modular_addition"
    modulus: Annotated[int, Field(ge=2)] = 117
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    batch_size: Annotated[int, Field(ge=1)] | None = None
    inputs: Literal["pairs", "one_hot"] = "pairs"

    @property
    def whole_batch(self) -> bool:
        """Whether there is no batch size."""
        return self.batch_size is None

    def spec(self) -> ModelSpec:
        """Pairs of integers or 2p inputs; p classes."""
        if self.inputs == "one_hot":
            return ModelSpec(inputs=Floats((2 * self.modulus,)), outputs=self.modulus)
        return ModelSpec(inputs=IntegerPairs(self.modulus), outputs=self.modulus)

    def examples(self, clock: Clock) -> list[int]:
        """The batch size, or the whole training set."""
        return [min(self.batch_size or self.train_size, self.train_size)]

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock with epochs of the training set.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        if budget is None:
            raise ConfigError("budget", None, "a number of gradient steps, such as 5000")
        if self.train_size < 1:
            raise ConfigError("task.fraction", self.fraction, "a fraction that leaves a pair")
        per_epoch = max(1, self.train_size // self.examples(Clock(1))[0])
        total = Clock(1, steps_per_epoch=(per_epoch,)).steps(budget, "budget")
        return Clock(total, steps_per_epoch=(per_epoch,))

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `ModularAddition`."""
        return ModularAddition(self, seeds, device)


class ModularAddition(Pairs):
    """All pairs, split at random into training and test set."""

    def __init__(self, config: ModularAdditionConfig, seeds: Seeds, device: torch.device) -> None:
        def one_hot(pairs: Tensor) -> Tensor:
            codes = torch.nn.functional.one_hot(pairs, config.modulus).flatten(1)
            return codes.to(torch.get_default_dtype())

        super().__init__(config, seeds, device, one_hot if config.inputs == "one_hot" else None)
        self._seeds, self._batch_size = seeds, config.batch_size
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, step: int) -> Batch:
        """Return the whole training set, or the next `batch_size` examples of the epoch's order."""
        inputs, targets = self._train
        if self._batch_size is None or self._batch_size >= len(targets):
            return self._train
        per_epoch = len(targets) // self._batch_size
        epoch, within = divmod(step, per_epoch)
        if epoch != self._epoch:
            order = epoch_order(self._seeds, "order", epoch, len(targets))
            self._epoch, self._order = epoch, order.to(targets.device)
        index = self._order[within * self._batch_size : (within + 1) * self._batch_size]
        return inputs[index], targets[index]
