"""An update of Q-learning in closed form on NumPy arrays, for small networks on a CPU.

The numbers are those of `suite.training.q_chain`, up to rounding. Where the online network chooses
the action behind the window, it reads s_tm1 and s_t of a batch in one forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from suite.models.array_chain import Array, ArrayChain, takes, zeros
from suite.training.q_learning import LossName


def readable(fields: Mapping[str, Tensor], dtype: torch.dtype) -> bool:
    """Return whether all of `fields` are on a CPU, the actions int64 and all others of `dtype`."""
    return all(
        f.is_cpu and f.dtype == (torch.int64 if name == "a_tm1" else dtype)
        for name, f in fields.items()
    )


class ArrayBlock:
    """Batches that follow one another, as arrays by batch.

    Args:
        fields: of all batches, (batches * size, ...).
        size: of a batch.
        actions: of the task.
        double: whether the online network reads s_t too.

    Attributes:
        inputs: (rows, features), rows being s_tm1 and perhaps s_t.
        places: of the actions taken in the action values of a batch, (size,).
        taken: 1 at the action taken and 0 elsewhere, (size, actions).
        shares: -w / size, (size,).
        rewards: (size,).
        discounts: (size,).
        losses: of the batches that were learnt from, (); `loss_array` is the same memory.
    """

    def __init__(
        self, fields: Mapping[str, Tensor], size: int, actions: int, double: bool
    ) -> None:
        a_tm1 = fields["a_tm1"].numpy()
        count = len(a_tm1) // size
        total = count * size
        dtype = fields["r_t"].dtype
        s_tm1 = fields["s_tm1"].numpy()[:total].reshape(count, size, -1)
        if double:
            s_t = fields["s_t"].numpy()[:total].reshape(s_tm1.shape)
            s_tm1 = np.concatenate([s_tm1, s_t], 1)
        self.inputs = list(np.ascontiguousarray(s_tm1))
        first = np.arange(0, size * actions, actions)
        places = a_tm1[:total].reshape(count, size) + first
        self.places = list(places)
        taken = zeros((count, size, actions), dtype)
        taken.reshape(count, -1)[np.arange(count)[:, None], places] = 1
        self.taken = list(taken)
        shares = zeros((count, size), dtype)
        shares[:] = -1.0 / size
        if "weights" in fields:
            shares *= fields["weights"].numpy()[:total].reshape(count, size)
        self.shares = list(shares)
        self.rewards = list(fields["r_t"].numpy()[:total].reshape(count, size))
        self.discounts = list(fields["discount_t"].numpy()[:total].reshape(count, size))
        losses = torch.zeros(count, dtype=dtype)
        self.losses, self.loss_array = losses.unbind(), losses.numpy()


class QArrays:
    """The gradients of one batch after the other, all of one size.

    Args:
        online: the network that is trained; it stays where it is in memory.
        gradients: of its parameters, by name; they are written.
        size: of a batch.
        double: whether the online network chooses the action behind the window.
        loss: of an error.

    Attributes:
        actions: of the task.
        errors: TD errors of the latest batch, (size,).
    """

    def __init__(
        self,
        online: nn.Module,
        gradients: Mapping[str, Tensor],
        size: int,
        double: bool,
        loss: LossName,
    ) -> None:
        rows = 2 * size if double else size
        self._chain = ArrayChain(online, gradients, rows, size)
        self.actions = actions = self._chain.features
        self._size, self._double, self._huber = size, double, loss == "huber"
        dtype = next(iter(gradients.values())).dtype
        self.errors = torch.zeros(size, dtype=dtype)
        self._error: Array = self.errors.numpy()
        self._slope = zeros((size,), dtype) if self._huber else self._error
        self._chosen, self._target, self._inside, self._change = (
            zeros((size,), dtype) for _ in range(4)
        )
        self._column = self._change[:, None]
        self._output_gradients = zeros((size, actions), dtype)
        self._first = np.arange(0, size * actions, actions)
        self._ends = tuple(self._error.dtype.type(end) for end in (-1.0, 1.0, 0.5))

    @staticmethod
    def fits(online: nn.Module, size: int, double: bool) -> bool:
        """Return whether one can be made."""
        return takes(online, 2 * size if double else size)

    @np.errstate(all="ignore")
    def gradients(self, block: ArrayBlock, index: int, targets: Array) -> Tensor:
        """Write the gradients of the mean loss; return it, a scalar.

        Args:
            block: of the batch.
            index: of the batch in it.
            targets: (size,); where the online network chooses, the target network's values of s_t,
                (size, actions).
        """
        size, inputs = self._size, block.inputs[index]
        error, slope, inside, change = self._error, self._slope, self._inside, self._change
        values = self._chain.forward(inputs)
        if self._double:
            best = values[size:].argmax(1)
            best += self._first
            targets.take(best, out=self._target, mode="clip")
            np.multiply(self._target, block.discounts[index], out=self._target)
            targets = np.add(self._target, block.rewards[index], out=self._target)
            inputs = inputs[:size]
        values.take(block.places[index], out=self._chosen, mode="clip")
        np.subtract(targets, self._chosen, out=error)
        low, high, half = self._ends
        if self._huber:
            np.maximum(error, low, out=slope)
            np.minimum(slope, high, out=slope)
        np.multiply(slope, block.shares[index], out=change)
        np.multiply(self._column, block.taken[index], out=self._output_gradients)
        self._chain.backward(inputs, self._output_gradients)
        np.multiply(slope, half, out=inside)
        np.subtract(error, inside, out=inside)
        block.loss_array[index] = -np.dot(inside, change)
        return block.losses[index]
