"""Q-learning in closed form for the network of one run, whose parameters may move in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from suite.models.chain import chain_layers
from suite.training.q_gradients import Block, QGradients
from suite.training.q_learning import LossName, elementwise_loss


class Batch(Mapping[str, Tensor]):
    """A batch of a block, by field.

    Args:
        block: it belongs to.
        index: among the batches of the block.
    """

    def __init__(self, block: Block, index: int) -> None:
        self.block, self.index = block, index

    def __getitem__(self, name: str) -> Tensor:
        """Return a field, (batch, ...)."""
        return self.block.parts(name)[self.index]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the fields."""
        return iter(self.block.fields)

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self.block.fields)


class QChain:
    """The loss of a network of action values that is a chain.

    Args:
        online: the network that is trained; gradients are put into ``grad`` of its parameters.
        target: its copy.
        double: whether the online network chooses the action behind the window.
        loss: of an error.
    """

    def __init__(self, online: nn.Module, target: nn.Module, double: bool, loss: LossName) -> None:
        if chain_layers(online) is None:
            raise ValueError("the network is not a chain")
        self._double, self._loss = double, loss
        self._online = list(online.parameters())
        self._networks = online, target
        self._places: list[int] = []
        self._errors = torch.empty(0, 1)

    @property
    def errors(self) -> Tensor:
        """TD errors of the latest batch, (batch,)."""
        return self._errors.flatten().clone()

    @property
    def each(self) -> Tensor:
        """Their losses before any weights, (batch,)."""
        return elementwise_loss(self.errors, self._loss)

    def split(self, fields: Mapping[str, Tensor], size: int) -> list[Batch]:
        """Return the batches of a block, for one call of `gradients` after the other.

        Args:
            fields: ``s_tm1, a_tm1, r_t, discount_t, s_t``, perhaps ``weights``, of all batches.
            size: of a batch.
        """
        block = Block(fields, size)
        return [Batch(block, index) for index in range(len(fields["a_tm1"]) // size)]

    def _look(self) -> None:
        """Find the parameters again if their memory has changed."""
        places = [p.data_ptr() for p in self._online]
        if places == self._places:
            return
        self._places = places
        online, target = (dict(network.named_parameters()) for network in self._networks)
        found = QGradients(self._networks[0], online, target, self._double, self._loss)
        self._quick, self._gradients = found, list(found.gradients.values())

    def gradients(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Put the gradients of the mean loss into the online parameters; return it, a scalar.

        Args:
            batch: from `split`, or fields alone, each (batch, ...).
        """
        if not isinstance(batch, Batch):
            batch = self.split(batch, len(batch["a_tm1"]))[0]
        self._look()
        loss = self._quick.gradients_of(batch.block, batch.index)
        self._errors = self._quick.errors
        for parameter, gradient in zip(self._online, self._gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad = gradient
        return loss
