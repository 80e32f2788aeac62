"""An update of Q-learning in closed form on NumPy arrays, for small networks on a CPU.

There is one network, or several of one shape, with an axis of runs before all others.
The numbers are those of `suite.training.q_tensors`, up to rounding. Where the online network
chooses the action behind the window, it reads s_tm1 and s_t of a batch in one forward pass.
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
        fields: of all batches, (batches * size, ...), or (runs, batches * size, ...).
        size: of a batch.
        actions: of the task.
        double: whether the online network reads s_t too.
        axis: along which the batches lie: 0, or 1 behind an axis of runs.

    Attributes:
        size: of a batch.
        inputs: by batch, (..., rows, features), rows being s_tm1 and perhaps s_t.
        s_t: of all batches, (..., batches * size, features).
        rewards: of all batches, (..., batches * size).
        discounts: of all batches, (..., batches * size).
        places: of the actions taken in the action values of all rows, by batch, (..., size).
        taken: whether an action was taken, by batch, (..., size, actions).
        shares: -w / size, by batch, (..., size) or a number.
        losses: by batch, (...); `loss_array` is the same memory.
    """

    def __init__(
        self,
        fields: Mapping[str, Tensor],
        size: int,
        actions: int,
        double: bool,
        axis: int = 0,
    ) -> None:
        arrays = {name: field.numpy() for name, field in fields.items()}
        self.size, self._axis = size, axis
        self.runs = arrays["a_tm1"].shape[:axis]
        self._count = arrays["a_tm1"].shape[axis] // size
        total = self._count * size

        def flat(name: str) -> Array:
            """Return observations as (..., batches * size, features)."""
            found = arrays[name][:total] if axis == 0 else arrays[name][:, :total]
            return found.reshape(*self.runs, total, -1)

        self.s_t = flat("s_t")
        inputs = self._by_batch(flat("s_tm1"))
        if double:
            inputs = np.concatenate([inputs, self._by_batch(self.s_t)], -2)
        self.inputs = list(np.ascontiguousarray(inputs))
        self.rewards, self.discounts = arrays["r_t"], arrays["discount_t"]
        a_tm1 = self._by_batch(arrays["a_tm1"])
        rows = inputs.shape[-2]
        self.places = list(a_tm1 + starts(self.runs, rows, size, actions))
        self.taken = list(a_tm1[..., None] == np.arange(actions))
        share = arrays["r_t"].dtype.type(-1.0 / size)
        self.shares: list[Any] = [share] * self._count
        if "weights" in arrays:
            self.shares = list(share * self._by_batch(arrays["weights"]))
        losses = torch.zeros((self._count, *self.runs), dtype=fields["r_t"].dtype)
        self.losses, self.loss_array = losses.unbind(), losses.numpy()

    def _by_batch(self, field: Array) -> Array:
        """Return a field with the batches first, (batches, ..., size, ...)."""
        axis, total = self._axis, self._count * self.size
        field = field[:total] if axis == 0 else field[:, :total]
        shape = (*field.shape[:axis], self._count, self.size, *field.shape[axis + 1 :])
        found = field.reshape(shape)
        return found if axis == 0 else np.ascontiguousarray(found.swapaxes(0, 1))


def starts(runs: tuple[int, ...], rows: int, size: int, actions: int) -> Array:
    """Return the place of the first action of the first `size` rows in values, (..., size).

    Args:
        runs: (runs,), or nothing.
        rows: of the values of each run.
        size: rows that are asked for.
        actions: values of a row.
    """
    places = np.arange(0, size * actions, actions)
    return places + rows * actions * np.arange(runs[0])[:, None] if runs else places


class QArrays:
    """The gradients of one batch after the other, all of one size.

    Args:
        network: what is trained, or one of several of one shape.
        online: parameters, by name, of the one network or (runs, ...); they stay where they are.
        target: those of its copy.
        gradients: of the online parameters, by name; they are written.
        size: of a batch.
        double: whether the online network chooses the action behind the window.
        loss: of an error.

    Attributes:
        actions: of the task.
        errors: TD errors of the latest batch, (..., size).
    """

    def __init__(
        self,
        network: nn.Module,
        online: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        size: int,
        double: bool,
        loss: LossName,
    ) -> None:
        rows = 2 * size if double else size
        self._chain = ArrayChain(network, online, gradients, rows, size)
        self.actions = actions = self._chain.features
        self._network, self._targets = network, dict[int, ArrayChain]()  # by rows
        self._target_parameters, self._addresses = target, list[int]()
        self._most = MOST // widest(network)
        self._size, self._double, self._huber = size, double, loss == "huber"
        first = next(iter(gradients.values()))
        dtype, runs = first.dtype, tuple(first.shape[: first.ndim - 2])
        self._runs = runs  # the first parameter is the weight of a linear map
        self.errors = torch.zeros((*runs, size), dtype=dtype)
        self._error: Array = self.errors.numpy()
        self._slope = zeros((*runs, size), dtype) if self._huber else self._error
        self._chosen, self._target, self._inside, self._change = (
            zeros((*runs, size), dtype) for _ in range(4)
        )
        self._column = self._change[..., None]
        self._output_gradients = zeros((*runs, size, actions), dtype)
        self._first = starts(runs, size, size, actions)
        self._ends = tuple(self._error.dtype.type(end) for end in (-1.0, 1.0, 0.5))

    @staticmethod
    def fits(
        network: nn.Module,
        online: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        size: int,
        double: bool,
    ) -> bool:
        """Return whether one can be made."""
        rows = 2 * size if double else size
        return all(takes(network, parameters, rows) for parameters in (online, target))

    @np.errstate(all="ignore")
    def targets(self, block: ArrayBlock, first: int) -> list[Array]:
        """Return what the target network says of the batches of a block from `first` on.

        That is the targets, (..., size); where the online network chooses, the values of s_t,
        (..., size, actions).
        """
        s_t = block.s_t[..., first * block.size :, :]
        total = s_t.shape[-2]
        rows = min(self._most, total)
        addresses = [p.data_ptr() for p in self._target_parameters.values()]
        if addresses != self._addresses:
            self._targets, self._addresses = {}, addresses
        if rows not in self._targets:
            target = self._target_parameters
            self._targets[rows] = ArrayChain(self._network, target, {}, rows, 0)
        chain = self._targets[rows]
        values = np.empty((*self._runs, total, self.actions), self._error.dtype)
        for start in range(0, total, rows):
            start = min(start, total - rows)
            some = slice(start, start + rows)
            values[..., some, :] = chain.forward(s_t[..., some, :])
        found = values
        if not self._double:
            found = values.max(-1)
            behind = slice(first * block.size, first * block.size + total)
            found *= block.discounts[..., behind]
            found += block.rewards[..., behind]
        count = total // self._size
        shape = (*self._runs, count, self._size, *found.shape[len(self._runs) + 1 :])
        found = found.reshape(shape)
        if self._runs:
            found = np.ascontiguousarray(found.swapaxes(0, 1))
        return list(found)

    @np.errstate(all="ignore")
    def gradients(self, block: ArrayBlock, index: int, targets: Array) -> Tensor:
        """Write the gradients of the mean losses of a batch; return these, () or (runs,).

        Args:
            block: of the batch.
            index: of the batch in it.
            targets: of the batch, from `targets`.
        """
        size, inputs = self._size, block.inputs[index]
        error, slope, inside, change = self._error, self._slope, self._inside, self._change
        values = self._chain.forward(inputs)
        if self._double:
            best = values[..., size:, :].argmax(-1)
            best += self._first
            targets.take(best, out=self._target, mode="clip")
            of = (..., slice(index * size, index * size + size))
            np.multiply(self._target, block.discounts[of], out=self._target)
            targets = np.add(self._target, block.rewards[of], out=self._target)
            inputs = inputs[..., :size, :]
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
        if self._runs:
            np.multiply(inside, change, out=inside)
            np.add.reduce(inside, -1, out=block.loss_array[index])
            np.negative(block.loss_array[index], out=block.loss_array[index])
        else:
            block.loss_array[index] = -np.dot(inside, change)
        return block.losses[index]
