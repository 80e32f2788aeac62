"""Checkpoints of the algorithm: its state, the replay's arrays, and how to rebuild both."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import ray.cloudpickle as pickle
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_ENV_RUNNER, COMPONENT_METRICS_LOGGER, DEFAULT_MODULE_ID

from suite.errors import ConfigError
from suite.launch.rllib.learning import Learning
from suite.launch.rllib.module import check_weights
from suite.launch.rllib.sampling import Sampler
from suite.records.json_file import dumps, read_json
from suite.records.storage import write_text
from suite.replay.frame_ring import FrameRing
from suite.replay.planning import GIB
from suite.rl.recorder import Recorder
from suite.rl.replay import check_replay
from suite.rl.run import RLRun
from suite.rl.visits import Visits
from suite.run_config import RunConfig
from suite.tasks.rl import RLTaskConfig
from suite.training.checkpoint import alone, load_state, save_state

SUITE = "suite"
"""Key of the suite's part of the algorithm's state."""

RING = "ring"
"""Folder of the replay's arrays inside a checkpoint."""

RUN = "run.json"
"""The run's config inside a checkpoint: what an algorithm is built from."""


class CheckpointedAlgorithm(Algorithm):
    """What `suite.launch.rllib.algorithm.NapDQN` is made of, and how that is saved and restored."""

    run: RLRun
    task: RLTaskConfig
    learning: Learning
    sampler: Sampler
    ring: FrameRing
    recorder: Recorder
    visits: Visits
    gradient_steps: int
    agent_steps: int
    _begun: bool  # whether step 0 is measured
    _measured_at: int  # agent steps at the latest measurement
    _evaluations: deque[int]  # agent steps of those to come
    _evaluated: int
    _missing: int  # steps to fill the replay with before learning goes on

    def _take_in(self) -> None:
        """Remember what is just being made, so that nothing of it is missing in the state."""
        raise NotImplementedError

    def get_state(self, components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Return all state but the replay's arrays; RLlib's own metrics are not kept."""
        state = super().get_state(components, **kwargs)
        for component in (COMPONENT_METRICS_LOGGER, COMPONENT_ENV_RUNNER):
            state.pop(component, None)
        if self._check_component(SUITE, components, kwargs.get("not_components")):
            state[SUITE] = {
                "gradient_steps": self.gradient_steps,
                "agent_steps": self.agent_steps,
                "measured_at": self._measured_at,
                "evaluated": self._evaluated,
                "visits": self.visits.state_dict(),
                "recorder": self.recorder.state_dict(),
                "ring": self.ring.state_dict(),
                "missing": self._missing,
                "sampler": self.sampler.state(),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        super().set_state(state)
        if SUITE in state:
            own = state[SUITE]
            self.gradient_steps, self.agent_steps = own["gradient_steps"], own["agent_steps"]
            self._begun = self.gradient_steps > 0
            self._measured_at, self._evaluated = own["measured_at"], own["evaluated"]
            self._evaluations = deque(self.task.evaluations(self.run.budget)[self._evaluated :])
            self._missing = own["missing"]
            self.visits.load_state_dict(own["visits"])
            self.recorder.load_state_dict(own["recorder"])
            self.ring.load_state_dict(own["ring"])
            self.sampler.restore(own["sampler"], max(self.visits.index, 0))
            self.sampler.sync(self.learning.weights())

    def save_to_path(self, path: Any = None, **kwargs: Any) -> str:
        """Write a checkpoint: the state as plain data, the replay as arrays, how to build it all.

        A replay larger than ``agent.snapshot_gib`` is left out.

        Blocks that remote runners are just making are waited for and remembered first, unless the
        visit or the run has had its agent steps. What they call for is left to the next `advance`.
        Files are whole or absent; a checkpoint is complete when ``state.pt`` is there.
        """
        self._take_in()
        state = plain(self.get_state())
        self._take_in()  # runners that were found to have been restarted
        folder = Path(tempfile.mkdtemp() if path is None else path)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / RING, ignore_errors=True)  # of an earlier checkpoint there
        limit = self.run.agent.snapshot_gib
        if not self._missing and (limit is None or self.ring.saved_bytes <= limit * GIB):
            (folder / RING).mkdir()
            self.ring.save(folder / RING)
        write_text(folder / RUN, self.run.model_dump_json())
        recipe = {"class": type(self), "ctor_args_and_kwargs": self.get_ctor_args_and_kwargs()}
        (folder / self.CLASS_AND_CTOR_ARGS_FILE_NAME).write_bytes(pickle.dumps(recipe))
        (folder / self.METADATA_FILE_NAME).write_text(dumps(self.get_metadata()))
        save_state(folder, alone(state))
        return str(folder)

    def restore_from_path(self, path: Any, **kwargs: Any) -> None:
        """Continue from what `save_to_path` wrote.

        The lanes come back to where they stood by taking their actions again. Where these were
        too many to keep, every lane begins a new episode, and the one that was open counts as
        truncated where it stood. Without a replay in the checkpoint, the next `advance` fills one.

        Raises:
            ConfigError: if the checkpoint is of another network or replay; nothing has changed
                then.
        """
        folder = Path(path)
        state = load_state(folder, torch.device("cpu"))
        weights = state["learner_group"]["learner"]["rl_module"][DEFAULT_MODULE_ID]
        check_weights(weights, self.env_runner.module, str(folder))
        check_replay(state[SUITE]["ring"], self.ring, str(folder))
        self.set_state(state)
        if (folder / RING).exists():
            self.ring.load(folder / RING)
            if not self.sampler.continued:
                self.ring.cut()
        else:
            self._missing = self._missing or min(len(self.ring), self.task.learning_starts)
            self.ring.clear()

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> Self:
        """Return a new algorithm from a checkpoint in a local folder alone.

        It is built from the run's config and then restored. The recipe that RLlib's own tools read
        is a pickle, which could run anything; it is not looked at.

        Raises:
            ConfigError: if the checkpoint holds no config, or not one of this suite.
        """
        from suite.launch.rllib.config import algorithm_config

        try:
            run = RunConfig.from_mapping(read_json(Path(path) / RUN))
        except (OSError, ValueError) as error:
            raise ConfigError("path", str(path), f"a checkpoint with its {RUN} ({error})") from None
        algorithm = cast("Self", algorithm_config(run).build_algo())
        algorithm.restore_from_path(path)
        return algorithm


def plain(state: Any) -> Any:
    """Return nested state with arrays as tensors: what a file without code can hold."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(plain(value) for value in state)
    if isinstance(state, np.ndarray):
        return torch.from_numpy(state)
    return state.item() if isinstance(state, np.generic) else state
