"""What happens to optimizer, buffers and head where a phase of a stream begins.

Published streams differ in this, and the difference is easily taken for one between methods: Ash
and Adams 2020, Lee et al. 2024 and Han et al. 2026 make a new optimizer for every phase, Shin et
al. 2024 keep it; the first also start batch-norm statistics afresh; continual ImageNet sets the
head to zero. Lyle et al. 2025 do not say. So each is a key of every stream.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal

import torch
from torch import Tensor

from suite.errors import ConfigError
from suite.interventions.base import Bound, Intervention, Slot
from suite.interventions.reset import chosen, reset_
from suite.optimizers import clear_state

Head = Literal["keep", "zero", "fresh", "masked"]
Keep = Literal["keep", "fresh"]


class Boundary(Intervention):
    """Resets at the first update of every phase but the first.

    Args:
        optimizer: ``fresh`` clears the optimizer's state of all parameters.
        buffers: ``fresh`` gives all buffers their values at the start of the run.
        head: ``zero`` or ``fresh`` initial values for the output layer; its optimizer state goes.
        bound: what to act on.
    """

    slot = Slot.RESET

    def __init__(self, optimizer: Keep, buffers: Keep, head: Head, bound: Bound) -> None:
        self._clear, self._head, self._bound = optimizer == "fresh", head, bound
        self._phases = bound.clock.starts
        self._layer = chosen(bound, "last") if head in ("zero", "fresh") else {}
        self._buffers: dict[str, Tensor] = {}
        if buffers == "fresh":
            self._buffers = {n: b.detach().clone() for n, b in bound.model.named_buffers()}
        self._optimizer: torch.optim.Optimizer | None = None

    @classmethod
    def of(cls, optimizer: Keep, buffers: Keep, head: Head, bound: Bound) -> Boundary | None:
        """Return the intervention; None if there is nothing to do.

        Raises:
            ConfigError: if it finds nothing to act on.
        """
        if (optimizer, buffers) == ("keep", "keep") and head in ("keep", "masked"):
            return None
        made = cls(optimizer, buffers, head, bound)
        if head in ("zero", "fresh") and not made._layer:
            raise ConfigError("task.head", head, "'keep': the network has no output layer")
        if buffers == "fresh" and not made._buffers:
            wanted = "'keep': the network has no buffers, such as a batch norm's statistics"
            raise ConfigError("task.buffers", buffers, wanted)
        return made

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer."""
        self._optimizer = optimizer

    @torch.no_grad()
    def begin_phase(self, step: int) -> bool:
        """Reset what the stream asks for; return whether the network has changed."""
        assert self._optimizer is not None, "attach comes first"
        if self._clear:
            named = dict(self._bound.model.named_parameters())
            clear_state(self._optimizer, [named[name] for name in self._bound.roles])
        for name, buffer in self._bound.model.named_buffers():
            if name in self._buffers:
                buffer.copy_(self._buffers[name])
        if self._head == "zero":
            zeros = {name: torch.zeros_like(p) for name, p in self._layer.items()}
            reset_(self._layer, zeros, self._optimizer)
        if self._head == "fresh":
            phase = bisect_left(self._phases, step)
            reset_(self._layer, self._bound.initial(phase), self._optimizer)
        return bool(self._buffers or self._layer)
