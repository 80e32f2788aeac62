"""Groups of runs that share a trial: those that are trained side by side."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from suite.launch.engines import engine_of
from suite.launch.engines.base import SIDE_BY_SIDE
from suite.run_config import RunConfig


def chunks(configs: Sequence[RunConfig], slots: int) -> list[list[RunConfig]]:
    """Return the runs in groups that are trained at once, order kept.

    Args:
        configs: the runs.
        slots: how many groups there should be work for, side by side.
    """
    largest = min(SIDE_BY_SIDE, -(-len(configs) // slots))
    by_key: dict[Hashable, list[RunConfig]] = {}
    groups: list[list[RunConfig]] = []
    for config in configs:
        key = engine_of(config).batch_key(config)
        if key is None:
            groups.append([config])
        else:
            by_key.setdefault(key, []).append(config)
    for alike in by_key.values():
        groups += [alike[i : i + largest] for i in range(0, len(alike), largest)]
    return groups
