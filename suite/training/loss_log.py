"""Training losses since the last measurement: their mean, and the first step that is not finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from suite.errors import DivergedError

JOIN = 1024
"""Parts that are made into one when there are more."""


class LossLog:
    """Collects losses on the device; only `mean` and `check` wait for it.

    Args:
        what: the loss, in words, for the error.
    """

    def __init__(self, what: str = "training loss") -> None:
        self.what = what
        self._parts: list[Tensor] = []  # () or (k,) each, in the order of the steps
        self._joined: list[Tensor] = []  # those before

    def add(self, losses: Tensor) -> None:
        """Append one loss, a scalar, or those of several steps in a row, (k,)."""
        if len(self._parts) == JOIN:  # many small tensors take much more memory than one
            self._joined.append(torch.cat([part.reshape(-1) for part in self._parts]))
            self._parts = []
        self._parts.append(losses)

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self._parts or self._joined)

    def values(self) -> Tensor:
        """Return all losses, (k,)."""
        parts = [*self._joined, *(part.reshape(-1) for part in self._parts)]
        return torch.cat(parts) if self else torch.empty(0)

    def mean(self) -> float:
        """Return their mean, and reset."""
        values = self.values()
        self.load(values[:0])
        return values.mean().item()

    def check(self, step: int) -> None:
        """Check that the latest loss, that of the update before `step`, is finite.

        Raises:
            DivergedError: if it is not, naming the first gradient step from which on none was.
        """
        if not self._parts or math.isfinite(value := self._parts[-1].reshape(-1)[-1].item()):
            return
        values = self.values()
        last = values.isfinite().nonzero()
        first = step - len(values) + (int(last[-1]) + 1 if len(last) else 0)
        raise DivergedError(f"the {self.what} is {value} at gradient step {first}")

    def load(self, values: Tensor) -> None:
        """Continue from `values`."""
        self._parts, self._joined = [values] if len(values) else [], []
