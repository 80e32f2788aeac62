"""One reinforcement-learning run, from its config to its rows."""

from __future__ import annotations

import time
from typing import cast

import torch

from suite.launch.rllib.algorithm import NapDQN
from suite.launch.rllib.config import algorithm_config
from suite.replay.planning import available_bytes, check_replay_fits
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.training.session import Session
from suite.training.supervised import keep_freed_memory, pick_device

SAVING = 0.05
"""Largest share of the time spent on checkpoints: a full replay takes long to write."""


def train_rl(config: RunConfig, session: Session) -> None:
    """Train to the end of the budget, from the session's newest checkpoint if it has one.

    Ray must have been started (RLlib starts it if not); nothing of it is used but this process.

    Args:
        config: the request, of a task of the RL engine.
        session: where rows and checkpoints go.

    Raises:
        ConfigError: if the parts of the request do not fit together.
        DivergedError: if the TD loss stops being finite.
    """
    keep_freed_memory()
    run = RLRun.of(config)
    check_replay_fits(run.task, run.agent, _free_bytes(run))
    algorithm = cast("NapDQN", algorithm_config(run).build_algo())
    try:
        if (folder := session.latest()) is not None:
            algorithm.restore_from_path(folder)
        algorithm.recorder.sink = session.emit
        total = algorithm.clock.total
        saved, not_before = algorithm.gradient_steps, 0.0
        while not algorithm.finished:
            algorithm.train()  # type: ignore[no-untyped-call]
            step, began = algorithm.gradient_steps, time.monotonic()
            session.progress(step, total)
            if step > saved and began >= not_before and session.checkpoint_due():
                session.save(step, algorithm.save_to_path)
                saved, ended = step, time.monotonic()
                not_before = ended + (ended - began) / SAVING
    finally:
        algorithm.stop()  # type: ignore[no-untyped-call]


def _free_bytes(run: RLRun) -> int:
    """Return the free memory of the device that keeps the replay's frames."""
    device = pick_device(run.resources.gpus)
    if run.agent.replay_device == "host" or device.type == "cpu":
        return available_bytes()
    return int(torch.cuda.mem_get_info(device)[0])
