"""The suite's side of the comparison: learners, runners, rings and whole algorithms."""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import psutil
import ray
import torch
from common import Contender
from ray.rllib.core import DEFAULT_MODULE_ID

from suite.launch.rllib.config import algorithm_config
from suite.launch.rllib.learner import NapLearner
from suite.launch.rllib.lockstep import Group, Member
from suite.launch.rllib.runner import EnvPoolRunner
from suite.replay.frame_ring import Block, FrameRing
from suite.replay.planning import GIB, available_bytes
from suite.replay.prioritized import PrioritizedRing
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.training.session import MemorySession

WARM_UP = 500
"""Agent steps before learning, of every contender that acts."""

CAPACITY = 10_000
"""Transitions that every contender's replay has room for."""

BATCH, ACTIONS, EPSILON, TARGET_EVERY = 32, 4, 0.1, 2_500

FRAME = (84, 84)

AGENT = {
    "kind": "dqn",
    "replay_capacity": CAPACITY,
    "target_every": TARGET_EVERY,
    "epsilon": {"start": EPSILON, "end": EPSILON},
}

FREE_FOR_1M = 16 * GIB
"""Free memory with which a million real frames are kept (7 GiB); else frames of 84 bytes are."""


def atari_run(**overrides: Any) -> RLRun:
    """Return DQN on Breakout at UTD 1 with the plain Nature CNN."""
    mapping = {
        "task": {"kind": "atari", "game": "breakout", "utd": 1.0, "learning_starts": WARM_UP},
        "model": {"kind": "nature_cnn"},
        "agent": AGENT,
        "optimizer": {"kind": "adam", "lr": 6.25e-5, "eps": 1.5e-4},
        "budget": {"agent_steps": 10_000_000},
        **overrides,
    }
    return RLRun.of(RunConfig.from_mapping(mapping))


def tiny_run(utd: int = 1, seed: int = 0) -> RLRun:
    """Return DQN on CartPole with two hidden layers of 64 units, `utd` updates per agent step."""
    return atari_run(
        task={"kind": "classic_control", "utd": float(utd), "learning_starts": WARM_UP},
        model={"kind": "mlp", "width": 64, "depth": 2},
        seed=seed,
    )


def rainbow_run() -> RLRun:
    """Return Rainbow on Breakout at UTD 1."""
    return atari_run(agent={"kind": "rainbow", "replay_capacity": CAPACITY})


def stock_run() -> RLRun:
    """Return `atari_run` with the defaults of RLlib's DQN."""
    by_error = {"exponent": 0.6, "beta_start": 0.4, "beta_end": 0.4, "uniform_share": 0}
    return with_agent(double=True, dueling=True, prioritized=by_error, grad_clip=40.0)


def with_agent(**values: Any) -> RLRun:
    """Return `atari_run` with other values of the agent."""
    return atari_run(agent={**AGENT, **values})


@cache
def start_ray() -> None:
    """Start a Ray of this process's own."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        num_cpus=max(4, os.cpu_count() or 1),
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )


def ready_batches(number: int = 8) -> list[dict[str, torch.Tensor]]:
    """Return batches as the learner takes them."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, BATCH, 4, *FRAME)
    found = []
    for _ in range(number):
        s_tm1, s_t = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        found.append(
            {
                "s_tm1": s_tm1,
                "a_tm1": torch.randint(0, ACTIONS, (BATCH,), generator=generator),
                "r_t": torch.randn(BATCH, generator=generator),
                "discount_t": torch.full((BATCH,), 0.99),
                "s_t": s_t,
            }
        )
    return found


def make_learner(run: RunConfig) -> NapLearner:
    """Return the learner of a run on frames, without Ray, ready for its first update."""
    box = gymnasium.spaces.Box(0, 255, (4, *FRAME), np.uint8)
    spaces: dict[str, tuple[Any, Any]] = {
        DEFAULT_MODULE_ID: (box, gymnasium.spaces.Discrete(ACTIONS))
    }
    config = algorithm_config(run)
    spec = config.get_multi_rl_module_spec(spaces=spaces)
    learner = NapLearner(config=config, module_spec=spec)  # type: ignore[no-untyped-call]
    learner.build()
    learner.start(ready_batches(1)[0]["s_tm1"])
    return learner


def learner() -> Contender:
    """One update of the learner, the batch being ready."""
    of_run, batches = make_learner(atari_run()), ready_batches()
    turn = iter(range(1 << 62))
    return Contender(lambda: of_run.learn(batches[next(turn) % len(batches)]))


def engine(run: RunConfig, steps: int = 50) -> Contender:
    """`steps` agent steps in a call of ``train``, after the warm-up; rows are made and dropped."""
    start_ray()
    config = algorithm_config(run).training(iteration_agent_steps=steps, iteration_s=60.0)
    algorithm: Any = config.build_algo()
    algorithm.recorder.sink = len
    while algorithm.gradient_steps == 0:
        algorithm.train()
    return Contender(algorithm.train, steps, algorithm.stop)


def side_by_side(make: Callable[[int], RunConfig], runs: int, steps: int) -> Contender:
    """`steps` agent steps of each of `runs` runs in lockstep, after the warm-up.

    Args:
        make: returns the run of a seed.
        runs: how many there are.
        steps: in a call.
    """
    start_ray()
    members, updates = [], 0
    for seed in range(runs):
        run = RLRun.of(make(seed))
        algorithm: Any = algorithm_config(run).build_algo()
        algorithm.recorder.sink = len
        members.append(Member(algorithm, MemorySession(), lambda: None))
        updates = round(steps * run.task.utd)
    group = Group(members)
    group.train(1)

    def close() -> None:
        for member in members:
            member.algorithm.stop()  # type: ignore[no-untyped-call]

    return Contender(lambda: group.train(group.learners.step + updates), runs * steps, close)


def runner(lanes: int, steps: int) -> Contender:
    """`steps` steps of all lanes by the runner with its policy."""
    task = {"kind": "atari", "game": "breakout", "learning_starts": WARM_UP, "lanes": lanes}
    config = algorithm_config(atari_run(task=task))
    of_run = EnvPoolRunner(config=config, worker_index=0, num_workers=0)
    call = lambda: of_run.sample(steps=steps, agent_steps=WARM_UP)  # noqa: E731
    return Contender(call, steps * lanes, of_run.stop)


def filled_ring(
    capacity: int, prioritized: bool, n_step: int = 1, frame: tuple[int, ...] = FRAME
) -> FrameRing:
    """Return a full ring of one lane, of episodes of 1,000 steps with made-up contents."""
    rng = np.random.default_rng(0)
    shared = (capacity, 1, frame, np.uint8, 4, n_step, 0.99, rng)
    if prioritized:
        ring: FrameRing = PrioritizedRing(*shared, exponent=0.5, uniform_share=1e-3, largest=100.0)
    else:
        ring = FrameRing(*shared)
    steps = 1000
    marks = np.zeros((3, steps, 1), np.bool_)
    marks[0] = True
    marks[1, -1] = marks[2, 0] = True
    block = Block(
        rng.integers(0, 256, (steps, 1, *frame), np.uint8),
        rng.integers(0, ACTIONS, (steps, 1)),
        rng.standard_normal((steps, 1), np.float32),
        *marks,
    )
    while len(ring) < ring.slots:
        ring.add(block)
    if isinstance(ring, PrioritizedRing):
        ring.tree.values[:] = rng.exponential(size=len(ring.tree)) ** ring.exponent
        ring.tree.refresh()
    return ring


def sampling(capacity: int, prioritized: bool, frame: tuple[int, ...] = FRAME) -> Contender:
    """A batch from a full ring; with priorities, the weights and the new priorities as well."""
    ring = filled_ring(capacity, prioritized, n_step=3 if prioritized else 1, frame=frame)
    if not isinstance(ring, PrioritizedRing):
        return Contender(lambda: ring.sample(BATCH))
    errors = np.random.default_rng(1).standard_normal(BATCH).astype(np.float32)
    return Contender(lambda: ring.update(ring.sample(BATCH, beta=0.4).index, errors))


def frame_for_1m() -> tuple[int, ...]:
    """Return the shape of a million frames that memory has room for."""
    return FRAME if available_bytes() >= FREE_FOR_1M else (84,)


def bytes_per_transition(capacity: int = 50_000) -> float:
    """Return by how much a full prioritised ring makes the memory of a new process grow."""
    start_ray()

    @ray.remote(num_cpus=0)
    def grown() -> int:
        filled_ring(1000, True)
        before = psutil.Process().memory_info().rss
        ring = filled_ring(capacity, True)
        assert len(ring) >= capacity
        return psutil.Process().memory_info().rss - before

    return float(ray.get(grown.remote())) / capacity


def projection_share(rounds: int, updates: int = 50) -> float:
    """Return the median share of the learner's update that projection at k = 1 adds, in place."""
    nap = {"kind": "nap", "every": 1}
    run = atari_run(model={"kind": "nature_cnn", "norm": "layer"}, interventions=[nap])
    of_run, batches = make_learner(run), ready_batches()
    inner, spent = of_run.stack.after_step, 0.0

    def timed(step: int, lr: float) -> bool:
        nonlocal spent
        begun = time.perf_counter()
        reset = inner(step, lr)
        spent += time.perf_counter() - begun
        return reset

    of_run.stack.after_step = timed  # type: ignore[method-assign]
    shares = []
    for round_ in range(rounds + 1):
        spent, begun = 0.0, time.perf_counter()
        for k in range(updates):
            of_run.learn(batches[k % len(batches)])
        total = time.perf_counter() - begun
        if round_ > 0:
            shares.append(spent / (total - spent))
    return statistics.median(shares)
