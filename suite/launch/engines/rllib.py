"""The engine of RLlib's own algorithms, under control of the ELR."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from suite.launch.calibrate import Cost
from suite.launch.engines.arithmetic import forward_cost, seconds_of
from suite.launch.engines.base import Engine, Outcome
from suite.rl.stock_run import StockRun
from suite.run_config import RunConfig

UPDATE_S = 4e-3
"""Seconds of an update beyond arithmetic: RLlib's, autograd's and the optimizer's overhead."""

ACT_S, LANE_S = 1e-3, 1e-4
"""Seconds of a step of the lanes beyond arithmetic, and for each lane."""

TRIAL_S, WORKER_S = 1.0, 4.0
"""Seconds of building and closing an algorithm, and of importing RLlib in a worker."""


class RLlibEngine(Engine[StockRun]):
    """RLlib's algorithms, whose environments are stepped in the trial's own process."""

    x: ClassVar[Literal["steps", "frames"]] = "frames"

    def of(self, config: RunConfig) -> StockRun:
        """Return the run with the types of its task and its agent."""
        return StockRun.of(config)

    def train(self, runs: Sequence[RunConfig], sessions: Sequence[Any]) -> list[Outcome]:
        """Train the one run of a trial."""
        from suite.launch.stock.trial import train_stock

        (run,), (session,) = runs, sessions
        train_stock(run, session)
        return [("complete", "")]

    def _measured(self, group: Sequence[StockRun]) -> Cost:
        """Act for a batch, learn from it and measure, with a runner and a learner alone."""
        from suite.launch.stock.parts import Parts

        began = time.perf_counter()
        parts = Parts(group[0])
        try:
            setup = time.perf_counter() - began
            parts.act()  # the first updates are slower
            parts.learn()
            acting, learning, measuring = parts.act(), parts.learn(), parts.measure()
        finally:
            parts.close()
        return Cost(setup, learning, measuring, acting)

    def arithmetic_cost(self, config: RunConfig, at_once: int = 1) -> Cost:
        """Count forward and backward of policy and values, and the policy's forward to act."""
        run = self.of(config)
        spec = run.model_spec()
        learning, _ = forward_cost(run.model, spec, run.agent.minibatch)
        acting, _ = forward_cost(run.model, spec, run.task.lanes)
        update = UPDATE_S + seconds_of(6 * learning)
        act = ACT_S + LANE_S * run.task.lanes + seconds_of(acting)
        return Cost(0.0, update, update, act)

    def run_seconds(self, config: RunConfig, cost: Cost) -> float:
        """Return setup, measurements, updates and steps of the lanes."""
        run = self.of(config)
        acting = run.task.agent_steps(run.budget) / run.task.lanes
        measuring = cost.measure * len(run.measuring_steps())
        return cost.setup + measuring + cost.update * run.clock().total + cost.act * acting

    def start_seconds(self, first: bool, runs: int) -> float:
        """Return the seconds of building an algorithm, and of importing RLlib the first time."""
        return TRIAL_S + (WORKER_S if first else 0.0)
