"""Q-learning's loss and gradients in closed form, of one chain of simple layers or of many at once.

The derivatives of the layers are those of `suite.models.chain`, and that of the loss is written
out: with d = target - q(s_tm1, a_tm1), a batch of B and weights w,

    c = d, or d clipped to [-1, 1] for ``huber``
    dL / dq(s_tm1, a_tm1) = -w c / B,    L = -sum_batch (d - c / 2) dL / dq(s_tm1, a_tm1).

What does not depend on the online network is computed for all batches of a block at once: the
target network's values, and -w / B at the place of each action. The numbers are those of autograd
up to rounding.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from suite.models.chain import Chain, Flatten, Layer
from suite.training.q_learning import LossName, q_learning_target


class Block:
    """Batches that follow one another, of one run or of each of several.

    Args:
        fields: of all batches, (batches * size, ...), or (runs, batches * size, ...).
        size: of a batch.
        axis: along which the batches lie: 0, or 1 behind an axis of runs.

    Attributes:
        first: the first batch that the targets have something of.
        made_with: the state of the target network that they are of, and how they were made.
        targets: by batch, (..., size, 1), or (..., size, actions) where the online network chooses.
        shares: by batch, -w / B at the place of the action and 0 elsewhere, (..., size, actions).
    """

    def __init__(self, fields: Mapping[str, Tensor], size: int, axis: int = 0) -> None:
        self.fields, self.size, self.axis = fields, size, axis
        self._parts: dict[str, tuple[Tensor, ...]] = {}
        self.first = 0
        self.made_with: Hashable = None
        self.targets: tuple[Tensor, ...] = ()
        self.shares: tuple[Tensor, ...] = ()

    def parts(self, name: str) -> tuple[Tensor, ...]:
        """Return a field by batch, (..., size, ...)."""
        if name not in self._parts:
            self._parts[name] = self.fields[name].split(self.size, self.axis)
        return self._parts[name]

    def behind(self, name: str, first: int) -> Tensor:
        """Return a field of the batches from `first` on."""
        field, begin = self.fields[name], first * self.size
        return field.narrow(self.axis, begin, field.shape[self.axis] - begin)


class QTensors:
    """The loss of networks of action values that are chains of one shape.

    Args:
        layers: of the networks, from `suite.models.chain.chain_layers`.
        online: parameters of what is trained, by name: of one network, or (runs, ...).
        target: those of its copy.
        double: whether the online network chooses the action behind the window.
        loss: of an error.
        axis: 1 if there is an axis of runs, else 0.

    Attributes:
        gradients: of the online parameters, by name; `gradients_of` overwrites them.
        errors: TD errors of the latest batch, (..., size, 1).
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        online: Mapping[str, Tensor],
        target: Mapping[str, Tensor],
        double: bool,
        loss: LossName,
        axis: int = 0,
    ) -> None:
        self._online = {name: p.detach() for name, p in online.items()}
        self._target = target
        self._chain = Chain(layers, self._online)
        self._flat = isinstance(layers[0], Flatten)
        self._double, self._loss, self._axis = double, loss, axis
        self.gradients = self._chain.gradients
        self.errors = torch.empty(0, 1)

    def _inputs(self, observations: Tensor) -> Tensor:
        return observations.flatten(1 + self._axis) if self._flat else observations

    def values(self, observations: Tensor) -> Tensor:
        """Return the online network's values, (..., n, actions) of observations (..., n, ...)."""
        return self._chain.forward(self._online, self._inputs(observations))[0]

    def _state(self) -> Hashable:
        """Return what changes when the target network does."""
        return tuple([p._version for p in self._target.values()])

    @torch.no_grad()
    def prepare(self, block: Block, first: int) -> None:
        """Compute what batches from `first` on need of the target network."""
        block.first = first
        target = {name: p.detach() for name, p in self._target.items()}
        made = q_t = self._chain.forward(target, self._inputs(block.behind("s_t", first)))[0]
        if not self._double:
            rewards, discounts = (block.behind(name, first) for name in ("r_t", "discount_t"))
            made = q_learning_target(rewards, discounts, q_t).unsqueeze(-1)
        block.targets = made.split(block.size, self._axis)
        if block.shares:
            return
        a_tm1, weights = block.fields["a_tm1"].unsqueeze(-1), block.fields.get("weights")
        shares = q_t.new_full(a_tm1.shape, -1.0 / block.size)
        if weights is not None:
            shares.mul_(weights.unsqueeze(-1))
        places = q_t.new_zeros(*a_tm1.shape[:-1], q_t.shape[-1]).scatter_(-1, a_tm1, shares)
        block.shares = places.split(block.size, self._axis)

    def place(self, block: Block, index: int) -> int:
        """Return the place of a batch among the targets, which are of the target network as it is.

        They are computed again if it has changed since.
        """
        state = self._state()
        if block.made_with != state or index < block.first:
            self.prepare(block, index)
            block.made_with = state
        return index - block.first

    def _targets(self, block: Block, index: int) -> Tensor:
        """Return the targets of a batch, (..., size, 1)."""
        place = self.place(block, index)  # which may make the targets
        found = block.targets[place]
        if not self._double:
            return found
        best = self.values(block.parts("s_t")[index]).argmax(-1, keepdim=True)
        r_t, discount_t = (block.parts(name)[index].unsqueeze(-1) for name in ("r_t", "discount_t"))
        return torch.addcmul(r_t, discount_t, found.gather(-1, best))

    @torch.no_grad()
    def gradients_of(self, block: Block, index: int) -> Tensor:
        """Write the gradients of the mean losses of a batch; return these, () or (runs,)."""
        targets = self._targets(block, index)
        s_tm1 = self._inputs(block.parts("s_tm1")[index])
        q_tm1, context = self._chain.forward(self._online, s_tm1)
        chosen = q_tm1.gather(-1, block.parts("a_tm1")[index].unsqueeze(-1))
        self.errors = slope = error = targets - chosen
        if self._loss == "huber":
            slope = error.clamp(-1.0, 1.0)
        output_gradients = slope * block.shares[index]
        self._chain.backward(self._online, s_tm1, output_gradients, context)
        inside = torch.sub(error, slope, alpha=0.5).mul(output_gradients)
        return inside.sum((-2, -1)).neg_()
