"""Replay of single frames: stacks and n-step windows are rebuilt when they are sampled.

An environment's lane is a ring of slots. Slot t holds what was known at one step: the newest frame
of the observation, the action taken, the reward that followed, and three marks::

    acted   an action was taken here; not so on the last observation of an episode
    stops   the return after this action is complete: nothing is bootstrapped beyond it
    starts  the frame is the first of an episode, so stacks do not reach behind it

``stops`` and ``starts`` are different things. A lost life may stop the bootstrap while the stack
goes on; a time limit restarts the stack, but the return is bootstrapped from the last observation,
which has a slot of its own without an action. A window cut short that way keeps its real length m:

    r_t = sum_{j<m} discount^j r_{t+j},   discount_t = discount^m, or 0 if the window stops.

A slot can be sampled when all that its window needs is stored: neither overwritten at the old end
nor still to come at the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from suite.replay.arrays import load_rows, save_rows
from suite.replay.frames import Array, Ints, frame_store

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

ROUNDS = 1000
"""Attempts at finding slots to sample before a ring counts as empty."""

ACTED, STOPS, STARTS = (np.uint8(1 << bit) for bit in range(3))
"""The marks of a slot, as bits of one byte."""


@dataclass(frozen=True)
class Block:
    """Consecutive steps of several lanes, time first; what a runner returns.

    Attributes:
        frames: newest frame before each action, (steps, lanes, *frame).
        actions: (steps, lanes) integers.
        rewards: reward after each action, (steps, lanes), unclipped.
        acted: (steps, lanes); see the module.
        stops: (steps, lanes).
        starts: (steps, lanes).
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
        depth: number of frames of the stack that lie before the slot.
    """

    index: Ints
    base: Ints
    time: Ints
    eligible: Bools
    length: Ints
    stopped: Bools
    depth: Ints

    def at(self, rows: Ints) -> Window:
        """Return the windows of some rows."""
        return Window(*(field[rows] for field in vars(self).values()))


class FrameRing:
    """A ring of slots per lane.

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
    ) -> None:
        self.lanes, self.frame, self.stack, self.n_step = lanes, frame, stack, n_step
        self.discount, self.generator = discount, generator
        # Besides `capacity` transitions: the stack below the oldest, the window above the newest.
        self.slots = -(-capacity // lanes) + stack - 1 + n_step
        size = lanes * self.slots
        self._frames = frame_store(size, frame, dtype, device)
        self._actions = np.zeros(size, np.int16)
        self._rewards = np.zeros(size, np.float32)
        self._marks = np.zeros(size, np.uint8)
        self._heads = np.zeros(lanes, np.int64)  # slots ever written, by lane
        self._powers = np.asarray([discount**j for j in range(n_step + 1)], np.float32)
        self._around = np.arange(1 - stack, n_step + 1)
        self._steps = np.arange(n_step)

    def __len__(self) -> int:
        """Return the number of slots filled; nearly the number of transitions."""
        return int(np.minimum(self._heads, self.slots).sum())

    @property
    def bytes_per_slot(self) -> int:
        """Memory of one slot."""
        arrays = (self._actions, self._rewards, self._marks)
        frame = self._frames.data.dtype.itemsize * prod(self.frame)
        return frame + sum(array.itemsize for array in arrays)

    def add(self, block: Block, first_lane: int = 0) -> Ints:
        """Append a block to the lanes from `first_lane` on.

        Returns:
            The slots of the block's steps, (steps, lanes); of a block longer than a lane, those of
            the last steps, which alone are kept.
        """
        steps, count = block.actions.shape
        lanes = np.arange(first_lane, first_lane + count)
        times = self._heads[lanes] + np.arange(steps)[:, None]
        if steps > self.slots:
            times = times[-self.slots :]
            block = Block(*(field[-self.slots :] for field in vars(block).values()))
        at: Ints = lanes * self.slots + times % self.slots
        self._frames.put(at, block.frames)
        self._actions[at] = block.actions
        self._rewards[at] = block.rewards
        self._marks[at] = ACTED * block.acted | STOPS * block.stops | STARTS * block.starts
        self._heads[lanes] += steps
        return at

    def cut(self, lanes: Ints | None = None) -> Ints:
        """End lanes where they stand, as if by a time limit, before something else follows.

        The observation after the newest action is unknown, so that action is forgotten unless the
        window stopped there anyway. What is added next must begin with a start.

        Args:
            lanes: numbers of the lanes; all by default.

        Returns:
            The slots whose action is forgotten.
        """
        lanes = np.arange(self.lanes) if lanes is None else lanes
        lanes = lanes[self._heads[lanes] > 0]
        newest = lanes * self.slots + (self._heads[lanes] - 1) % self.slots
        forgotten: Ints = newest[self._marks[newest] & STOPS == 0]
        self._marks[forgotten] &= ~ACTED
        return forgotten

    def clear(self) -> None:
        """Forget everything, as if the ring were new, save where its generator stands."""
        self._heads[:] = 0
        self._marks[:] = 0

    def resolve(self, index: Ints) -> Window:
        """Return the windows that begin in the slots `index`.

        Args:
            index: (batch,); slots are numbered lane after lane.
        """
        lane, slot = np.divmod(index, self.slots)
        base = lane * self.slots
        newest = self._heads[lane] - 1
        time = newest - (newest - slot) % self.slots
        times = time[:, None] + self._around
        stored = (times <= newest[:, None]) & (times > (newest - self.slots)[:, None])
        stored &= times >= 0
        marks = self._marks[base[:, None] + times % self.slots] * stored
        # An action belongs to the window if it and all before it were taken and none stopped it.
        ahead, present = marks[:, self.stack - 1 :], stored[:, self.stack - 1 :]
        stops = ahead[:, :-1] & STOPS != 0
        within = ahead[:, :-1] & ACTED != 0
        if self.n_step > 1:
            within[:, 1:] &= ~stops[:, :-1]
            within = np.logical_and.accumulate(within, axis=1)
        length = within.sum(1)
        stopped = (within & stops).any(axis=1)
        rows = np.arange(len(index))
        eligible = within[:, 0] & (stopped | present[rows, length])
        # The stack reaches back to the latest start, or over all its frames.
        depth = np.zeros(len(index), np.int64)
        if self.stack > 1:
            starts = marks[:, self.stack - 1 :: -1] & STARTS != 0
            depth = np.where(starts.any(axis=1), starts.argmax(1), self.stack - 1)
            eligible &= stored[rows, self.stack - 1 - depth]
        return Window(index, base, time, eligible, length, stopped, depth)

    def gather(self, window: Window) -> Sample:
        """Return the transitions of windows, all of them eligible.

        Frames are read once: a window's s_tm1 and s_t share all but n of them.
        """
        time, base = window.time[:, None], window.base[:, None]
        length = window.length[:, None]
        rewards = self._rewards[base + (time + self._steps) % self.slots]
        r_t = (rewards * self._powers[:-1] * (self._steps < length)).sum(1)
        discount_t = np.where(window.stopped, np.float32(0), self._powers[window.length])
        first, end = time - window.depth[:, None], time + length
        # Beyond a stop the next slot may still be to come; its frame then counts for nothing.
        frames = self._take(base, np.clip(time + self._around, first, end))
        s_tm1, s_t = frames[:, : self.stack], frames[:, self.n_step :]
        short = (window.length < self.n_step) & ~window.stopped
        if short.any():  # these end before the n-th step, so their last stack lies further back
            s_t = self._take(base, np.maximum(end + self._around[: self.stack], first))
        if self.stack == 1:
            s_tm1, s_t = s_tm1[:, 0], s_t[:, 0]
        a_tm1 = self._actions[window.index].astype(np.int64)
        return Sample(s_tm1, a_tm1, r_t, discount_t, s_t, window.index)

    def sample(self, size: int, draw: Callable[[int], Ints] | None = None) -> Sample:
        """Return `size` transitions, drawn with replacement.

        Args:
            size: of the batch.
            draw: proposes slots, given their number; those that are not eligible are dropped and
                drawn again. Uniform over the slots by default, hence over the transitions.

        Raises:
            RuntimeError: if the ring holds nothing that can be sampled.
        """
        draw = self.uniform if draw is None else draw
        index = draw(size + size // 4 + 4)
        window = self.resolve(index)
        kept = np.flatnonzero(window.eligible)
        for _ in range(ROUNDS):
            if len(kept) >= size:
                return self.gather(window.at(kept[:size]))
            index = np.concatenate([index[kept], draw(size)])
            window = self.resolve(index)
            kept = np.flatnonzero(window.eligible)
        raise RuntimeError(f"the replay of {len(self)} slots holds nothing that can be sampled")

    def uniform(self, size: int, generator: np.random.Generator | None = None) -> Ints:
        """Return `size` slots drawn uniformly over all filled ones.

        Args:
            size: number of slots.
            generator: of the draws; the ring's own by default.

        Raises:
            RuntimeError: if nothing is filled.
        """
        filled = np.minimum(self._heads, self.slots)
        ends = np.cumsum(filled)
        if ends[-1] == 0:
            raise RuntimeError("the replay is empty")
        drawn = (generator or self.generator).integers(ends[-1], size=size)
        lane = np.searchsorted(ends, drawn, side="right")
        # Filled slots are the first of their lane until it is full, whatever the order in time.
        index: Ints = lane * self.slots + drawn - (ends[lane] - filled[lane])
        return index

    def state_dict(self) -> dict[str, Any]:
        """Return all state but the arrays, as plain data."""
        return {
            "heads": self._heads.tolist(),
            "slots": self.slots,
            "generator": self.generator.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ValueError: if it is of a ring of another size.
        """
        if (len(state["heads"]), state["slots"]) != (self.lanes, self.slots):
            raise ValueError(
                f"replay: got {len(state['heads'])} lanes of {state['slots']} slots; expected "
                f"{self.lanes} of {self.slots}"
            )
        self._heads[:] = state["heads"]
        self.generator.bit_generator.state = state["generator"]

    @property
    def saved_bytes(self) -> int:
        """What `save` writes now."""
        return self._filled() * self.lanes * self.bytes_per_slot

    def save(self, folder: Path) -> None:
        """Write the filled part of the arrays into `folder`, one ``.npy`` file each."""
        for name, array in self._arrays().items():
            save_rows(folder / f"{name}.npy", array, int(self._filled()))

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; `load_state_dict` says how much of it there is."""
        for name, array in self._arrays().items():
            load_rows(folder / f"{name}.npy", array)

    def _arrays(self) -> dict[str, Array | Tensor]:
        """Return the arrays by name, lane by lane."""
        named: dict[str, Array | Tensor] = {
            "frames": self._frames.data,
            "actions": self._actions,
            "rewards": self._rewards,
            "marks": self._marks,
        }
        return {k: a.reshape(self.lanes, self.slots, *a.shape[1:]) for k, a in named.items()}

    def _filled(self) -> int:
        """Return the number of slots filled in the lane that is filled most."""
        return int(min(self._heads.max(), self.slots))

    def _take(self, base: Ints, times: Ints) -> Array | Tensor:
        """Return the frames of steps (batch, k) of lanes that begin at `base` (batch, 1)."""
        return self._frames.take(base + times % self.slots)
