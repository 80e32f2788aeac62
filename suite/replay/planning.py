"""Checks that a replay fits into memory before a run starts, not hours later."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from suite.errors import ConfigError

if TYPE_CHECKING:
    from suite.agents.dqn import QLearningConfig
    from suite.tasks.rl import RLTaskConfig

GIB = 2**30

CGROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of versions 2 and 1: controller, files of limit and use, and what of the use can be taken back.

See https://docs.kernel.org/admin-guide/cgroup-v2.html and ``cgroup-v1/memory.html`` beside it.
"""


def check_replay_fits(
    task: RLTaskConfig, agent: QLearningConfig, available: int, key: str = "agent.replay_capacity"
) -> None:
    """Check that a full replay fits into memory.

    Args:
        task: of the run.
        agent: of the run.
        available: bytes that the replay may take: what is left of `available_bytes` for this run,
            or the free memory of the device that keeps the frames.
        key: named in the error.

    Raises:
        ConfigError: if it does not, with the largest capacity that would.
    """

    def needed(capacity: int) -> int:
        return task.replay_bytes(agent.model_copy(update={"replay_capacity": capacity}))

    capacity = agent.replay_capacity
    if needed(capacity) > available:
        largest = bisect_right(range(1, capacity), available, key=needed)
        raise ConfigError(
            key,
            capacity,
            f"at most {largest} transitions: {capacity} take {needed(capacity) / GIB:.2f} GiB, and "
            f"{available / GIB:.2f} GiB of memory are available",
        )


def available_bytes(root: Path = Path("/")) -> int:
    """Return the memory that this process can still take without swapping.

    That is what the system says is available, or less if a control group (a container, a batch
    job) limits it; where the system does not say, all memory there is.

    Args:
        root: of the file system.
    """
    return min([_system_bytes(root), *_group_bytes(root)])


def _system_bytes(root: Path) -> int:
    """Return the available memory of the whole machine."""
    with suppress(OSError, KeyError):
        return _numbers((root / "proc/meminfo").read_text())["MemAvailable:"] * 1024
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize


def _group_bytes(root: Path) -> Iterator[int]:
    """Yield what is left in each control group that this process is in and whose files it sees."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    groups = {
        c: path for line in lines for _, cs, path in [line.split(":", 2)] for c in cs.split(",")
    }
    for controller, limit, use, cache in CGROUPS:
        mount = root / "sys/fs/cgroup" / controller
        inside = Path(groups.get(controller, "/").lstrip("/"))
        for group in (mount / inside, *(mount / parent for parent in inside.parents)):
            with suppress(OSError, ValueError):  # not there, or without a limit: "max"
                most = int((group / limit).read_text())
                taken = int((group / use).read_text())
                back = _numbers((group / "memory.stat").read_text()).get(cache, 0)
                yield max(0, most - taken + back)


def _numbers(text: str) -> dict[str, int]:
    """Return the numbers of lines such as ``name 12``."""
    return {words[0]: int(words[1]) for line in text.splitlines() if (words := line.split())}
