"""Replay of single frames: stacks and n-step windows are rebuilt when they are sampled.

An environment's lane is a ring of slots. Slot t holds a transition: the newest frame of the
observation, the action taken, the reward that followed, and marks::

    acted   an action was taken here; false if a lane was cut before its outcome was known
    stops   the return after this action is complete: no bootstrapping beyond it
    starts  the frame is the first of an episode, so stacks do not reach back before it
    cut     the episode was cut by time after this action

``stops`` and ``starts`` differ. A lost life may stop the bootstrap while the stack continues; a
time limit restarts the stack, but the return is bootstrapped from the last observation. The last
observation has no slot, because no action follows it: last observations of episodes cut by time are
stored separately, those of other episodes not at all. So a full lane holds the requested number of
transitions, independent of the length of episodes. A shortened window keeps its real length m:

    r_t = sum_{j<m} discount^j r_{t+j},   discount_t = discount^m, or 0 if the window stops.

A slot can be sampled when everything its window needs is stored: not overwritten at the old end,
and not missing at the new end.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from suite.replay.arrays import load_rows, save_rows, to_numpy
from suite.replay.blocks import Block, Bools, Sample, Window, joined
from suite.replay.frames import Array, Ints, frame_store
from suite.replay.sizes import RingSize

__all__ = ["ACTED", "Array", "Block", "Bools", "FrameRing", "Ints", "Sample", "Window"]

ROUNDS = 1000
"""Attempts at finding slots to sample before a ring counts as empty."""

ACTED, STOPS, STARTS, CUT = (np.uint8(1 << bit) for bit in range(4))
"""The marks of a slot, as bits of one byte."""


def _proposed(size: int) -> int:
    """Return how many slots are looked at for a batch at first: some may not be eligible."""
    return size + size // 4 + 4


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
        limit: fewest transitions of an episode that is cut by time, which says how many last
            observations there can be; None for as many as transitions.
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
    ) -> None:
        self.lanes, self.frame, self.stack, self.n_step = lanes, frame, stack, n_step
        self.discount, self.generator = discount, generator
        sizes = RingSize.of(capacity, lanes, stack, n_step, limit)
        self.slots, self.lasts = sizes.slots, sizes.lasts
        size = lanes * self.slots
        # Last observations, lane after lane, lie behind the frames of the slots.
        self._frames = frame_store(size + lanes * self.lasts, frame, dtype, device)
        self._bases = np.arange(lanes) * self.slots
        self._numbers = np.zeros(size, np.int32)  # of the last observation behind a slot, by lane
        self._cuts = np.zeros(lanes, np.int64)  # last observations ever kept, by lane
        self._open: set[int] = set()  # lanes whose newest slot has no action
        self._actions = np.zeros(size, np.int16)
        self._rewards = np.zeros(size, np.float32)
        self._marks = np.zeros(size, np.uint8)
        self._heads = np.zeros(lanes, np.int64)  # slots ever written, by lane
        self._powers = np.asarray([discount**j for j in range(n_step + 1)], np.float32)
        self._around = np.arange(1 - stack, n_step + 1)
        self._steps = np.arange(n_step)

    def __len__(self) -> int:
        """Return the number of slots filled, which hold a transition each."""
        return int(np.minimum(self._heads, self.slots).sum())

    @property
    def bytes_per_slot(self) -> int:
        """Memory of one slot."""
        arrays = (self._actions, self._rewards, self._marks, self._numbers)
        return self.frame_bytes + sum(array.itemsize for array in arrays)

    @property
    def frame_bytes(self) -> int:
        """Memory of one frame."""
        return self._frames.data.dtype.itemsize * prod(self.frame)

    def add(self, block: Block, first_lane: int = 0) -> Ints:
        """Append a block to the lanes from `first_lane` on.

        Returns:
            The slots written to, (slots,); of more steps than a lane has slots, those of the last
            ones, which alone are kept.
        """
        steps, count = block.actions.shape
        lanes = slice(first_lane, first_lane + count)
        if self._open:
            self._fill(lanes)
        if not block.acted.all():
            return self._add_with_ends(block, lanes)
        times = self._heads[lanes] + np.arange(steps)[:, None]
        if steps > self.slots:
            times = times[-self.slots :]
            block = Block(*(field[-self.slots :] for field in vars(block).values()))
        at: Ints = self._bases[lanes] + times % self.slots
        self._frames.put(at, block.frames)
        self._actions[at] = block.actions
        self._rewards[at] = block.rewards
        self._marks[at] = ACTED | STOPS * block.stops | STARTS * block.starts
        self._heads[lanes] += steps
        return at.reshape(-1)

    def _add_with_ends(self, block: Block, lanes: slice) -> Ints:
        """Append a block in which episodes end: last observations are no slots."""
        acted = block.acted.astype(np.bool_)
        # Of a last observation this is the time of the slot before it.
        times = self._heads[lanes] - 1 + acted.cumsum(0)
        self._heads[lanes] = times[-1] + 1
        kept = acted & (times > times[-1] - self.slots)
        at = self._bases[lanes] + times % self.slots
        index: Ints = at[kept]
        self._frames.put(index, block.frames[kept])
        self._actions[index] = block.actions[kept]
        self._rewards[index] = block.rewards[kept]
        self._marks[index] = ACTED | STOPS * block.stops[kept] | STARTS * block.starts[kept]
        behind = ~acted & (times > np.maximum(times[-1] - self.slots, -1))
        for step, lane in np.argwhere(behind):
            self._keep_last(lanes.start + lane, at[step, lane], block.frames[step, lane])
        return index

    def _keep_last(self, lane: int, slot: int, frame: Array) -> None:
        """Keep the observation behind a slot, unless nothing is bootstrapped from it."""
        if self._marks[slot] & (ACTED | STOPS | CUT) != ACTED:
            return
        self._numbers[slot] = number = self._cuts[lane]
        self._marks[slot] |= CUT
        self._cuts[lane] += 1
        at = self.lanes * self.slots + lane * self.lasts + number % self.lasts
        self._frames.put(np.array([at]), frame[None])

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
        open_ = self._marks[newest] & (STOPS | CUT) == 0
        forgotten: Ints = newest[open_]
        self._marks[forgotten] &= ~ACTED
        self._open.update(lanes[open_].tolist())
        return forgotten

    def _fill(self, lanes: slice) -> None:
        """Make room where lanes were cut: what their newest slot holds is a last observation.

        What is added next is written there.
        """
        for lane in self._open.intersection(range(lanes.start, lanes.stop)):
            self._open.remove(lane)
            base, time = lane * self.slots, int(self._heads[lane]) - 1
            self._heads[lane] = time
            if time > 0:
                frame = to_numpy(self._frames.take(np.array([base + time % self.slots])))[0]
                self._keep_last(lane, base + (time - 1) % self.slots, frame)

    def clear(self) -> None:
        """Forget everything, as in a new ring, but keep the state of the generator."""
        self._heads[:] = 0
        self._cuts[:] = 0
        self._marks[:] = 0
        self._open.clear()

    def resolve(self, index: Ints) -> Window:
        """Return the windows that begin in the slots `index`.

        Args:
            index: (batch,); slots are numbered lane after lane.
        """
        lane, slot = np.divmod(index, self.slots)
        base = lane * self.slots
        newest = self._heads[lane] - 1
        time = newest - (newest - slot) % self.slots
        oldest = np.maximum(newest - self.slots + 1, 0)
        times = time[:, None] + self._around[:-1]  # of the last frame no mark is asked for
        stored = times <= newest[:, None]
        if self.stack > 1:
            stored &= times >= oldest[:, None]
        marks = self._marks[base[:, None] + times % self.slots] * stored
        # An action belongs to the window if it and all before it were taken and none ended it.
        ahead = marks[:, self.stack - 1 :]
        within = ahead & ACTED != 0
        if self.n_step > 1:
            within[:, 1:] &= ahead[:, :-1] & (STOPS | CUT) == 0
            within = np.logical_and.accumulate(within, axis=1)
        length = within.sum(1)
        last = ahead[:, 0] if self.n_step == 1 else ahead[np.arange(len(index)), length - 1]
        stopped, cut = last & STOPS != 0, last & CUT != 0
        eligible = within[:, 0] & (stopped | cut | (time + length <= newest))
        if cut.any():  # is the last observation still there?
            number = self._numbers[base + (time + length - 1) % self.slots]
            eligible &= ~cut | (self._cuts[lane] - number <= self.lasts)
        # The stack reaches back to the latest start, or over all its frames.
        depth = np.zeros(len(index), np.int64)
        if self.stack > 1:
            starts = marks[:, self.stack - 1 :: -1] & STARTS != 0
            depth = np.where(starts.any(axis=1), starts.argmax(1), self.stack - 1)
        eligible &= time - depth >= oldest
        return Window(index, base, time, eligible, length, stopped, cut, depth)

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
        frames = self._take(window, np.minimum(np.maximum(time + self._around, first), end))
        s_tm1, s_t = frames[:, : self.stack], frames[:, self.n_step :]
        short = (window.length < self.n_step) & ~window.stopped
        if short.any():  # these end before the n-th step, so their last stack lies further back
            s_t = self._take(window, np.maximum(end + self._around[: self.stack], first))
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
        index = draw(_proposed(size))
        window = self.resolve(index)
        kept = np.flatnonzero(window.eligible)
        for _ in range(ROUNDS):
            if len(kept) >= size:
                return self.gather(window.at(kept[:size]))
            index = np.concatenate([index[kept], draw(size)])
            window = self.resolve(index)
            kept = np.flatnonzero(window.eligible)
        raise RuntimeError(f"the replay of {len(self)} slots has nothing that can be sampled")

    def samples(self, size: int, count: int) -> Sample:
        """Return what `count` calls of `sample` would, one after the other and looked up at once.

        Args:
            size: of each batch.
            count: of batches, between which nothing is added.

        Raises:
            RuntimeError: if the ring holds nothing that can be sampled.
        """
        if count == 1:
            return self.sample(size)
        before = self.generator.bit_generator.state
        drawn = _proposed(size)
        window = self.resolve(self.uniform(count * drawn))
        eligible = window.eligible.reshape(count, drawn)
        kept = eligible & (eligible.cumsum(1) <= size)
        if (kept.sum(1) < size).any():  # one of them draws again before the next one draws
            self.generator.bit_generator.state = before
            return joined([self.sample(size) for _ in range(count)])
        return self.gather(window.at(np.flatnonzero(kept)))

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
            "cuts": self._cuts.tolist(),
            "slots": self.slots,
            "lasts": self.lasts,
            "generator": self.generator.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ValueError: if it is of a ring of another size.
        """
        sizes = (len(state["heads"]), state["slots"], state["lasts"])
        if sizes != (self.lanes, self.slots, self.lasts):
            raise ValueError(
                f"replay: got {sizes[0]} lanes of {sizes[1]} slots and {sizes[2]} last "
                f"observations; expected {self.lanes} of {self.slots} and {self.lasts}"
            )
        self._heads[:] = state["heads"]
        self._cuts[:] = state["cuts"]
        self.generator.bit_generator.state = state["generator"]

    @property
    def saved_bytes(self) -> int:
        """What `save` writes now."""
        lasts = self._filled_lasts() * self.frame_bytes
        return self.lanes * (self._filled() * self.bytes_per_slot + lasts)

    def save(self, folder: Path) -> None:
        """Write the filled part of the arrays into `folder`, one ``.npy`` file each."""
        for name, array in self._arrays().items():
            save_rows(folder / f"{name}.npy", array, self._filled())
        save_rows(folder / "lasts.npy", self._last_frames(), self._filled_lasts())

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; `load_state_dict` says how much of it there is."""
        for name, array in {**self._arrays(), "lasts": self._last_frames()}.items():
            load_rows(folder / f"{name}.npy", array)
        newest = np.arange(self.lanes) * self.slots + (self._heads - 1) % self.slots
        without = (self._heads > 0) & (self._marks[newest] & ACTED == 0)
        self._open = set(np.flatnonzero(without).tolist())

    def _arrays(self) -> dict[str, Array | Tensor]:
        """Return the arrays of the slots by name, lane by lane."""
        named: dict[str, Array | Tensor] = {
            "frames": self._frames.data[: self.lanes * self.slots],
            "actions": self._actions,
            "rewards": self._rewards,
            "marks": self._marks,
            "numbers": self._numbers,
        }
        return {k: a.reshape(self.lanes, self.slots, *a.shape[1:]) for k, a in named.items()}

    def _last_frames(self) -> Array | Tensor:
        """Return the last observations, lane by lane."""
        behind = self._frames.data[self.lanes * self.slots :]
        return behind.reshape(self.lanes, self.lasts, *behind.shape[1:])

    def _filled(self) -> int:
        """Return the number of slots filled in the lane that is filled most."""
        return int(min(self._heads.max(), self.slots))

    def _filled_lasts(self) -> int:
        """Return the number of last observations kept in the lane that keeps most."""
        return int(min(self._cuts.max(), self.lasts))

    def _take(self, window: Window, times: Ints) -> Array | Tensor:
        """Return the frames of steps (batch, k) of windows."""
        base = window.base[:, None]
        at = base + times % self.slots
        rows = np.flatnonzero(window.cut)
        if len(rows):  # what is behind these windows is a last observation
            end = window.time[rows] + window.length[rows]
            lane = window.base[rows] // self.slots
            number = self._numbers[window.base[rows] + (end - 1) % self.slots]
            last = self.lanes * self.slots + lane * self.lasts + number % self.lasts
            at[rows] = np.where(times[rows] == end[:, None], last[:, None], at[rows])
        return self._frames.take(at)
