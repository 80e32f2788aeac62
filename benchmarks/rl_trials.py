"""Two trials side by side against one that has all threads, each in a process of its own."""

from __future__ import annotations

import statistics
import time
from typing import Any

import ray
import torch
from rl_engine import atari_run, start_ray

from suite.launch.rllib.config import algorithm_config
from suite.training.supervised import keep_freed_memory


class Trial:
    """A run of the engine in a process of its own."""

    def __init__(self, threads: int) -> None:
        keep_freed_memory()
        built: Any = algorithm_config(atari_run()).build_algo()
        self.algorithm = built
        torch.set_num_threads(threads)
        while self.algorithm.gradient_steps == 0:
            self.algorithm.train()

    def go(self, begin: float, seconds: float) -> float:
        """Return agent steps per second from the time `begin` on, for `seconds`."""
        time.sleep(max(0.0, begin - time.time()))
        before, begun = self.algorithm.agent_steps, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            self.algorithm.advance()
        return float((self.algorithm.agent_steps - before) / (time.perf_counter() - begun))


def two_trials_vs_one(threads: int, rounds: int, seconds: float = 5.0) -> float:
    """Return the median ratio of agent steps per second in all."""
    start_ray()
    remote: Any = ray.remote(num_cpus=0)(Trial)
    half = threads // 2
    one, two = [remote.remote(threads)], [remote.remote(half) for _ in range(2)]

    def throughput(trials: list[Any]) -> float:
        begin = time.time() + 0.2
        rates: list[float] = ray.get([trial.go.remote(begin, seconds) for trial in trials])
        return sum(rates)

    throughput(one), throughput(two)
    ratios = [throughput(two) / throughput(one) for _ in range(rounds)]
    for trial in one + two:
        ray.kill(trial)
    return statistics.median(ratios)
