"""What is minimised and what counts as right: losses with their slopes, in closed form.

A criterion compares outputs with targets, mean over examples::

    cross_entropy   (n, classes) logits, (n,) integers         largest logit is the target
    squared         (n,) or (n, 1) numbers, (n,) numbers       same sign; 0 is half right
    logistic        (n,) or (n, 1) numbers, (n,) of -1 and 1   same sign; 0 is half right
    one_hot         (n, classes) numbers, (n,) integers        largest output is the target
    vectors         (n, d) numbers, (n, d) numbers             squared error below a threshold

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


@dataclass(frozen=True)
class PreciseCrossEntropy(CrossEntropy):
    """Mean cross-entropy of logits, worked out in float64 whatever they are.

    In float32 the loss of an example is 0 once its logit leads by some 17 nats, and its gradient
    with it (Nanda et al. 2023); late phases of training live on what remains.
    """

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples, float64."""
        return functional.cross_entropy(outputs.double(), targets)


@dataclass(frozen=True)
class OneHotSquared(Criterion):
    """Squared error against one-hot codes of classes, mean over examples and classes."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over all entries."""
        codes = torch.zeros_like(outputs).scatter_(1, targets.unsqueeze(1), 1.0)
        return functional.mse_loss(outputs, codes)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples whose largest output is the target."""
        return (outputs.argmax(-1) == targets).float().mean()


@dataclass(frozen=True)
class VectorSquared(Criterion):
    """Squared error of vectors, mean over examples and their entries.

    Attributes:
        threshold: of an example's mean squared error, below which it is right.
    """

    threshold: float = 1e-3

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over all entries."""
        return functional.mse_loss(outputs, targets)

    def errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of each example, (n,)."""
        return (outputs - targets).square().mean(1)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples whose error is below the threshold."""
        return (self.errors(outputs, targets) < self.threshold).float().mean()


CROSS_ENTROPY, SQUARED, LOGISTIC = CrossEntropy(), Squared(), Logistic()
PRECISE_CROSS_ENTROPY, ONE_HOT_SQUARED = PreciseCrossEntropy(), OneHotSquared()
