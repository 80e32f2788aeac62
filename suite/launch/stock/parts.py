"""A runner and a learner of RLlib without its algorithm, to time them without Ray."""

from __future__ import annotations

import time
from typing import Any

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from suite.launch.stock.config import algorithm_config
from suite.rl.stock_run import StockRun

FEW = 24
"""Most steps of the lanes, and updates, that are timed."""


class Parts:
    """What a run spends its time on.

    Args:
        run: the request.
    """

    def __init__(self, run: StockRun) -> None:
        config = algorithm_config(run)
        self._lanes, self._agent = run.task.lanes, run.agent
        self._steps = min(FEW, run.agent.batch // self._lanes)
        self._runner = SingleAgentEnvRunner(config=config, worker_index=0)
        spaces = self._runner.get_spaces()
        self._learner: Any = config.build_learner(
            spaces={DEFAULT_MODULE_ID: spaces[DEFAULT_MODULE_ID]}
        )
        if not self._learner._is_built:
            self._learner.build()
        self._episodes: list[Any] = []

    def act(self) -> float:
        """Return the seconds of a step of all lanes."""
        began = time.perf_counter()
        self._episodes = self._runner.sample(num_timesteps=self._steps * self._lanes)
        return (time.perf_counter() - began) / self._steps

    def learn(self) -> float:
        """Return the seconds of an update, with a share of what is done for a batch."""
        updates = min(FEW, self._agent.updates)
        began = time.perf_counter()
        type(self._learner).updates_per_batch = updates
        size = min(self._agent.minibatch, self._steps * self._lanes)
        self._learner.update(
            episodes=self._episodes,
            timesteps={},
            num_epochs=1,
            minibatch_size=size,
            shuffle_batch_per_epoch=True,
        )
        return (time.perf_counter() - began) / updates

    def measure(self) -> float:
        """Return the seconds of a measurement."""
        control = self._learner.controls[DEFAULT_MODULE_ID]
        began = time.perf_counter()
        for part in control.parts.values():
            part.measure(control.step)
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the environments."""
        self._runner.stop()
