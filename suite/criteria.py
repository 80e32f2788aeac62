"""What is minimised and what counts as right: losses with their slopes, in closed form.

A criterion compares outputs with targets, mean over examples::

    cross_entropy   (n, classes) logits, (n,) integers         largest logit is the target
    squared         (n,) or (n, 1) numbers, (n,) numbers       same sign; 0 is half right
    logistic        (n,) or (n, 1) numbers, (n,) of -1 and 1   same sign; 0 is half right

`loss` is differentiable; `slopes` gives the loss of many runs at once and its gradient with respect
to their outputs, for models with a closed form (`suite.models.batched`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Criterion(ABC):
    """Base of the criteria."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss, a scalar."""

    @abstractmethod
    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples that are right, a scalar."""

    def slopes(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss of each run (runs,), and its gradient in the outputs (runs, n).

        Args:
            outputs: (runs, n).
            targets: (runs, n), or (1, n) for all.

        Raises:
            NotImplementedError: if outputs are not one number per example.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class CrossEntropy(Criterion):
    """Mean cross-entropy of logits."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples."""
        return functional.cross_entropy(outputs, targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples whose largest logit is the target."""
        return (outputs.argmax(-1) == targets).float().mean()


def _same_sign(outputs: Tensor, targets: Tensor) -> Tensor:
    return (0.5 + 0.5 * outputs.view_as(targets).sign() * targets.sign()).mean()


@dataclass(frozen=True)
class Squared(Criterion):
    """Mean squared error."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples."""
        return functional.mse_loss(outputs.view_as(targets), targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples with the target's sign; zeros are half right."""
        return _same_sign(outputs, targets)

    def slopes(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and ``2 (f - y) / n``."""
        error = outputs - targets
        return error.square().mean(1), error.mul_(2 / outputs.shape[1])


@dataclass(frozen=True)
class Logistic(Criterion):
    """Mean of ``log(1 + exp(-y f))`` for labels y of -1 and 1."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples."""
        return functional.softplus(-targets * outputs.view_as(targets)).mean()

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples with the label's sign; an output of 0 is half right."""
        return _same_sign(outputs, targets)

    def slopes(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and ``-y / (1 + exp(y f)) / n``."""
        margins = targets * outputs
        slopes = torch.sigmoid(-margins).mul_(-targets).div_(outputs.shape[1])
        return functional.softplus(-margins).mean(1), slopes


CROSS_ENTROPY, SQUARED, LOGISTIC = CrossEntropy(), Squared(), Logistic()
