"""How well a trigger finds the changes of a stream: delays, misses and false alarms.

A change is the beginning of a phase after the first. The first alarm in a phase is its detection,
however late; all others are false: those of the first phase, and further ones of a phase.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Detection:
    """The alarms of a run against its changes.

    Attributes:
        changes: phases after the first.
        delays: updates from each change that was found to its alarm, 0 for an alarm at the first
            update of the phase.
        false_alarms: number of the other alarms.
    """

    changes: int
    delays: tuple[float, ...]
    false_alarms: int

    @property
    def missed(self) -> int:
        """Changes without an alarm before the next."""
        return self.changes - len(self.delays)


def detection(alarms: Sequence[float], starts: Sequence[float]) -> Detection:
    """Return how the alarms of a run relate to its changes.

    >>> detection([50, 104, 130, 307], [0, 100, 200, 300])
    Detection(changes=3, delays=(4, 7), false_alarms=2)

    Args:
        alarms: steps of the updates whose losses made them.
        starts: first steps of the phases after the first, or of all of them, from 0 on.
    """
    changes = sorted(start for start in set(starts) if start > 0)
    delays: dict[int, float] = {}
    for alarm in sorted(alarms):
        phase = bisect_right(changes, alarm)
        if phase and phase not in delays:
            delays[phase] = alarm - changes[phase - 1]
    return Detection(len(changes), tuple(delays.values()), len(alarms) - len(delays))
