"""Inputs and outputs of a replay: blocks of steps, windows, samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suite.replay.frames import Array, Ints

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """Consecutive steps of several lanes, time first; what a runner returns.

    Attributes:
        frames: newest frame before each action, (steps, lanes, *frame).
        actions: (steps, lanes) integers.
        rewards: reward after each action, (steps, lanes), unclipped.
        acted: whether an action was taken, (steps, lanes); not so on the last observation of an
            episode.
        stops: whether the return after it is complete, (steps, lanes).
        starts: whether the frame is the first of an episode, (steps, lanes).
    """

    frames: Array
    actions: Array
    rewards: Array
    acted: Bools
    stops: Bools
    starts: Bools


@dataclass(frozen=True)
class Sample:
    """A batch of n-step transitions.

    Stacks are tensors where the ring keeps its frames on a device; all else are arrays.

    Attributes:
        s_tm1: stacks before the action, (batch, stack, *frame), or (batch, *frame) without stacks.
        a_tm1: actions, (batch,).
        r_t: discounted sum of the window's rewards, (batch,).
        discount_t: factor on the value of `s_t`, (batch,); 0 where the window stops.
        s_t: stacks at the end of the window, like `s_tm1`; of no meaning where `discount_t` is 0.
        index: slots sampled, (batch,), as `FrameRing.resolve` takes them.
        weights: of their losses, (batch,), where slots are not drawn uniformly.
    """

    s_tm1: Array | Tensor
    a_tm1: Ints
    r_t: Floats
    discount_t: Floats
    s_t: Array | Tensor
    index: Ints
    weights: Floats | None = None

    def parts(self, size: int) -> list[Sample]:
        """Return batches of `size` transitions, without a copy."""
        count = len(self.index)
        return (
            [self] if count == size else [self._part(at, at + size) for at in range(0, count, size)]
        )

    def _part(self, start: int, stop: int) -> Sample:
        """Return some of the transitions."""
        rows = slice(start, stop)
        weights = None if self.weights is None else self.weights[rows]
        return Sample(
            self.s_tm1[rows],
            self.a_tm1[rows],
            self.r_t[rows],
            self.discount_t[rows],
            self.s_t[rows],
            self.index[rows],
            weights,
        )


def joined(samples: Sequence[Sample]) -> Sample:
    """Return the transitions of samples without weights as one sample."""
    of = {name: [getattr(s, name) for s in samples] for name in vars(samples[0])}
    del of["weights"]
    joint: dict[str, Any] = {
        name: torch.cat(values) if isinstance(values[0], Tensor) else np.concatenate(values)
        for name, values in of.items()
    }
    return Sample(**joint)


@dataclass(frozen=True)
class Window:
    """What slots say about the windows that begin in them, each field (batch,).

    Attributes:
        index: the slots.
        base: first slot of their lane.
        time: step of the lane that they hold, counted from its beginning.
        eligible: whether all that the window needs is stored.
        length: number of rewards in the window, m.
        stopped: whether nothing is bootstrapped beyond it.
        cut: whether it ends with an episode that was cut by time.
        depth: number of frames of the stack that lie before the slot.
    """

    index: Ints
    base: Ints
    time: Ints
    eligible: Bools
    length: Ints
    stopped: Bools
    cut: Bools
    depth: Ints

    def at(self, rows: Ints) -> Window:
        """Return the windows of some rows."""
        return Window(*(field[rows] for field in vars(self).values()))
