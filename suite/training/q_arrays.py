"""An update of Q-learning in closed form on NumPy arrays, for small networks on a CPU.

The numbers are those of `suite.training.q_chain`, up to rounding. Where the online network chooses
the action behind the window, it reads s_tm1 and s_t of a batch in one forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from suite.models.array_chain import MOST, Array, ArrayChain, takes, widest, zeros
from suite.training.q_learning import LossName


def readable(fields: Mapping[str, Tensor], dtype: torch.dtype) -> bool:
    """Return whether all of `fields` are on a CPU, the actions int64 and all others of `dtype`."""
    return all(
        f.is_cpu and f.dtype == (torch.int64 if name == "a_tm1" else dtype)
        for name, f in fields.items()
    )


class ArrayBlock:
    """Batches that follow one another, as arrays.

    Args:
        fields: of all batches, (batches * size, ...).
        size: of a batch.
        actions: of the task.
        double: whether the online network reads s_t too.

    Attributes:
        size: of a batch.
        inputs: by batch, (rows, features), rows being s_tm1 and perhaps s_t.
        s_t: of all batches, (batches * size, features).
        rewards: of all batches, (batches * size,).
        discounts: of all batches, (batches * size,).
        places: of the actions taken in the action values, by batch, (size,).
        taken: whether an action was taken, by batch, (size, actions).
        shares: -w / size, by batch, (size,) or a number.
        losses: by batch, (); `loss_array` is the same memory.
    """

    def __init__(self, fields: Mapping[str, Tensor], size: int, actions: int, double: bool) -> None:
        arrays = {name: field.numpy() for name, field in fields.items()}
        a_tm1, self.size = arrays["a_tm1"], size
        count = len(a_tm1) // size
        total = count * size
        s_tm1 = arrays["s_tm1"][:total].reshape(count, size, -1)
        self.s_t = arrays["s_t"][:total].reshape(total, -1)
        if double:
            s_tm1 = np.concatenate([s_tm1, self.s_t.reshape(s_tm1.shape)], 1)
        self.inputs = list(np.ascontiguousarray(s_tm1))
        self.rewards, self.discounts = arrays["r_t"][:total], arrays["discount_t"][:total]
        a_tm1 = a_tm1[:total].reshape(count, size)
        self.places = list(a_tm1 + np.arange(0, size * actions, actions))
        self.taken = list(a_tm1[:, :, None] == np.arange(actions))
        share = self.rewards.dtype.type(-1.0 / size)
        self.shares: list[Any] = [share] * count
        if "weights" in arrays:
            self.shares = list(share * arrays["weights"][:total].reshape(count, size))
        losses = torch.zeros(count, dtype=fields["r_t"].dtype)
        self.losses, self.loss_array = losses.unbind(), losses.numpy()


class QArrays:
    """The gradients of one batch after the other, all of one size.

    Args:
        online: the network that is trained; it stays where it is in memory.
        target: its copy.
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
        target: nn.Module,
        gradients: Mapping[str, Tensor],
        size: int,
        double: bool,
        loss: LossName,
    ) -> None:
        rows = 2 * size if double else size
        self._chain = ArrayChain(online, gradients, rows, size)
        self.actions = actions = self._chain.features
        self._network, self._targets = target, dict[int, ArrayChain]()  # by rows
        self._held, self._addresses = list(target.parameters()), list[int]()
        self._most = MOST // widest(target)
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
    def fits(online: nn.Module, target: nn.Module, size: int, double: bool) -> bool:
        """Return whether one can be made."""
        return all(takes(network, 2 * size if double else size) for network in (online, target))

    @np.errstate(all="ignore")
    def targets(self, block: ArrayBlock, first: int) -> list[Array]:
        """Return what the target network says of the batches of a block from `first` on.

        That is the targets, (size,); where the online network chooses, the values of s_t,
        (size, actions).
        """
        begin = first * block.size
        s_t = block.s_t[begin:]
        total = len(s_t)
        rows = min(self._most, total)
        addresses = [p.data_ptr() for p in self._held]
        if addresses != self._addresses:
            self._targets, self._addresses = {}, addresses
        if rows not in self._targets:
            self._targets[rows] = ArrayChain(self._network, {}, rows, 0)
        chain = self._targets[rows]
        values = np.empty((total, self.actions), self._error.dtype)
        for start in range(0, total, rows):
            start = min(start, total - rows)
            values[start : start + rows] = chain.forward(s_t[start : start + rows])
        if self._double:
            return list(values.reshape(-1, self._size, self.actions))
        found = values.max(1)
        found *= block.discounts[begin:]
        found += block.rewards[begin:]
        return list(found.reshape(-1, self._size))

    @np.errstate(all="ignore")
    def gradients(self, block: ArrayBlock, index: int, targets: Array) -> Tensor:
        """Write the gradients of the mean loss; return it, a scalar.

        Args:
            block: of the batch.
            index: of the batch in it.
            targets: of the batch, from `targets`.
        """
        size, inputs = self._size, block.inputs[index]
        error, slope, inside, change = self._error, self._slope, self._inside, self._change
        values = self._chain.forward(inputs)
        if self._double:
            best = values[size:].argmax(1)
            best += self._first
            targets.take(best, out=self._target, mode="clip")
            of = slice(index * size, index * size + size)
            np.multiply(self._target, block.discounts[of], out=self._target)
            targets = np.add(self._target, block.rewards[of], out=self._target)
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
