"""The engine of reinforcement learning: RLlib's, though a plan does without RLlib.

Importing RLlib takes too long for a plan. So when the cost of a run is measured, its parts are
built without RLlib: environments, replay, network, optimizer and observer.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from suite.launch.calibrate import Cost, seconds_each
from suite.launch.engines.arithmetic import UPDATE_OVERHEAD_S, forward_cost, seconds_of
from suite.launch.engines.base import SIDE_BY_SIDE, Engine, Outcome, outcome
from suite.models.base import build_model
from suite.optimizers import rates, step_of
from suite.records import layout
from suite.replay.frame_ring import Block, Sample
from suite.replay.planning import available_bytes, check_replay_fits
from suite.rl.batches import joined_block, to_tensors
from suite.rl.closed_form import closed_form
from suite.rl.joined_key import joined_key, parted_by
from suite.rl.lanes import Lanes
from suite.rl.replay import make_ring
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.training.joined_optimizer import JoinedOptimizer
from suite.training.joint import stack_parameters
from suite.training.observer import Observer
from suite.training.q_chain import QChain
from suite.training.q_gradients import QGradients

ACT_OVERHEAD_S = 2e-4
"""Seconds of a step of the lanes beyond arithmetic: emulator, replay, bookkeeping."""

SMALL_UPDATE_S = 1.2e-4
"""Seconds of an update of one of several runs side by side beyond arithmetic."""

EPISODE = 500
"""Steps of an episode of an evaluation, where its time limit allows as many."""

EVALUATED_AT_ONCE = 10
"""Episodes of an evaluation that are played side by side."""

SLOTS = 2_000
"""Slots of each lane in the replay that is measured: how many hardly matters to sampling."""

PROBE = 64
"""Observations on which features are read."""

LEARNING = 1.3
"""Time of an update with hooks, interventions and bookkeeping over one without."""

TRIAL_S, WORKER_S = 0.7, 1.5
"""Seconds of building and closing an algorithm, and of importing RLlib in a worker."""


class RLEngine(Engine[RLRun]):
    """Deep Q-learning from replayed experience."""

    x: ClassVar[Literal["steps", "frames"]] = "frames"

    def of(self, config: RunConfig) -> RLRun:
        """Return the run with the types of its task and its agent."""
        return RLRun.of(config)

    def train(self, runs: Sequence[RunConfig], sessions: Sequence[Any]) -> list[Outcome]:
        """Train one run, or several side by side."""
        from suite.launch.rllib.trial import train_rl, train_rl_together

        if len(runs) > 1:
            for session in sessions:
                session.note("side_by_side", len(runs))
            ended = train_rl_together(runs, sessions)
            return [
                _ended(run, session, error)
                for run, session, error in zip(runs, sessions, ended, strict=True)
            ]
        (run,), (session,) = runs, sessions
        train_rl(run, session)
        return [("complete", "")]

    def batch_key(self, config: RunConfig) -> Hashable | None:
        """Return what runs must share to be trained at once, as `suite.rl.joined_key` says."""
        return joined_key(config)

    def parted_by(self, config: RunConfig) -> list[str]:
        """Return the parts of plugins without which a run could be trained at once with others."""
        return parted_by(config)

    def bundles(self, config: RunConfig) -> list[dict[str, float]]:
        """Return what a trial asks for itself, for each runner and for each learner."""
        asked, runners = config.resources, self.of(config).task.runners
        own = {"CPU": asked.cpus, "GPU": 0.0 if asked.learners else asked.gpus}
        acting, learning = {"CPU": 1.0, "GPU": 0.0}, {"CPU": 1.0, "GPU": asked.gpus}
        return [own, *[acting] * runners, *[learning] * asked.learners]

    def replay_bytes(self, config: RunConfig) -> int:
        """Return the memory of a full replay."""
        run = self.of(config)
        return run.task.replay_bytes(run.agent)

    def check_memory(self, configs: Iterable[RunConfig], slots: int) -> None:
        """Check that the replays of the trials that run side by side fit into the host's memory.

        Those that a GPU keeps are checked by the trial, which knows the GPU.
        """
        runs = [self.of(config) for config in configs]
        held = [r for r in runs if r.agent.replay_device == "host" or r.resources.gpus == 0]
        together = [run for run in held if self.batch_key(run) is not None]
        for runs_of, at_once in ((held, slots), (together, slots * SIDE_BY_SIDE)):
            share = available_bytes() // max(1, min(at_once, len(runs_of)))
            for run in runs_of:
                check_replay_fits(run.task, run.agent, share)

    def _measured(self, group: Sequence[RLRun]) -> Cost:
        """Act, remember, learn and measure with the parts of a run, or learn with those of many."""
        began = time.perf_counter()
        run = group[0]
        task = run.task.played(0)
        slots = min(run.agent.replay_capacity, SLOTS * task.all_lanes)
        agent = run.agent.model_copy(update={"replay_capacity": slots})
        networks = [build_model(run.model, run.model_spec(), seed=0) for _ in group]
        optimizers = [run.optimizer.build(network) for network in networks]
        lanes = Lanes(task, task.lanes, seed=0)
        small = run.model_copy(update={"agent": agent})
        ring = make_ring(small, lanes.spaces[0], torch.device("cpu"))
        observer = Observer(networks[0], run.metric_names, run.metrics, run.clock(), None)
        generator = np.random.default_rng(0)
        no = np.zeros((1, task.lanes), np.bool_)
        update = _joined if len(group) > 1 else _alone
        change = update(run, networks, optimizers)

        def act() -> None:
            obs = lanes.obs
            with torch.inference_mode():
                networks[0](torch.from_numpy(obs)).argmax(-1)
            actions = generator.integers(int(lanes.spaces[1].n), size=task.lanes)
            step = lanes.step(actions)
            frames = obs[None, :, -1] if task.stack > 1 else obs[None]
            marks = (step.acted[None], step.stops[None], no)
            block = Block(frames, actions[None].astype(np.int32), step.rewards[None], *marks)
            for first in range(0, task.all_lanes, task.lanes):
                ring.add(block, first)

        def learn() -> None:
            change([ring.sample(agent.batch_size) for _ in group])

        def measure() -> None:
            observer.before_update(0)
            learn()
            observer.measure(1, rates(optimizers[0]))

        setup = time.perf_counter() - began
        try:
            acting = seconds_each(act)
            for _ in range(2 * agent.n_step + PROBE):
                act()
            learning = seconds_each(learn)
            observer.probe = torch.as_tensor(ring.sample(PROBE).s_tm1).clone()
            measuring = seconds_each(measure, warm_up=1)
        finally:
            lanes.close()
        each = LEARNING * learning / len(group)
        return Cost(setup / len(group), each, max(measuring - learning, 0.0), acting)

    def arithmetic_cost(self, config: RunConfig, at_once: int = 1) -> Cost:
        """Count forward and backward of the network, forward of its target, forward to act."""
        run = self.of(config)
        spec = run.model_spec()
        learning, _ = forward_cost(run.model, spec, run.agent.batch_size)
        acting, _ = forward_cost(run.model, spec, run.task.lanes)
        overhead = SMALL_UPDATE_S if at_once > 1 else UPDATE_OVERHEAD_S
        update = overhead + seconds_of(4 * learning)
        return Cost(0.0, update, update, ACT_OVERHEAD_S + seconds_of(acting))

    def run_seconds(self, config: RunConfig, cost: Cost) -> float:
        """Return setup, measurements, updates and steps of the lanes, evaluations included."""
        run, clock = self.of(config), config.clock()
        task = run.task
        acting = task.agent_steps(run.budget) / task.all_lanes
        if task.evaluation is not None:
            longest = task.played(0).time_limit or EPISODE
            rounds = -(-task.evaluation.episodes // EVALUATED_AT_ONCE)
            acting += len(task.evaluations(run.budget)) * rounds * min(EPISODE, longest)
        measuring = cost.measure * len(run.measuring_steps())
        return cost.setup + measuring + cost.update * clock.total + cost.act * acting

    def start_seconds(self, first: bool, runs: int) -> float:
        """Return the seconds of building algorithms, and of importing RLlib the first time."""
        return TRIAL_S * runs + (WORKER_S if first else 0.0)


def _ended(run: RunConfig, session: Any, error: Exception | None) -> Outcome:
    """Write the trace of an error that nobody expected, and return how the run ended."""
    state, reason = outcome(error)
    if session.tell(error):
        reason += f" (see {layout.RUNS}/{run.run_id}/{layout.ERROR})"
    return state, reason


Change = Callable[[Sequence[Sample]], None]
"""Makes an update of all runs, by a batch of each."""


def _alone(run: RLRun, networks: Sequence[nn.Module], optimizers: Sequence[Any]) -> Change:
    """Return the update of one run: in closed form where there is one, else by autograd."""
    (q,), (optimizer,), agent = networks, optimizers, run.agent
    target, step = copy.deepcopy(q), step_of(optimizer)
    chain = QChain(q, target, agent.double, agent.loss) if closed_form(agent, q) else None

    def change(samples: Sequence[Sample]) -> None:
        batch = to_tensors(samples[0])
        if chain is not None:
            chain.gradients(batch)
        else:
            with torch.no_grad():
                aim = target(batch["s_t"])
                if agent.double:
                    q(batch["s_t"])
            optimizer.zero_grad()
            (q(batch["s_tm1"]) - aim).square().mean().backward()
        step()

    return change


def _joined(run: RLRun, networks: Sequence[nn.Module], optimizers: Sequence[Any]) -> Change:
    """Return the update of several runs, all in closed form."""
    agent = run.agent
    targets = stack_parameters([copy.deepcopy(q) for q in networks])
    online = stack_parameters(networks)
    q = QGradients(networks[0], online, targets, agent.double, agent.loss, axis=1)
    optimizer = JoinedOptimizer(optimizers, online, q.gradients)

    def change(samples: Sequence[Sample]) -> None:
        q.gradients_of(joined_block(samples, agent.batch_size), 0)
        optimizer.step(run.optimizer.lr)

    return change
