"""Proportional prioritised replay (Schaul et al. 2016) over the frame ring.

Slot i of N filled ones is drawn with probability

    P(i) = uniform_share / N + (1 - uniform_share) p_i^exponent / sum_k p_k^exponent,

with p the size of its latest error. Its weight is ``(N P(i))^-beta`` divided by the largest weight
of the batch. New slots get the largest p seen so far; slots without an action get no priority.
Draws that are not eligible are dropped, as in the ring itself, so the proportions among eligible
slots are correct.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from suite.replay.blocks import Block, Sample
from suite.replay.frame_ring import ACTED, FrameRing
from suite.replay.frames import Array, Ints
from suite.replay.sum_tree import Doubles, SumTree


@dataclass(frozen=True)
class Annealing:
    """A value by gradient steps: `start` until step `after`, then on a line of `length` to `end`.

    >>> beta = Annealing(0.4, 1.0, length=100, after=10)
    >>> beta(0), beta(10), beta(60), beta(110), beta(111)
    (0.4, 0.4, 0.7, 1.0, 1.0)
    """

    start: float
    end: float
    length: int
    after: int = 0

    def __call__(self, step: int) -> float:
        """Return the value at a gradient step."""
        done = min(max(step - self.after, 0) / self.length, 1.0) if self.length > 0 else 1.0
        return (1 - done) * self.start + done * self.end


class PrioritizedRing(FrameRing):
    """A frame ring that draws slots by the size of their errors.

    Args:
        capacity: transitions to keep, over all lanes.
        lanes: number of environments.
        frame: shape of one frame.
        dtype: of the frames.
        stack: frames in an observation; with 1 the observation is the frame itself.
        n_step: longest window.
        discount: per step.
        generator: of the draws; the ring's own from here on.
        device: that keeps the frames, as one tensor; None keeps them in a numpy array.
        limit: fewest transitions of an episode that is cut by time, see `FrameRing`.
        exponent: of the errors; with 0 all transitions have equal probability.
        uniform_share: share of draws that ignore the errors.
        largest: bound on an error's size.

    Attributes:
        tree: priorities of all slots, ``p^exponent``.
        largest_seen: the largest p so far; 1 before any.
    """

    def __init__(
        self,
        capacity: int,
        lanes: int,
        frame: tuple[int, ...],
        dtype: DTypeLike,
        stack: int,
        n_step: int,
        discount: float,
        generator: np.random.Generator,
        device: torch.device | None = None,
        limit: int | None = None,
        *,
        exponent: float,
        uniform_share: float,
        largest: float,
    ) -> None:
        of_ring = (capacity, lanes, frame, dtype, stack, n_step, discount, generator)
        super().__init__(*of_ring, device, limit)
        self.exponent, self.uniform_share, self.largest = exponent, uniform_share, largest
        self.largest_seen = 1.0
        self.tree = SumTree(lanes * self.slots)

    @property
    def bytes_per_slot(self) -> int:
        """Memory of one slot, rounded up."""
        return super().bytes_per_slot + math.ceil(self.tree.nbytes / len(self.tree))

    def add(self, block: Block, first_lane: int = 0) -> Ints:
        """Append a block, its actions with the largest priority so far."""
        index = super().add(block, first_lane)
        self._prioritize(index, np.full(index.size, self.largest_seen))
        return index

    def cut(self, lanes: Ints | None = None) -> Ints:
        """End lanes where they stand; actions that are forgotten lose their priority."""
        forgotten = super().cut(lanes)
        self.tree.set(forgotten, np.zeros(len(forgotten)))
        return forgotten

    def clear(self) -> None:
        """Forget everything, priorities too."""
        super().clear()
        self.tree.values[:] = 0
        self.tree.refresh()
        self.largest_seen = 1.0

    def update(self, index: Ints, errors: NDArray[np.floating[Any]]) -> None:
        """Set the priorities of what was sampled, before anything else is added.

        Args:
            index: `Sample.index`, (batch,).
            errors: (batch,), of either sign; one that is not a number counts as the largest.
        """
        sizes = np.fmin(np.abs(errors.astype(np.float64)), self.largest)
        self.largest_seen = float(sizes.max(initial=self.largest_seen))
        self._prioritize(index, sizes)

    def sample(
        self, size: int, draw: Callable[[int], Ints] | None = None, beta: float = 1.0
    ) -> Sample:
        """Return `size` transitions drawn by their errors, with replacement, and their weights.

        Args:
            size: of the batch.
            draw: proposes slots instead, see `FrameRing.sample`; there are no weights then.
            beta: how far the weights make up for uneven draws, from 0 (not at all) to 1.

        Raises:
            RuntimeError: if the ring holds nothing that can be sampled.
        """
        if draw is not None:
            return super().sample(size, draw)
        sample = super().sample(size, self.proportional)
        drawn = self.probability(sample.index)
        weights = (drawn.min() / drawn) ** beta
        return replace(sample, weights=weights.astype(np.float32))

    def proportional(self, size: int) -> Ints:
        """Return `size` slots, i with `probability` P(i).

        Raises:
            RuntimeError: if nothing is filled.
        """
        total = self.tree.total
        if total == 0:
            return self.uniform(size)
        index = self.tree.find(self.generator.random(size) * total)
        if self.uniform_share > 0:
            rows = np.flatnonzero(self.generator.random(size) < self.uniform_share)
            if len(rows):
                index[rows] = self.uniform(len(rows))
        return index

    def probability(self, index: Ints) -> Doubles:
        """Return P(i) of filled slots `index`, (batch,); all equal if no slot has a priority."""
        total, filled = self.tree.total, len(self)
        if total == 0:
            return np.full(len(index), 1 / filled)
        share = self.uniform_share
        drawn: Doubles = share / filled + (1 - share) * (self.tree[index] / total)
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """Return all state but the arrays, as plain data."""
        return {**super().state_dict(), "largest_seen": self.largest_seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        self.largest_seen = state["largest_seen"]

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; slots that it does not hold have no priority."""
        self.tree.values[:] = 0
        super().load(folder)
        self.tree.refresh()

    def _prioritize(self, index: Ints, sizes: Doubles) -> None:
        """Set priorities by sizes of errors, both (batch,); nothing where there is no action."""
        acted = self._marks[index] & ACTED != 0
        self.tree.set(index, sizes**self.exponent * acted)

    def _arrays(self) -> dict[str, Array | Tensor]:
        """Return the arrays by name, lane by lane."""
        priorities = self.tree.values.reshape(self.lanes, self.slots)
        return {**super()._arrays(), "priorities": priorities}
