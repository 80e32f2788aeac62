"""Criteria: losses with their gradients in closed form, and when an output counts as correct.

A criterion compares outputs with targets, mean over examples::

    cross_entropy   (n, classes) logits, (n,) integers         largest logit is the target
    log_cross_entropy   its logarithm, also where it is too small for a float
    squared         (n,) or (n, 1) numbers, (n,) numbers       same sign; 0 is half right
    logistic        (n,) or (n, 1) numbers, (n,) of -1 and 1   same sign; 0 is half right
    one_hot         (n, classes) numbers, (n,) integers        largest output is the target
    vectors         (n, d) numbers, (n, d) numbers             squared error below a threshold

`loss` is differentiable. `output_gradients` returns the loss of many runs at once and its gradients
with respect to their outputs, for models with a closed form (`suite.models.batched`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
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

    @staticmethod
    def joined(criteria: Sequence[Criterion]) -> Criterion:
        """Return the criterion of runs that are trained side by side, given that of each."""
        return criteria[0]

    def output_gradients(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss of each run (runs,), and its gradient in the outputs.

        Args:
            outputs: (runs, n) or (runs, n, 1), or (runs, n, classes) where there are classes.
            targets: (runs, n), or (1, n) for all.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class CrossEntropy(Criterion):
    """Mean cross-entropy of logits."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples."""
        return functional.cross_entropy(outputs, targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples whose largest logit is the target; of many runs, (runs,)."""
        return (outputs.argmax(-1) == targets).float().mean(-1)

    def output_gradients(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and ``(softmax(f) - onehot(y)) / n``."""
        index = targets.expand(outputs.shape[:2]).unsqueeze(-1)
        logs = outputs.log_softmax(-1)
        losses = logs.gather(-1, index).squeeze(-1).mean(1).neg_()
        output_gradients = logs.exp_()
        output_gradients.scatter_add_(
            -1, index, output_gradients.new_full((), -1.0).expand(index.shape)
        )
        return losses, output_gradients.div_(outputs.shape[1])


@dataclass(frozen=True, eq=False)
class MaskedCrossEntropy(CrossEntropy):
    """Cross-entropy over some of the outputs, which may change between updates.

    Attributes:
        mask: (outputs,) what is added to the logits: 0 where they count, else minus infinity; of
            many runs (runs, 1, outputs).
    """

    mask: Tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskedCrossEntropy) and torch.equal(self.mask, other.mask)

    __hash__ = None  # type: ignore[assignment]

    def only(self, outputs: Tensor | None) -> None:
        """Let `outputs`, (outputs,) booleans, count from now on; None for all."""
        self.mask.zero_()
        if outputs is not None:
            self.mask.masked_fill_(~outputs.to(self.mask.device), -math.inf)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples; targets are among the outputs that count."""
        return super().loss(outputs + self.mask, targets)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples whose largest logit of those that count is the target."""
        return super().correct(outputs + self.mask, targets)

    def output_gradients(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and gradients, which are 0 for outputs that do not count."""
        return super().output_gradients(outputs + self.mask, targets)

    @staticmethod
    def joined(criteria: Sequence[Criterion]) -> Criterion:
        """Return one with the masks as they are now."""
        masks = [c.mask for c in criteria if isinstance(c, MaskedCrossEntropy)]
        return MaskedCrossEntropy(torch.stack(masks).unsqueeze(1))


@dataclass(frozen=True)
class LogCrossEntropy(CrossEntropy):
    """Logarithm of the mean cross-entropy of logits, exact also where that is 0 in floats."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return ``log mean_i log(1 + exp(a_i))``, ``a_i = logsumexp_(j != y_i) f_ij - f_iy_i``."""
        index = targets.unsqueeze(-1)
        others = outputs.scatter(-1, index, -math.inf).logsumexp(-1)
        logs = log_softplus(others - outputs.gather(-1, index).squeeze(-1))
        return logs.logsumexp(0) - math.log(len(targets))

    def output_gradients(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """There is no closed form of it here.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError


def log_softplus(a: Tensor) -> Tensor:
    """Return ``log log(1 + exp(a))``, which is ``a - exp(a) / 2 + O(exp(2 a))`` far below 0."""
    edge = -18.0  # where the rest is 1e-17
    near = torch.logaddexp(a.clamp_min(edge), torch.zeros_like(a)).log()
    return torch.where(a < edge, a - a.clamp_max(edge).exp() / 2, near)


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

    def output_gradients(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and ``2 (f - y) / n``."""
        error = outputs.flatten(1) - targets
        return error.square().mean(1), error.mul_(2 / outputs.shape[1]).view_as(outputs)


@dataclass(frozen=True)
class Logistic(Criterion):
    """Mean of ``log(1 + exp(-y f))`` for labels y of -1 and 1."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over examples."""
        return functional.softplus(-targets * outputs.view_as(targets)).mean()

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of examples with the label's sign; an output of 0 is half right."""
        return _same_sign(outputs, targets)

    def output_gradients(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and ``-y / (1 + exp(y f)) / n``."""
        margins = targets * outputs
        output_gradients = torch.sigmoid(-margins).mul_(-targets).div_(outputs.shape[1])
        return functional.softplus(-margins).mean(1), output_gradients


@dataclass(frozen=True)
class PreciseCrossEntropy(CrossEntropy):
    """Mean cross-entropy of logits, computed in float64 for any type.

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
LOG_CROSS_ENTROPY = LogCrossEntropy()
