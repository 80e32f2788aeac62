"""Modular addition by descent on the logarithm of the loss (Lyu et al. 2024, Appendix B.1).

Without weight decay the margins of a homogeneous network grow for ever, but ever more slowly unless
the rate is divided by the loss L. With the base rate eta an update is::

    w <- w - boost eta grad L          while log L > threshold
    w <- w - eta grad log L            then: the rate eta / L on L

The sum of the rates on L is the time of the gradient flow. It starts at 1 and grows to
exp(10,000), so only its logarithm is kept, and L itself is never computed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from suite.clock import Clock
from suite.losses import LOG_CROSS_ENTROPY
from suite.ranges import ANY, Range
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, Network, SupervisedTask
from suite.tasks.modular_addition import ModularAddition, ModularAdditionConfig


@TASKS.register("modular_log_loss")
class ModularLogLossConfig(ModularAdditionConfig):
    """Modular addition by descent on the logarithm of the loss (Lyu et al. 2024, Fig. 4).

    Has the keys and the splits of `modular_addition`.

    Attributes:
        boost: factor on the base rate in the first regime; 10 in the authors' code.
        threshold: logarithm of the loss, in nats, at which it ends; -5 there.
    """

    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "loss", "log_time", "parameter_norm")
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {"kind": "modular_log_loss", "modulus": 7, "fraction": 0.5, "threshold": 0.5},
        "model": {"kind": "pair_relu", "width": 16},
        "optimizer": {"kind": "adam", "lr": 0.03},
        "budget": 12,
    }
    kind: Literal["modular_log_loss"] = "modular_log_loss"  # type: ignore[assignment]
    boost: Annotated[float, Field(gt=0)] = 10.0
    threshold: float = -5.0

    @property
    def seed_key(self) -> str:
        """That of `modular_addition`: the same split and the same start."""
        return "modular_addition"

    @property
    def ranges(self) -> Mapping[str, Range]:
        """The loss is a logarithm, which may be negative."""
        return {"loss": ANY, "batch_loss": ANY}

    @property
    def whole_batch(self) -> bool:
        """No: updates keep account of the time, so that runs are trained one by one."""
        return False

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `ModularLogLoss`."""
        return ModularLogLoss(self, seeds, device)


class ModularLogLoss(ModularAddition):
    """Modular addition with the loss ``log L``.

    Attributes:
        log_sum: logarithm of the sum of the rates on L, over the base rate; a scalar.
    """

    criterion = LOG_CROSS_ENTROPY

    def __init__(self, config: ModularLogLossConfig, seeds: Seeds, device: torch.device) -> None:
        super().__init__(config, seeds, device)
        self.log_boost, self.threshold = math.log(config.boost), config.threshold
        self.log_sum = torch.tensor(-math.inf, dtype=torch.float64, device=device)

    def loss(self, model: Network, batch: Batch) -> Tensor:
        """Return ``log L``, whose gradient is that of ``boost L`` in the first regime.

        Each call counts as an update.
        """
        log_loss = super().loss(model, batch)
        value = log_loss.detach()
        log_rate = torch.where(value > self.threshold, self.log_boost, -value)
        self.log_sum = torch.logaddexp(self.log_sum, log_rate.double())
        return value + (log_rate + value).exp() * (log_loss - value)

    def log_time(self, rate: float) -> Tensor:
        """Return the logarithm of the time so far, ``1 + sum of rates on L``, a scalar.

        Args:
            rate: the base rate eta, taken to have been the same all along.
        """
        log_rate = math.log(max(rate, sys.float_info.min))
        return torch.logaddexp(self.log_sum.new_zeros(()), self.log_sum + log_rate)

    def state_dict(self) -> dict[str, Any]:
        """Return the sum."""
        return {"log_sum": self.log_sum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.log_sum = state["log_sum"]
