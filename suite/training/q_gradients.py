"""The gradients of Q-learning's loss in closed form: by NumPy arrays where they are quicker.

An update of a small network takes as long as PyTorch needs to start its operations, and autograd
starts most of them. The derivatives written out in `suite.training.q_tensors` start fewer; those of
small networks on a CPU are made by `suite.training.q_arrays`, which starts them sooner.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import torch
from torch import Tensor, nn

from suite.models.array_chain import Array
from suite.models.chain import chain_layers
from suite.training.q_arrays import ArrayBlock, QArrays, readable
from suite.training.q_learning import LossName
from suite.training.q_tensors import Block as TensorBlock
from suite.training.q_tensors import QTensors


class Block(TensorBlock):
    """Batches that follow one another; arguments as of `suite.training.q_tensors.Block`.

    Attributes:
        arrays: all but the targets for `QArrays`, if it makes the updates.
        target_arrays: the same as `targets`, each (..., size) or (..., size, actions).
    """

    def __init__(self, fields: Mapping[str, Tensor], size: int, axis: int = 0) -> None:
        super().__init__(fields, size, axis)
        self._readable: dict[torch.dtype, bool] = {}
        self.arrays: ArrayBlock | None = None
        self.target_arrays: list[Array] = []

    def readable(self, dtype: torch.dtype) -> bool:
        """Return whether NumPy can read the fields, of `dtype` all but the actions."""
        if dtype not in self._readable:
            self._readable[dtype] = readable(self.fields, dtype)
        return self._readable[dtype]


class QGradients(QTensors):
    """`QTensors` of a network, or of several, whose gradients are made the quicker way.

    Args:
        network: what is trained, or one of several of one shape; it gives the layers.
        online: as for `QTensors`, and so are all that follow.

    Raises:
        ValueError: if the network is not a chain.
    """

    def __init__(
        self,
        network: nn.Module,
        online: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        double: bool,
        loss: LossName,
        axis: int = 0,
    ) -> None:
        layers = chain_layers(network)
        if layers is None:
            raise ValueError("the network is not a chain")
        super().__init__(layers, online, target, double, loss, axis)
        self._network, self._parameters = network, online
        self._arrays: dict[int, QArrays | None] = {}  # by the size of a batch
        self._by: QArrays | None = None

    def _by_arrays(self, block: Block) -> QArrays | None:
        """Return what makes the updates of a block, or None if they are made with tensors."""
        size = block.size
        if size not in self._arrays:
            shared = self._network, self._parameters, self._target
            fits = QArrays.fits(*shared, size, self._double)
            rest = size, self._double, self._loss
            self._arrays[size] = QArrays(*shared, self.gradients, *rest) if fits else None
        found = self._arrays[size]
        if found is None or not block.readable(found.errors.dtype):
            return None
        if block.arrays is None:
            block.arrays = ArrayBlock(block.fields, size, found.actions, self._double, self._axis)
        return found

    def _state(self) -> Hashable:
        return self._by is not None, super()._state()

    def prepare(self, block: TensorBlock, first: int) -> None:
        """Compute what batches from `first` on need of the target network."""
        if self._by is None:
            super().prepare(block, first)
            return
        assert isinstance(block, Block)
        assert block.arrays is not None
        block.first = first
        block.target_arrays = self._by.targets(block.arrays, first)

    def gradients_of(self, block: TensorBlock, index: int) -> Tensor:
        """Write the gradients of the mean losses of a batch; return these, () or (runs,)."""
        assert isinstance(block, Block)
        self._by = by = self._by_arrays(block)
        if by is None:
            return super().gradients_of(block, index)
        assert block.arrays is not None
        place = self.place(block, index)  # which may make the targets
        losses = by.gradients(block.arrays, index, block.target_arrays[place])
        self.errors = by.errors
        return losses
