"""Q-learning's loss and gradients in closed form, for networks that are chains of simple layers.

An update of a small network takes as long as PyTorch needs to start its operations, and autograd
starts most of them. Here the derivatives of the layers are those of `suite.models.chain`, and that
of the loss is written out: with d = target - q(s_tm1, a_tm1), a batch of B and weights w,

    c = d, or d clipped to [-1, 1] for ``huber``
    dL / dq(s_tm1, a_tm1) = -w c / B,    L = -sum_batch (d - c / 2) dL / dq(s_tm1, a_tm1).

What does not depend on the online network is computed for all batches of a block at once: the
target network's values, and -w / B at the place of each action. The numbers are those of autograd
up to rounding. Of a small network on a CPU the updates are made by `suite.training.q_arrays`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from suite.models.array_chain import Array
from suite.models.chain import Chain, Flatten, chain_layers
from suite.training.q_arrays import ArrayBlock, QArrays, readable
from suite.training.q_learning import LossName, elementwise_loss, q_learning_target


class Block:
    """Batches that follow one another.

    Args:
        fields: of all batches, (batches * size, ...).
        size: of a batch.

    Attributes:
        first: the first batch that `targets` has something of.
        made_with: whether the targets are arrays, and the state of the network that they are of.
        targets: by batch, (size, 1), or (size, actions) where the online network chooses.
        slopes: by batch, -w / B at the place of the action and 0 elsewhere, (size, actions).
        arrays: all but the targets for `QArrays`, if it makes the updates.
        target_arrays: the same as `targets`, each (size,) or (size, actions).
    """

    def __init__(self, fields: Mapping[str, Tensor], size: int) -> None:
        self.fields, self.size = fields, size
        self._parts: dict[str, tuple[Tensor, ...]] = {}
        self.first = 0
        self.made_with: tuple[int, ...] = ()
        self.targets: tuple[Tensor, ...] = ()
        self.slopes: tuple[Tensor, ...] = ()
        self._readable: dict[torch.dtype, bool] = {}
        self.arrays: ArrayBlock | None = None
        self.target_arrays: list[Array] = []

    def parts(self, name: str) -> tuple[Tensor, ...]:
        """Return a field by batch, (size, ...)."""
        if name not in self._parts:
            self._parts[name] = self.fields[name].split(self.size)
        return self._parts[name]

    def readable(self, dtype: torch.dtype) -> bool:
        """Return whether NumPy can read the fields, of `dtype` all but the actions."""
        if dtype not in self._readable:
            self._readable[dtype] = readable(self.fields, dtype)
        return self._readable[dtype]


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
        layers = chain_layers(online)
        if layers is None:
            raise ValueError("the network is not a chain")
        self._double, self._loss = double, loss
        self._online, self._target = list(online.parameters()), list(target.parameters())
        self._names = [name for name, _ in online.named_parameters()]
        self._layers, self._flat = layers, isinstance(layers[0], Flatten)
        self._networks = online, target
        self._places: list[int] = []
        self._errors = torch.empty(0, 1)
        self._arrays: dict[int, QArrays | None] = {}

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
        self._now = dict(zip(self._names, [p.detach() for p in self._online], strict=True))
        self._chain = Chain(self._layers, self._now)
        self._gradients = list(self._chain.gradients.values())
        self._arrays = {}

    def _by_arrays(self, block: Block) -> QArrays | None:
        """Return what makes the updates of a block, or None if they are made with tensors."""
        size = block.size
        if size not in self._arrays:
            made = None
            if QArrays.fits(*self._networks, size, self._double):
                gradients = self._chain.gradients
                made = QArrays(*self._networks, gradients, size, self._double, self._loss)
            self._arrays[size] = made
        found = self._arrays[size]
        if found is None or not block.readable(found.errors.dtype):
            return None
        if block.arrays is None:
            block.arrays = ArrayBlock(block.fields, size, found.actions, self._double)
        return found

    def _inputs(self, observations: Tensor) -> Tensor:
        return observations.flatten(1) if self._flat else observations

    def _values(self, parameters: list[Tensor], observations: Tensor) -> Tensor:
        named = dict(zip(self._names, parameters, strict=True))
        return self._chain.forward(named, self._inputs(observations))[0]

    def _prepare(self, block: Block, first: int, by_arrays: QArrays | None) -> None:
        """Compute what batches from `first` on need of the target network."""
        block.first = first
        if by_arrays is not None:
            assert block.arrays is not None
            block.target_arrays = by_arrays.targets(block.arrays, first)
            return
        of = {name: value[first * block.size :] for name, value in block.fields.items()}
        made = q_t = self._values([p.detach() for p in self._target], of["s_t"])
        if not self._double:
            made = q_learning_target(of["r_t"], of["discount_t"], q_t).unsqueeze(1)
        block.targets = made.split(block.size)
        if block.slopes:
            return
        a_tm1, weights = block.fields["a_tm1"].unsqueeze(1), block.fields.get("weights")
        shares = q_t.new_full(a_tm1.shape, -1.0 / block.size)
        if weights is not None:
            shares.mul_(weights.unsqueeze(1))
        places = q_t.new_zeros(len(a_tm1), q_t.shape[1]).scatter_(1, a_tm1, shares)
        block.slopes = places.split(block.size)

    def _aim(self, block: Block, index: int, by_arrays: QArrays | None = None) -> int:
        """Return the place of a batch among the targets, which are of the target network as it is.

        They are computed anew if it has changed since.
        """
        state = (by_arrays is not None, *[p._version for p in self._target])
        if block.made_with != state or index < block.first:
            self._prepare(block, index, by_arrays)
            block.made_with = state
        return index - block.first

    def _targets(self, batch: Batch) -> Tensor:
        """Return the targets of a batch, (batch, 1)."""
        place = self._aim(batch.block, batch.index)
        found = batch.block.targets[place]
        if not self._double:
            return found
        best = self._values(list(self._now.values()), batch["s_t"]).argmax(1, keepdim=True)
        r_t, discount_t = batch["r_t"].unsqueeze(1), batch["discount_t"].unsqueeze(1)
        return torch.addcmul(r_t, discount_t, found.gather(1, best))

    def gradients(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Put the gradients of the mean loss into the online parameters; return it, a scalar.

        Args:
            batch: from `split`, or fields alone, each (batch, ...).
        """
        if not isinstance(batch, Batch):
            batch = self.split(batch, len(batch["a_tm1"]))[0]
        self._look()
        block, index = batch.block, batch.index
        by_arrays = self._by_arrays(block)
        if by_arrays is None:
            loss = self._by_tensors(batch)
        else:
            assert block.arrays is not None
            place = self._aim(block, index, by_arrays)
            targets = block.target_arrays[place]
            loss = by_arrays.gradients(block.arrays, index, targets)
            self._errors = by_arrays.errors
        for parameter, gradient in zip(self._online, self._gradients, strict=True):
            if parameter.grad is not gradient:
                parameter.grad = gradient
        return loss

    @torch.no_grad()
    def _by_tensors(self, batch: Batch) -> Tensor:
        """Write the gradients of the mean loss; return it, a scalar."""
        targets, block, index = self._targets(batch), batch.block, batch.index
        s_tm1 = self._inputs(batch["s_tm1"])
        q_tm1, context = self._chain.forward(self._now, s_tm1)
        chosen = q_tm1.gather(1, block.parts("a_tm1")[index].unsqueeze(1))
        self._errors = slope = error = targets - chosen
        if self._loss == "huber":
            slope = error.clamp(-1.0, 1.0)
        output_gradients = slope * block.slopes[index]
        self._chain.backward(self._now, s_tm1, output_gradients, context)
        return torch.sub(error, slope, alpha=0.5).mul(output_gradients).sum().neg_()
