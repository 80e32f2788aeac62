"""Shared code of tasks where every update sees the whole training set."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.tasks.base import Batch, SupervisedTask, SupervisedTaskConfig


class FixedSetConfig(SupervisedTaskConfig):
    """Base of their configs."""

    @property
    def train_size(self) -> int:
        """Number of training examples."""
        raise NotImplementedError

    @property
    def whole_batch(self) -> bool:
        """Yes."""
        return True

    def examples(self, clock: Clock) -> list[int]:
        """The whole training set."""
        return [self.train_size]

    def clock(self, budget: Duration | None) -> Clock:
        """Return a clock on which an epoch is one update.

        Raises:
            ConfigError: if there is no budget, or a key does not fit the problem.
        """
        if budget is None:
            raise ConfigError("budget", None, "a number of gradient steps, such as 10000")
        return Clock(Clock(1, steps_per_epoch=(1,)).steps(budget, "budget"), steps_per_epoch=(1,))


class FixedSet(SupervisedTask):
    """A training set and a test set.

    Args:
        train: all that is learnt from.
        test: the rest.
        probe: inputs on which features are measured.
    """

    def __init__(self, train: Batch, test: Batch, probe: Tensor) -> None:
        self._train, self._test, self.probe = train, test, probe

    def batch(self, step: int) -> Batch:
        """Return the training set."""
        return self._train

    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return both sets."""
        return {"train": self._train, "test": self._test}
