"""Measuring for a moment what runs will spend their time on: real updates and measurements.

Of a supervised trial the real run is built, which then makes a few updates and a measurement. RLlib
takes longer to import than a plan may take, so of a reinforcement-learning run the parts are put
together without it: environments, replay, network, optimizer and observer.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from suite.models.base import build_model
from suite.optimizers import rates
from suite.run_config import RunConfig
from suite.tasks.rl import RLTaskConfig
from suite.training.batched import BatchedRun, Descent
from suite.training.observer import Observer
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun, precision

MOMENT_S = 0.05
"""Seconds for which a call is measured, to the end of the last one."""

WARM_UP = 3
"""Calls that are not measured."""

MOST = 200
"""Largest number of calls that are measured."""

SLOTS = 2_000
"""Slots of each lane in the replay that is measured: how many hardly matters to sampling."""

LONG_S = 0.5
"""Seconds of a first measurement above which it is made of one run and taken for all."""

PROBE = 64
"""Observations on which features are read."""

LEARNING = 1.3
"""Time of an update with hooks, interventions and bookkeeping over one without."""


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


def measured_cost(group: Sequence[RunConfig]) -> Cost:
    """Return what each run of a trial costs, measured here and now.

    Args:
        group: runs that are trained at once, or one run.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(group[0].resources.threads)
    try:
        if isinstance(group[0].task, RLTaskConfig):
            return _reinforcement(group[0], group[0].task)
        with precision(group[0]):
            return _supervised(group)
    finally:
        torch.set_num_threads(threads)


def _supervised(group: Sequence[RunConfig]) -> Cost:
    """Build the runs of a trial and let them go a little way."""
    session, began = MemorySession(), time.perf_counter()
    runs = BatchedRun(group).runs if len(group) > 1 else [SupervisedRun(group[0])]
    built = time.perf_counter() - began
    first, *others = runs
    began = time.perf_counter()
    first.begin(session)
    looked = time.perf_counter() - began
    for run in others if looked < LONG_S else ():  # the problem of each may need to be solved
        run.begin(session)
    setup = built + looked * len(runs)
    if len(runs) > 1:
        descent = Descent(runs)
        descent.plan(0, WARM_UP + MOST)
        update = descent.update
    else:
        (run,) = runs

        def update() -> None:
            run._events(run._update())

    seconds = seconds_each(update)
    looking = seconds_each(lambda: first._measure(session), warm_up=0)
    return Cost(setup / len(runs), seconds / len(runs), looking)


def _reinforcement(config: RunConfig, task: RLTaskConfig) -> Cost:
    """Act, remember, learn and measure with the parts of a run."""
    from suite.launch.rllib.lanes import Lanes
    from suite.launch.rllib.replay import make_ring
    from suite.replay.frame_ring import Block

    began = time.perf_counter()
    task = task.played(0)
    slots = min(config.agent.replay_capacity, SLOTS * task.all_lanes)
    agent = config.agent.model_copy(update={"replay_capacity": slots})
    config = config.model_copy(update={"agent": agent})
    q = build_model(config.model, config.model_spec(), seed=0)
    target = copy.deepcopy(q)
    optimizer = config.optimizer.build(q)
    lanes = Lanes(task, task.lanes, seed=0)
    ring = make_ring(config, lanes.spaces[0], torch.device("cpu"))
    observer = Observer(q, config.metric_names, config.metrics, config.clock(), None)
    generator = np.random.default_rng(0)
    no = np.zeros((1, task.lanes), np.bool_)

    def act() -> None:
        obs = lanes.obs
        with torch.inference_mode():
            q(torch.from_numpy(obs)).argmax(-1)
        actions = generator.integers(lanes.spaces[1].n, size=task.lanes)
        step = lanes.step(actions)
        frames = obs[None, :, -1] if task.stack > 1 else obs[None]
        marks = (step.acted[None], step.stops[None], no)
        block = Block(frames, actions[None].astype(np.int32), step.rewards[None], *marks)
        for first in range(0, task.all_lanes, task.lanes):
            ring.add(block, first)

    def learn() -> None:
        batch = ring.sample(config.agent.batch_size)
        before, after = torch.as_tensor(batch.s_tm1), torch.as_tensor(batch.s_t)
        with torch.no_grad():
            aim = target(after)
            if config.agent.double:
                q(after)
        optimizer.zero_grad()
        (q(before) - aim).square().mean().backward()
        optimizer.step()

    def measure() -> None:
        observer.before_update(0)
        learn()
        observer.measure(1, rates(optimizer))

    setup = time.perf_counter() - began
    try:
        acting = seconds_each(act)
        for _ in range(2 * config.agent.n_step + PROBE):
            act()
        learning = seconds_each(learn)
        observer.probe = torch.as_tensor(ring.sample(PROBE).s_tm1).clone()
        measuring = seconds_each(measure, warm_up=1)
    finally:
        lanes.close()
    return Cost(setup, LEARNING * learning, max(measuring - learning, 0.0), acting)


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
