"""One run of an algorithm of RLlib, from its config to its rows and checkpoints.

::

    until the budget is spent:
        batch <- the lanes, with the policy's own draws      # one call of RLlib's `train`
        updates: agent.updates minibatches of the batch

A checkpoint is made between two calls. It holds plain data alone: the learner's state, the global
generators that RLlib draws from, and the actions of every lane, which lead back to where it stood.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray.rllib.core import COMPONENT_METRICS_LOGGER, DEFAULT_MODULE_ID

from suite.environments.failure import EnvironmentFailed
from suite.launch.rllib.checkpointing import plain
from suite.launch.stock.config import algorithm_config, rllib_seed
from suite.rl.lanes import Game
from suite.rl.logged import Logged
from suite.rl.recorder import Recorder
from suite.rl.stock_run import StockRun
from suite.rllib.control import ModuleControl
from suite.run_config import RunConfig
from suite.training.checkpoint import load_state, save_state
from suite.training.observer import Value
from suite.training.session import Session


class StockTraining:
    """An algorithm of RLlib under control, with its rows and its state.

    Args:
        config: the request, of a task of this engine.

    Attributes:
        algorithm: RLlib's.
        learner: its learner.
        recorder: makes rows.

    Raises:
        ConfigError: if the parts of the request do not fit together.
    """

    def __init__(self, config: RunConfig) -> None:
        self.run = run = StockRun.of(config)
        self.total = run.clock().total
        self.algorithm: Any = algorithm_config(run).build_algo()
        self.recorder = Recorder(frame_skip=1)
        self.learner: Any = self.algorithm.learner_group._learner
        self._runner: Any = self.algorithm.env_runner
        self._vector: Any = self._runner.env.unwrapped
        seed_generators(run)  # however much was drawn to build it
        for lane in self.lanes:
            lane.most = run.task.kept_steps() // run.task.lanes
            lane.finished = self._finished
        self.control.sink = self._tell

    @property
    def control(self) -> ModuleControl:
        """What controls the updates."""
        control: ModuleControl = self.learner.controls[DEFAULT_MODULE_ID]
        return control

    @property
    def lanes(self) -> list[Logged]:
        """The environments."""
        return [env.unwrapped for env in self._vector.envs]

    @property
    def agent_steps(self) -> int:
        """Decisions taken."""
        return sum(lane.steps for lane in self.lanes)

    @property
    def gradient_steps(self) -> int:
        """Updates made."""
        return self.control.step

    def _finished(self, game: Game) -> None:
        self.recorder.finished(self.gradient_steps, self.agent_steps, [game])

    def _tell(self, step: int, values: Sequence[Value]) -> None:
        """Record an event, or a measurement with the returns and the pace."""
        if values[0][0] == "learning_rate":
            self.recorder.measured(step, self.agent_steps, (step, self.agent_steps), values)
        else:
            self.recorder.record(step, self.agent_steps, values)

    def start(self) -> None:
        """Measure before the first update."""
        self.control.start()

    def advance(self) -> None:
        """Act for one batch and learn from it.

        Raises:
            EnvironmentFailed: if an environment breaks down.
            RuntimeError: if RLlib did not make as many updates as it was told.
        """
        before = self.gradient_steps
        try:
            self.algorithm.train()
        except RuntimeError as error:
            if isinstance(error.__cause__, EnvironmentFailed):  # RLlib's own says nothing
                raise error.__cause__ from None
            raise
        made, wanted = self.gradient_steps - before, self.run.agent.updates
        if made != wanted:
            raise RuntimeError(f"RLlib made {made} updates of a batch, not {wanted}")

    def save(self, folder: Path) -> None:
        """Write all state into `folder`, as plain data."""
        learner = self.learner.get_state(not_components=[COMPONENT_METRICS_LOGGER])
        kl = getattr(self.learner, "curr_kl_coeffs_per_module", {})
        state = {
            "learner": learner,
            "kl": {name: float(value) for name, value in kl.items()},
            "recorder": self.recorder.state_dict(),
            "lanes": [lane.state_dict() for lane in self.lanes],
            "generators": generators(),
        }
        save_state(folder, plain(state))

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote, to the last bit if the environments repeat themselves.

        Without their actions the lanes begin new episodes, with a seed of their own.
        """
        state = load_state(folder, torch.device("cpu"))
        self.learner.set_state(state["learner"])
        for name, value in state["kl"].items():
            self.learner.curr_kl_coeffs_per_module[name].data.fill_(value)
        self.algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.algorithm.learner_group, inference_only=True
        )
        replayed = all(saved["actions"] is not None for saved in state["lanes"])
        for lane, saved in zip(self.lanes, state["lanes"], strict=True):
            lane.load_state_dict(saved if replayed else {**saved, "actions": None})
        if not replayed:
            self._runner._seed = rllib_seed(self.run, f"from {self.agent_steps}")
        self._runner._reset_envs_and_episodes(explore=True)
        self._runner._needs_initial_reset = False
        for index, saved in enumerate(state["lanes"]):
            if replayed and saved["over"]:  # RLlib has still to begin the next episode there
                self._vector._autoreset_envs[index] = True
                self._runner._new_episode(index)
        self.recorder.load_state_dict(state["recorder"])
        set_generators(state["generators"])

    def stop(self) -> None:
        """Close algorithm and environments."""
        self.algorithm.stop()


def seed_generators(run: StockRun) -> None:
    """Seed the global generators as a run has them at its start."""
    seed = rllib_seed(run)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - RLlib draws from it
    torch.manual_seed(seed)


def generators() -> dict[str, Any]:
    """Return the state of the global generators, as plain data."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - RLlib draws from it
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [kind, np.asarray(keys, np.int64), *rest],
        "random": [version, list(numbers), gauss],
    }


def set_generators(state: Mapping[str, Any]) -> None:
    """Put the global generators back to what `generators` returned."""
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), *rest))  # noqa: NPY002
    version, numbers, gauss = state["random"]
    random.setstate((version, tuple(numbers), gauss))


def train_stock(config: RunConfig, session: Session) -> None:
    """Train to the end of the budget, from the session's newest checkpoint if it has one.

    Args:
        config: the request, of a task of this engine.
        session: where rows and checkpoints go.

    Raises:
        ConfigError: if the parts of the request do not fit together.
        DivergedError: if the loss stops being finite.
    """
    training = StockTraining(config)
    try:
        training.recorder.sink = session.emit
        if (folder := session.latest()) is not None:
            training.load(folder)
        else:
            training.start()
        saved = training.gradient_steps
        while training.gradient_steps < training.total:
            training.advance()
            step = training.gradient_steps
            session.progress(step, training.total)
            if step > saved and session.checkpoint_due():
                session.save(step, training.save)
                saved = step
    finally:
        training.stop()
