"""How much space a replay needs to keep the requested transitions.

A slot holds a transition. In addition to `capacity` transitions a lane has slots for the stack
before the oldest and the window after the newest one. Last observations are needed only for
episodes that are cut by time. These have at least as many transitions as the time limit, which
bounds their number.
"""

from __future__ import annotations

from dataclasses import dataclass

from suite.replay.sum_tree import tree_bytes

SLOT_BYTES = 11
"""Memory of a slot without its frame: action, reward, marks, number of a last observation."""

LOST = 8
"""Last observations of a lane for episodes that ended sooner, such as where a process was lost."""


@dataclass(frozen=True)
class RingSize:
    """Sizes of a replay.

    Attributes:
        lanes: number of environments.
        slots: of each lane.
        lasts: last observations that each lane has room for.
    """

    lanes: int
    slots: int
    lasts: int

    @classmethod
    def of(cls, capacity: int, lanes: int, stack: int, n_step: int, limit: int | None) -> RingSize:
        """Return the sizes of a replay.

        Args:
            capacity: transitions to keep, over all lanes.
            lanes: number of environments.
            stack: frames in an observation.
            n_step: longest window.
            limit: fewest transitions of an episode that is cut by time; None if unknown.

        >>> RingSize.of(1_000_000, 1, stack=4, n_step=3, limit=27_000)
        RingSize(lanes=1, slots=1000006, lasts=46)
        >>> RingSize.of(1_000, 2, stack=1, n_step=1, limit=None)
        RingSize(lanes=2, slots=501, lasts=501)
        """
        slots = -(-capacity // lanes) + stack - 1 + n_step
        return cls(lanes, slots, min(slots, -(-slots // (limit or 1)) + LOST))

    def nbytes(self, frame: int, prioritized: bool) -> int:
        """Return the memory of all of it, full.

        Args:
            frame: bytes of a frame.
            prioritized: whether there is a sum tree over the slots.
        """
        size = self.lanes * self.slots
        tree = tree_bytes(size) if prioritized else 0
        return size * (frame + SLOT_BYTES) + self.lanes * self.lasts * frame + tree
