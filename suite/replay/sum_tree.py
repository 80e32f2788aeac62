"""Sums over priorities in a tree with wide nodes, and the search that draws in proportion to them.

Schaul et al. 2016 (appendix B.2.1) draw a slot by descending a binary tree of partial sums. Here a
node has `FAN_OUT` children, so a million slots are three levels below a top of 245 sums, and a
whole batch descends with one numpy operation per level. A sum is always computed from its children,
never corrected by a difference: it depends only on the current priorities and does not drift.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

FAN_OUT = 16
"""Children of a node."""

TOP = 512
"""Largest width of the top level, which is searched as one row."""


def level_widths(size: int) -> list[int]:
    """Return the number of values of each level, priorities first, padded to whole nodes.

    >>> level_widths(1_000_000)
    [1000000, 62512, 3920, 245]
    """
    widths = []
    while size > TOP:
        nodes = -(-size // FAN_OUT)
        widths.append(nodes * FAN_OUT)
        size = nodes
    return [*widths, size]


def tree_bytes(size: int) -> int:
    """Return the memory of a tree of `size` priorities.

    >>> tree_bytes(1_000_000) / 1_000_000
    8.533416
    """
    return np.dtype(np.float64).itemsize * sum(level_widths(size))


class SumTree:
    """Non-negative priorities, all zero at first, and their sums.

    Args:
        size: number of priorities.

    Attributes:
        values: the priorities, (size,); whoever writes to them directly calls `refresh` next.
    """

    def __init__(self, size: int) -> None:
        self._levels = [np.zeros(width) for width in level_widths(size)]
        # Each level but the top by nodes, (nodes, FAN_OUT), with the level of the nodes' sums.
        self._nodes = [
            (below.reshape(-1, FAN_OUT), above) for below, above in pairwise(self._levels)
        ]
        self._ends = np.zeros(len(self._levels[-1]) + 1)  # running sums of the top level
        self._stale = False  # whether they are out of date
        self.values = self._levels[0][:size]

    def __len__(self) -> int:
        """Return the number of priorities."""
        return len(self.values)

    def __getitem__(self, index: Ints) -> Doubles:
        """Return the priorities at `index`."""
        return self.values[index]

    @property
    def nbytes(self) -> int:
        """Memory of all levels."""
        return sum(level.nbytes for level in self._levels)

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return float(self._running()[-1])

    def set(self, index: Ints, values: Doubles) -> None:
        """Set priorities; where an index comes several times, its last value counts.

        Args:
            index: (batch,), from 0 on.
            values: (batch,).

        Raises:
            ValueError: if a priority is negative or not a number.
        """
        if not values.min(initial=0.0) == 0:  # not a number makes the minimum one, too
            raise ValueError(f"priorities: got {values.min()}; expected none below 0")
        self.values[index] = values
        for nodes, sums in self._nodes:
            if len(index) > len(nodes):
                sums[: len(nodes)] = nodes.sum(1)
                continue
            index = index // FAN_OUT
            sums[index] = nodes.take(index, axis=0).sum(1)
        self._stale = True

    def refresh(self) -> None:
        """Recompute all sums, after a change of `values` itself."""
        for nodes, sums in self._nodes:
            sums[: len(nodes)] = nodes.sum(1)
        self._stale = True

    def find(self, mass: Doubles) -> Ints:
        """Return where the running sum of the priorities first exceeds each mass.

        With masses uniform over [0, total), slots come up in proportion to their priorities. One
        of priority zero never does: a mass that rounding carried beyond its node falls to the
        node's last priority above zero.

        Args:
            mass: (batch,), each from 0 to below `total`.

        Raises:
            ValueError: if the priorities add up to nothing, or to more than a number can be.
        """
        ends = self._running()
        if not 0 < ends[-1] < math.inf:
            raise ValueError(
                f"priorities: got a sum of {ends[-1]}; expected one above 0 and finite"
            )
        # Looked for is the first running sum that reaches `mass`, which stays above zero all the
        # way down: from one step above what was given, less only what is smaller than itself.
        mass = np.minimum(np.nextafter(mass, np.inf), ends[-1])
        found: Ints = ends.searchsorted(mass) - 1
        if not self._nodes:
            return found
        mass = mass - ends.take(found)
        running = np.zeros((len(mass), FAN_OUT + 1))  # of a node's priorities, from zero on
        begins = np.arange(0, running.size, FAN_OUT + 1)
        for nodes, _ in reversed(self._nodes):
            nodes.take(found, axis=0).cumsum(axis=1, out=running[:, 1:])
            mass = np.minimum(mass, running[:, -1])
            child = (running >= mass[:, None]).argmax(1) - 1
            mass = mass - running.take(begins + child)
            found = found * FAN_OUT + child
        return found

    def _running(self) -> Doubles:
        """Return the running sums of the top level, from zero on."""
        if self._stale:
            self._levels[-1].cumsum(out=self._ends[1:])
            self._stale = False
        return self._ends
