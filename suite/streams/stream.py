"""The task that every stream makes: batches and held-out data of the phase that is going on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suite.clock import Clock
from suite.data.sets import load
from suite.data.standardised import standardised, test_inputs
from suite.errors import ConfigError
from suite.losses import CROSS_ENTROPY, MaskedCrossEntropy
from suite.seeding import Seeds
from suite.streams.augment import Draws, crop_flip
from suite.streams.config import HELD_OUT, StreamConfig
from suite.streams.online import OnlineAccuracy
from suite.streams.phase import Phase, Pool
from suite.tasks.base import Batch, Network, SupervisedTask, epoch_order

PROBE = 256
"""Inputs on which features are measured."""

EVALUATED = 10_000
"""Largest number of examples that an accuracy is taken on, the first ones of the phase."""


@dataclass(frozen=True)
class Epoch:
    """The order of a phase's examples in one pass, and their augmentation."""

    number: int
    order: Tensor
    draws: Draws | None


class Current:
    """A phase with its data on the device.

    Args:
        phase: which examples, inputs and labels.
        index: number of the phase.
        owner: the stream.
    """

    def __init__(self, phase: Phase, index: int, owner: Stream) -> None:
        self.phase, self.index, self._owner = phase, index, owner
        device = owner.device
        self.examples = owner.members[phase.examples].to(device)
        self.targets = phase.targets(owner.pool.labels[phase.examples]).to(device)
        self.permutation = None if phase.permutation is None else phase.permutation.to(device)
        self.size = min(owner.config.batch_size, len(self.examples))
        self.per_epoch = len(self.examples) // self.size
        self.start = owner.clock.starts[index]
        self._epoch: Epoch | None = None
        self._ready: Tensor | None = None
        if owner.config.bytes_kept(len(self.examples)):
            everything = torch.arange(len(self.examples), device=device)
            self._ready = phase.shown(self._arranged(everything))

    def _arranged(self, index: Tensor) -> Tensor:
        return arranged(self._owner.inputs(self.examples[index]), self.permutation)

    def epoch(self, number: int) -> Epoch:
        """Return an epoch, a function of its number and the seeds alone; the latest is kept."""
        if self._epoch is None or self._epoch.number != number:
            seeds, count, device = self._owner.seeds, len(self.examples), self._owner.device
            stream = self.phase.order
            order = epoch_order(seeds, stream, number, count).to(device)
            draws = None
            if self._owner.config.augment == "crop_flip":
                draws = Draws.of(seeds, f"augment/{stream}/{number}", count, device)
            self._epoch = Epoch(number, order, draws)
        return self._epoch

    def batch(self, step: int) -> Batch:
        """Return the batch of gradient step `step`, as if the phase went on for ever."""
        return self._examples(step, 1)

    def batches(self, step: int, most: int) -> Batch:
        """Return the batches from `step` on, at most so many and of one epoch, on a first axis."""
        inputs, targets = self._examples(step, most)
        return inputs.unflatten(0, (-1, self.size)), targets.view(-1, self.size)

    def _examples(self, step: int, most: int) -> Batch:
        """Return the examples of at most so many batches, as one."""
        number, within = divmod(step - self.start, self.per_epoch)
        epoch = self.epoch(number)
        part = slice(within * self.size, min(within + most, self.per_epoch) * self.size)
        index = epoch.order[part]
        ready = self._ready
        if ready is not None:
            return ready.index_select(0, index), self.targets.index_select(0, index)
        inputs = self._arranged(index)
        if epoch.draws is not None:
            inputs = crop_flip(inputs, epoch.draws[part], self._owner.black)
        return self.phase.shown(inputs), self.targets.index_select(0, index)

    def first(self, most: int) -> Batch:
        """Return its first examples without augmentation, with the labels that it trains on."""
        index = torch.arange(min(most, len(self.examples)), device=self._owner.device)
        ready = self._ready
        inputs = self.phase.shown(self._arranged(index)) if ready is None else ready[: len(index)]
        return inputs, self.targets[: len(index)]


def arranged(inputs: Tensor, permutation: Tensor | None) -> Tensor:
    """Return inputs (n, ...) with their values in another order; None leaves them."""
    if permutation is None:
        return inputs
    order = permutation.to(inputs.device)
    return inputs.flatten(1).index_select(1, order).view(-1, *inputs.shape[1:])


class Stream(SupervisedTask):
    """A stream of phases over one data set.

    Args:
        config: of the stream.
        seeds: of the run.
        clock: of the run.
        device: where the data live.

    Attributes:
        pool: the examples that phases choose from.
        online: accuracies before the updates.
        last: the latest batch and its loss before its update; None before the first.
        scores: updates made and accuracy by task, where these were last measured.
    """

    def __init__(
        self, config: StreamConfig, seeds: Seeds, clock: Clock, device: torch.device
    ) -> None:
        data = load(config.dataset)
        self.config, self.seeds, self.clock, self.device = config, seeds, clock, device
        self.source, self._content = data.source, data.content
        labels = torch.from_numpy(data.train_labels)
        self.members = torch.arange(len(labels))
        if config.validation:
            drawn = Seeds(HELD_OUT, 0).torch(data.source)
            self.members = torch.randperm(len(labels), generator=drawn)
        self.members, kept_out = self.members.split(
            [config.pool_size, len(labels) - config.pool_size]
        )
        self.pool = Pool(labels[self.members], data.classes, config.data.shape)
        self.train, _ = standardised(data, device)
        self.black = -self.train.mean / self.train.std  # of images
        if config.validation:
            self._test = (self.inputs(kept_out.to(device)), labels[kept_out].to(device))
        else:
            kind = torch.get_default_dtype()
            self._test = (
                test_inputs(data, device, kind),
                torch.from_numpy(data.test_labels).to(device),
            )
        probe = torch.randperm(len(self.members), generator=seeds.torch("probe"))[:PROBE]
        self.probe = self.inputs(self.members[probe].to(device))
        self.criterion = CROSS_ENTROPY
        self._mask: MaskedCrossEntropy | None = None
        if config.head == "masked":
            self._mask = MaskedCrossEntropy(torch.zeros(config.outputs(), device=device))
            self.criterion = self._mask
        self.online = OnlineAccuracy(device)
        self._current: Current | None = None
        self._before: Current | None = None
        self._mix: tuple[int, Tensor] | None = None
        self._scored: tuple[int, Batch] | None = None
        self._early = 0  # updates made where a phase was last ended before its time
        self.last: tuple[Batch, Tensor] | None = None
        self.scores: tuple[int, dict[int, Tensor]] | None = None

    def inputs(self, examples: Tensor) -> Tensor:
        """Return inputs of the training set, (n, *shape), in the precision of the run."""
        return self.train(examples).to(torch.get_default_dtype())

    def phase_at(self, step: int) -> int:
        """Return the phase that the update `step` belongs to."""
        return bisect_right(self.clock.starts, step) - 1

    def _end(self, index: int) -> int:
        """Return the number of updates after which a phase ends by the clock."""
        starts = self.clock.starts
        return starts[index + 1] if index + 1 < len(starts) else self.clock.total

    def _make(self, index: int) -> Current:
        return Current(self.config.phase(index, self.pool, self.seeds), index, self)

    def current(self, index: int) -> Current:
        """Return a phase; the latest is kept. The outputs that count from now on are its own."""
        if self._current is None or self._current.index != index:
            self._current = self._make(index)
            if self._mask is not None:
                self._mask.only(self._current.phase.outputs)
        return self._current

    def batch(self, step: int) -> Batch:
        """Return the next `batch_size` examples of the phase in the epoch's order."""
        index = self.phase_at(step)
        current = self.current(index)
        batch = current.batch(step)
        if index and step - current.start < self.config.transition:
            return self._mixed(batch, index, step - current.start)
        return batch

    def batches(self, step: int, most: int) -> Batch:
        """Return the batches of updates in a row; of those of a transition one."""
        index = self.phase_at(step)
        current = self.current(index)
        if index and step - current.start < self.config.transition:
            return super().batches(step, most)
        return current.batches(step, most)

    def account(self, right: Tensor, batch: Batch, loss: Tensor) -> None:
        """Keep how many were right."""
        self.online.add(right.double().sum(), len(right))
        self.last = (batch, loss)

    def _mixed(self, batch: Batch, index: int, since: int) -> Batch:
        """Return a batch in which the phase before still has a share, ``1 - (t + 1) / (n + 1)``."""
        if self._before is None or self._before.index != index - 1:
            self._before = self._make(index - 1)
        steps = self.config.transition
        if self._mix is None or self._mix[0] != index:
            generator = self.seeds.torch(f"transition/{index}")
            draws = torch.rand(steps, len(batch[1]), generator=generator)
            later = torch.arange(1, steps + 1).unsqueeze(1) / (steps + 1)
            self._mix = (index, (draws < later).to(self.device))
        inputs, targets = batch
        old_inputs, old_targets = self._before.batch(self.clock.starts[index] + since)
        take = torch.arange(len(targets), device=self.device) % len(old_targets)
        new = self._mix[1][since]
        wide = new.view(-1, *[1] * (inputs.ndim - 1))
        return (
            torch.where(wide, inputs, old_inputs[take]),
            torch.where(new, targets, old_targets[take]),
        )

    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return what the latest update drew from, at most 10,000 examples, and held-out data."""
        current = self.current(self.phase_at(max(step - 1, 0)))
        found = {"train": current.first(EVALUATED)}
        if current.phase.tested:
            found[self.config.held_out] = self._held_out_now(current)
        return found

    def _held_out_now(self, current: Current) -> Batch:
        """Return the held-out data of the phase that is going on; they are kept."""
        if self._scored is None or self._scored[0] != current.index:
            self._scored = (current.index, self._held_out(current.phase))
        return self._scored[1]

    def _held_out(self, phase: Phase) -> Batch:
        """Return the held-out data of the classes that a phase asks for, as it labels them."""
        inputs, labels = self._test
        if phase.relabel is not None:
            labels = phase.relabel.to(self.device)[labels]
            asked = labels >= 0
            inputs, labels = inputs[asked], labels[asked]
        return phase.shown(arranged(inputs, phase.permutation)), labels

    def held_out(self, index: int) -> Batch | None:
        """Return the held-out data of any phase; None where there is nothing to score."""
        phase = self.config.phase(index, self.pool, self.seeds)
        return self._held_out(phase) if phase.tested else None

    def ended(self, step: int) -> int | None:
        """Return the phase that ends after `step` updates, with a measurement; None if none does.

        A phase that `until_accuracy` ends counts from `next_step` on.
        """
        if step == 0:
            return None
        index = self.phase_at(step - 1)
        return index if step in (self._end(index), self._early) else None

    def loss(self, model: Network, batch: Batch) -> Tensor:
        """Return the loss of a batch; how many of it were right is kept."""
        inputs, targets = batch
        outputs = model(inputs)
        self.online.add(self.criterion.correct(outputs.detach(), targets))
        loss = self.criterion.loss(outputs, targets)
        self.last = (batch, loss.detach())
        return loss

    def next_step(self, step: int) -> int:
        """Return the first step of the next phase if `until_accuracy` ends this one, else `step`.

        Waits for the device once an epoch.
        """
        wanted = self.config.until_accuracy
        if wanted is None or step == 0:
            return step
        index = self.phase_at(step - 1)
        current = self.current(index)
        if (step - current.start) % current.per_epoch:
            return step
        if self.online.since_epoch() < wanted:
            return step
        self._early = step
        return self._end(index)

    def begin_phase(self) -> None:
        """Start the counts of a phase."""
        self.online.begin_phase()

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted, and what stands for a user's own data."""
        return {"online": self.online.state_dict(), "content": self._content}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ConfigError: if a user's own data are no longer what the run began with; the run's id
                has their path alone.
        """
        begun = state.get("content", self._content)
        if begun != self._content:
            wanted = f"the arrays that the run began with (sha256 {begun}); --fresh starts again"
            raise ConfigError("task.dataset", self.source, wanted)
        self.online.load_state_dict(state["online"])
