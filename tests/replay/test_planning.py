"""Whether a replay fits, and what memory there is on machines that are made up of files."""

from pathlib import Path
from typing import Any

import pytest

from suite.agents.dqn import DqnConfig, PrioritizedConfig
from suite.errors import ConfigError
from suite.replay.planning import available_bytes, check_replay_fits
from suite.replay.sum_tree import SumTree
from suite.tasks.atari import AtariConfig

TASK = AtariConfig(game="pong")
AGENT = DqnConfig(replay_capacity=5000, prioritized=PrioritizedConfig())


def test_the_sum_tree_counts() -> None:
    plain = AGENT.model_copy(update={"prioritized": None})
    assert TASK.replay_bytes(AGENT) - TASK.replay_bytes(plain) == SumTree(5004).nbytes


def test_a_replay_that_does_not_fit_is_refused_with_one_that_does() -> None:
    needed = TASK.replay_bytes(AGENT)
    check_replay_fits(TASK, AGENT, needed)
    message = r"^agent\.replay_capacity: got 5000; expected at most 4999 .* 0\.03 GiB"
    with pytest.raises(ConfigError, match=message):
        check_replay_fits(TASK, AGENT, needed - 1)
    with pytest.raises(ConfigError, match=r"^base\.agent.* at most 0 transitions"):
        check_replay_fits(TASK, AGENT, 100, "base.agent.replay_capacity")


MEMINFO = "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 1000 kB\nHugePages_Total: 0\n"
V2 = {
    "proc/self/cgroup": "0::/job/trial\n",
    "sys/fs/cgroup/job/memory.max": "300000\n",
    "sys/fs/cgroup/job/memory.current": "250000\n",
    "sys/fs/cgroup/job/memory.stat": "anon 5\ninactive_file 40000\n",
    "sys/fs/cgroup/job/trial/memory.max": "max\n",
    "sys/fs/cgroup/job/trial/memory.current": "100\n",
}
V1 = {
    "proc/self/cgroup": "3:cpu,memory:/outer/name\n0::/\n",  # the outer name is not seen inside
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "70000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "80000\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 5\ntotal_inactive_file 20000\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 1_024_000),
        (V2, 90_000),
        (V2 | {"sys/fs/cgroup/job/trial/memory.max": "20000"}, 90_000),
        (V1, 10_000),
        (V1 | {"sys/fs/cgroup/memory/memory.usage_in_bytes": "200000"}, 0),
        (V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096)}, 1_024_000),
    ],
)
def test_memory_is_what_system_and_groups_leave(
    files: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    for name, text in ({"proc/meminfo": MEMINFO} | files).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert available_bytes(tmp_path) == expected


def test_a_system_that_does_not_say_has_at_least_what_is_available(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) >= available_bytes() > 0
