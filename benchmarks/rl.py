"""Speed of reinforcement learning: the engine against bare loops and against its peers.

Contenders take turns in segments of about a second; a figure is the median over rounds of the
ratio within a round. Everything is one lane, batch 32, one update per agent step (UTD 1), fp32 and
Breakout with the plain Nature CNN unless said otherwise.

Pace, higher is better:

- ``learner_vs_bare``: updates per second of the learner over those of a bare loop (fused Adam,
  channels last), both given batches that are ready.
- ``utd1_vs_handwritten``: agent steps per second of the whole algorithm over those of a
  single-file loop with the same replay and envpool.
- ``utd1_vs_sb3``: the same over stable-baselines3's DQN with the same network;
  ``utd1_bf16_vs_sb3`` with the engine in bf16.
- ``utd1_vs_rllib``: the same over RLlib's stock DQN with the same network, both with its defaults;
  ``utd1_vs_rllib_uniform`` with both plain: uniform replay, neither double nor dueling.
- ``bf16_vs_bare``: agent steps per second of the algorithm in bf16 over the bare loop's updates
  per second in fp32.
- ``overhead_vs_sb3``, ``overhead_vs_rllib``: agent steps on CartPole with two hidden layers of 64,
  where next to nothing is arithmetic, as on a fast device, per second of processor time.
- ``utd8_tiny_vs_sb3``, ``utd8_tiny_vs_sbx``: the same with eight updates per agent step, over
  stable-baselines3's DQN and over SBX's, which makes all eight in one call that JAX has compiled.
- ``seeds8_tiny_vs_one``, ``seeds8_vs_sbx``: agent steps of eight such runs side by side, added up,
  over those of one run and of SBX.
- ``sampling_vs_envpool``: agent steps per second of the runner with its policy, 8 lanes, over a
  bare envpool loop with the same network and share of random actions.
- ``rainbow_vs_handwritten``: agent steps per second of Rainbow over a single-file Rainbow loop.
- ``two_trials_vs_one``: agent steps per second of two processes with half the threads each, added
  up, over one process with all of them; left out with one thread, which has no half.

Cost, lower is better:

- ``ring_share``, ``per_share``: time of a batch from a ring of 100,000, uniform or prioritised
  (n = 3, weights and new priorities included), as a share of the bare loop's update.
- ``per_1m_vs_10k``: time of a prioritised batch and its new priorities with a million entries over
  that with ten thousand.
- ``projection_k1_share``: time of projection after every update as a share of the rest of the
  learner's update, with layer norms.
- ``bytes_per_transition``: growth of a new process's memory by a full prioritised ring, per
  transition.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from importlib.util import find_spec
from typing import Any

import rl_engine as engine
import rl_handwritten as handwritten
import rl_peers as peers
import torch
from common import Contender, interleaved, parser, publish, ratio
from rl_trials import two_trials_vs_one

from suite.training.supervised import keep_freed_memory

SECONDS = 1.0
"""About how long a segment lasts."""

GROUPS: tuple[dict[str, Callable[[], Contender]], ...] = (
    {
        "bare": handwritten.bare,
        "learner": engine.learner,
        "ring": lambda: engine.sampling(100_000, prioritized=False),
        "per": lambda: engine.sampling(100_000, prioritized=True),
    },
    {
        "bare": handwritten.bare,
        "handwritten": handwritten.dqn_loop,
        "engine": lambda: engine.engine(engine.atari_run()),
        "engine_bf16": lambda: engine.engine(engine.with_agent(precision="bf16")),
        "sb3": lambda: peers.sb3(tiny=False, steps=50),
        "rllib_uniform": lambda: peers.rllib(tiny=False, steps=25),
    },
    {
        "stock_engine": lambda: engine.engine(engine.stock_run()),
        "rllib": lambda: peers.rllib(tiny=False, steps=25, stock=True),
    },
    {
        "tiny_engine": lambda: engine.engine(engine.tiny_run(), steps=250),
        "tiny_sb3": lambda: peers.sb3(tiny=True, steps=250),
        "tiny_rllib": lambda: peers.rllib(tiny=True, steps=100),
    },
    {
        "utd8_engine": lambda: engine.engine(engine.tiny_run(8), steps=100),
        "utd8_sb3": lambda: peers.sb3(tiny=True, steps=100, utd=8),
        "utd8_sbx": lambda: peers.sbx(steps=100, utd=8),
        "utd8_seeds8": lambda: engine.side_by_side(partial(engine.tiny_run, 8), runs=8, steps=40),
    },
    {
        "envpool": lambda: handwritten.envpool_loop(lanes=8, steps=64),
        "runner": lambda: engine.runner(lanes=8, steps=64),
    },
    {
        "handwritten_rainbow": handwritten.rainbow_loop,
        "rainbow": lambda: engine.engine(engine.rainbow_run()),
    },
    {
        "per_10k": lambda: engine.sampling(10_000, True, engine.frame_for_1m()),
        "per_1m": lambda: engine.sampling(1_000_000, True, engine.frame_for_1m()),
    },
)
"""Contenders by name, in groups that take turns."""

FIGURES = (
    {
        "learner_vs_bare": ("bare", "learner"),
        "ring_share": ("ring", "bare"),
        "per_share": ("per", "bare"),
    },
    {
        "utd1_vs_handwritten": ("handwritten", "engine"),
        "utd1_vs_sb3": ("sb3", "engine"),
        "utd1_bf16_vs_sb3": ("sb3", "engine_bf16"),
        "utd1_vs_rllib_uniform": ("rllib_uniform", "engine"),
        "bf16_vs_bare": ("bare", "engine_bf16"),
    },
    {"utd1_vs_rllib": ("rllib", "stock_engine")},
    {
        "overhead_vs_sb3": ("tiny_sb3", "tiny_engine"),
        "overhead_vs_rllib": ("tiny_rllib", "tiny_engine"),
    },
    {
        "utd8_tiny_vs_sb3": ("utd8_sb3", "utd8_engine"),
        "utd8_tiny_vs_sbx": ("utd8_sbx", "utd8_engine"),
        "seeds8_tiny_vs_one": ("utd8_engine", "utd8_seeds8"),
        "seeds8_vs_sbx": ("utd8_sbx", "utd8_seeds8"),
    },
    {"sampling_vs_envpool": ("envpool", "runner")},
    {"rainbow_vs_handwritten": ("handwritten_rainbow", "rainbow")},
    {"per_1m_vs_10k": ("per_1m", "per_10k")},
)
"""Of each group: figures, as the seconds of one contender over those of another."""

BY_PROCESSOR = {"tiny_engine", "utd8_engine", "utd8_seeds8"}
"""Contenders whose groups are timed by the processor time of this process, with one thread: there
is nothing to share out, and threads that wait for each other would count as work."""


def available(contender: str) -> bool:
    """Return whether this machine has what the contender needs."""
    if contender.endswith("sb3"):
        return find_spec("stable_baselines3") is not None
    if contender.endswith("sbx"):
        return find_spec("sbx") is not None
    if contender.endswith("bf16"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return True


def compare(
    builders: dict[str, Callable[[], Contender]],
    figures: dict[str, tuple[str, str]],
    rounds: int,
    seconds: float = SECONDS,
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return the figures of a group, and the seconds per unit of work of all it needs."""
    threads = torch.get_num_threads()
    needed = {name for pair in figures.values() for name in pair}
    by_processor = bool(BY_PROCESSOR & needed)
    torch.set_num_threads(1 if by_processor else threads)
    contenders = {name: build() for name, build in builders.items() if name in needed}
    torch.set_num_threads(1 if by_processor else threads)  # independent of earlier settings
    clock = time.process_time if by_processor else time.perf_counter
    timed = interleaved({k: c.call for k, c in contenders.items()}, seconds, rounds, clock)
    torch.set_num_threads(threads)
    for contender in contenders.values():
        contender.close()
    per_unit = {k: [t / contenders[k].work for t in times] for k, times in timed.items()}
    return {f: ratio(per_unit[a], per_unit[b]) for f, (a, b) in figures.items()}, per_unit


def main() -> None:
    options_of = parser(__doc__ or "")
    options_of.add_argument("--only", default="*", metavar="GLOB", help="figures to measure")
    options = options_of.parse_args()
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    threads = torch.get_num_threads()
    keep_freed_memory()
    begun, load = time.time(), os.getloadavg()
    figures: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    left_out: list[str] = []

    def wanted(figure: str, *contenders: str) -> bool:
        if not fnmatch(figure, options.only):
            return False
        if not all(map(available, contenders)):
            left_out.append(figure)
            return False
        return True

    for builders, of_group in zip(GROUPS, FIGURES, strict=True):
        chosen = {f: pair for f, pair in of_group.items() if wanted(f, *pair)}
        if chosen:
            found, timed = compare(builders, chosen, options.rounds)
            figures |= found
            print(f"{time.time() - begun:.0f} s: {', '.join(found)}", file=sys.stderr, flush=True)
            seconds |= {name: times for name, times in timed.items() if name not in seconds}
    special: dict[str, Callable[[], float]] = {
        "projection_k1_share": lambda: engine.projection_share(options.rounds),
        "bytes_per_transition": engine.bytes_per_transition,
        "two_trials_vs_one": lambda: two_trials_vs_one(threads, options.rounds),
    }
    for name, measure in special.items():
        if not wanted(name):
            continue
        if name == "two_trials_vs_one" and threads < 2:
            left_out.append(name)
            continue
        figures[name] = measure()
        print(f"{time.time() - begun:.0f} s: {name}", file=sys.stderr, flush=True)

    settings: dict[str, Any] = {
        "threads": threads,
        "rounds": options.rounds,
        "segment_s": SECONDS,
        "batch": engine.BATCH,
        "replay_capacity": engine.CAPACITY,
        "epsilon": engine.EPSILON,
        "freed_memory": "kept, for all contenders of this process alike",
        "frame_of_per_1m": list(engine.frame_for_1m()),
        "peers_differ_in": peers.DIFFERENCES,
        "left_out": left_out,
        "seconds": seconds,
        "load": [load, os.getloadavg()],
        "took_s": round(time.time() - begun),
    }
    publish(figures, settings, options.json)


if __name__ == "__main__":
    main()
