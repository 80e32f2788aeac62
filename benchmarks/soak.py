"""A long run of Rainbow: whether memory, Ray's objects or the time per step grow.

Breakout at UTD 0.25 with the small network of data-efficient Rainbow, acting in a remote runner
that gets new weights with every request, so that an object is made and must be freed about 50,000
times. The replay is full after a quarter of the run; what is compared is the run from there on.

- ``memory_growth_share``: resident memory of the learner's process, mean of the last tenth of the
  looks over the mean of the tenth after the replay is full, less 1; 0 is flat.
- ``runner_growth_share``: the same of the runner's process.
- ``objects_end``: bytes in Ray's object store at the end, over those when the replay was full.
- ``pace_end_vs_start``: agent steps per second of processor time (learner and runner), likewise,
  medians of looks; seconds of the wall, which other processes make longer, are in the settings.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from typing import Any

import psutil
import ray
import torch
from common import parser, publish
from rl_engine import start_ray

from suite.launch.rllib.config import algorithm_config
from suite.run_config import RunConfig
from suite.training.supervised import keep_freed_memory

LOOKS = 80
"""Looks at the processes during a run."""


def rainbow(agent_steps: int) -> RunConfig:
    """Return the run, whose replay holds a quarter of its steps."""
    return RunConfig.from_mapping(
        {
            "task": {
                "kind": "atari",
                "game": "breakout",
                "utd": 0.25,
                "learning_starts": agent_steps // 100,
                "runners": 1,
                "resume_env": "fresh",
            },
            "model": {"kind": "data_efficient_cnn"},
            "agent": {"kind": "rainbow", "replay_capacity": agent_steps // 4},
            "optimizer": {"kind": "adam", "lr": 6.25e-5, "eps": 1.5e-4},
            "budget": {"agent_steps": agent_steps},
        }
    )


def stored_bytes() -> float:
    """Return how much of Ray's object store is taken."""
    name = "object_store_memory"
    return float(ray.cluster_resources()[name] - ray.available_resources().get(name, 0.0))


def soak(agent_steps: int) -> list[dict[str, float]]:
    """Return what was seen at each look, the first when learning begins."""
    start_ray()
    algorithm: Any = algorithm_config(rainbow(agent_steps)).build_algo()
    algorithm.recorder.sink = len  # rows are made and dropped
    (actor,) = algorithm.env_runner_group._worker_manager.actors().values()
    learner = psutil.Process()
    acting = psutil.Process(ray.get(actor.apply.remote(lambda _: psutil.Process().pid)))
    while algorithm.gradient_steps == 0:
        algorithm.advance()
    looks: list[dict[str, float]] = []
    for look in range(LOOKS + 1):
        until = algorithm.task.learning_starts + look * agent_steps // (LOOKS + 1)
        while algorithm.agent_steps < min(until, agent_steps):
            algorithm.advance()
        times = [p.cpu_times() for p in (learner, acting)]
        looks.append(
            {
                "agent_steps": algorithm.agent_steps,
                "wall_s": time.monotonic(),
                "cpu_s": sum(t.user + t.system for t in times),
                "learner_bytes": learner.memory_info().rss,
                "runner_bytes": acting.memory_info().rss,
                "stored_bytes": stored_bytes(),
            }
        )
        print(looks[-1], file=sys.stderr, flush=True)
    algorithm.stop()
    return looks


def figures(looks: list[dict[str, float]], full_at: int) -> dict[str, float]:
    """Return the figures of the looks from `full_at` agent steps on."""
    after = [look for look in looks if look["agent_steps"] >= full_at]
    part = max(2, len(after) // 10)
    first, last = after[:part], after[-part:]

    def growth(key: str) -> float:
        start, end = (statistics.mean(look[key] for look in part) for part in (first, last))
        return end / start - 1

    def pace(part: list[dict[str, float]]) -> float:
        steps, seconds = (
            [b[key] - a[key] for a, b in itertools.pairwise(part)]
            for key in ("agent_steps", "cpu_s")
        )
        return statistics.median(n / s for n, s in zip(steps, seconds, strict=True))

    start, end = first[0]["stored_bytes"], last[-1]["stored_bytes"]
    quarter = max(2, len(after) // 4)
    return {
        "memory_growth_share": growth("learner_bytes"),
        "runner_growth_share": growth("runner_bytes"),
        "objects_end": end / start if start else float(end == 0),
        "pace_end_vs_start": pace(after[-quarter:]) / pace(after[:quarter]),
    }


def main() -> None:
    options_of = parser(__doc__ or "")
    options_of.add_argument("--agent-steps", type=int, default=200_000)
    options = options_of.parse_args()
    torch.set_num_threads(options.threads or 1)
    keep_freed_memory()
    looks = soak(options.agent_steps)
    settings: dict[str, Any] = {
        "agent_steps": options.agent_steps,
        "run": rainbow(options.agent_steps).model_dump(mode="json"),
        "looks": looks,
    }
    publish(figures(looks, options.agent_steps // 4), settings, options.json)


if __name__ == "__main__":
    main()
