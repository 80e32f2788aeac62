"""Briefly times what runs spend their time on: real updates and measurements.

The engine of a run knows what to call (`suite.launch.engines`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MOMENT_S = 0.05
"""Seconds for which a call is measured, to the end of the last one."""

WARM_UP = 3
"""Calls that are not measured."""

MOST = 200
"""Largest number of calls that are measured."""

LONG_S = 0.5
"""Seconds of a first measurement above which it is made of one run and taken for all."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one run; of several side by side each has its share.

    Attributes:
        setup: building it, and the measurement before the first update.
        update: an update.
        measure: a measurement.
        act: a step of all lanes of environments, chosen by the network and put into the replay.
    """

    setup: float
    update: float
    measure: float
    act: float = 0.0


def seconds_each(call: Callable[[], object], warm_up: int = WARM_UP) -> float:
    """Return the seconds of a call, from as many as fit into a moment."""
    for _ in range(warm_up):
        call()
    calls, began = 0, time.perf_counter()
    while True:
        call()
        calls += 1
        elapsed = time.perf_counter() - began
        if elapsed >= MOMENT_S or calls == MOST:
            return elapsed / calls
