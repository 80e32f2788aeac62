"""Reinforcement-learning runs, one or several side by side, from their configs to their rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch

from suite.launch.rllib.algorithm import NapDQN
from suite.launch.rllib.config import algorithm_config
from suite.launch.rllib.lockstep import Member, train_members
from suite.replay.planning import available_bytes, check_replay_fits
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.training.session import Session
from suite.training.supervised import keep_freed_memory, pick_device

SAVING = 0.05
"""Largest share of the time spent on checkpoints: a full replay takes long to write."""


class Saver:
    """Writes the checkpoints of a run when they are due.

    Args:
        algorithm: of the run.
        session: says when, and where to.
        runs: of the trial, which share what `SAVING` allows.
    """

    def __init__(self, algorithm: NapDQN, session: Session, runs: int = 1) -> None:
        self._algorithm, self._session, self._runs = algorithm, session, runs
        self._saved, self._not_before = algorithm.gradient_steps, 0.0

    def __call__(self) -> None:
        """Write a checkpoint if it is due and there is anything new."""
        step, began = self._algorithm.gradient_steps, time.monotonic()
        due = step > self._saved and began >= self._not_before
        if due and self._session.checkpoint_due():
            self._session.save(step, self._algorithm.save_to_path)
            self._saved, ended = step, time.monotonic()
            self._not_before = ended + (ended - began) * self._runs / SAVING


def _started(config: RunConfig, session: Session) -> NapDQN:
    """Return the algorithm of a run, at its newest checkpoint if there is one."""
    run = RLRun.of(config)
    check_replay_fits(run.task, run.agent, _free_bytes(run))
    algorithm = cast("NapDQN", algorithm_config(run).build_algo())
    try:
        if (folder := session.latest()) is not None:
            algorithm.restore_from_path(folder)
    except BaseException:
        algorithm.stop()  # type: ignore[no-untyped-call]
        raise
    algorithm.recorder.sink = session.emit
    return algorithm


def _finish(algorithm: NapDQN, session: Session, saver: Callable[[], None]) -> None:
    """Train a run to the end of its budget."""
    while not algorithm.finished:
        algorithm.train()  # type: ignore[no-untyped-call]
        session.progress(algorithm.gradient_steps, algorithm.clock.total)
        saver()


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
    algorithm = _started(config, session)
    try:
        _finish(algorithm, session, Saver(algorithm, session))
    finally:
        algorithm.stop()  # type: ignore[no-untyped-call]


def train_rl_together(
    configs: Sequence[RunConfig], sessions: Sequence[Session]
) -> list[Exception | None]:
    """Train runs of equal `suite.rl.joined_key` side by side, otherwise as `train_rl` does one.

    Args:
        configs: the requests.
        sessions: one per run.

    Returns:
        For each run what ended it early, if anything did.
    """
    keep_freed_memory()
    ended: list[Exception | None] = [None] * len(configs)
    members: dict[int, Member] = {}
    try:
        for index, (config, session) in enumerate(zip(configs, sessions, strict=True)):
            try:
                algorithm = _started(config, session)
            except Exception as error:
                ended[index] = error
                continue
            saver = Saver(algorithm, session, len(configs))
            members[index] = Member(algorithm, session, saver)
        train_members(list(members.values()))
        for index, member in members.items():
            member.attempt(partial(_conclude, member))
            ended[index] = member.error
    finally:
        for member in members.values():
            member.algorithm.stop()  # type: ignore[no-untyped-call]
    return ended


def _conclude(member: Member) -> None:
    """Take the agent steps of a run that come after its last update."""
    algorithm = member.algorithm
    algorithm.recorder.go_on()
    algorithm.sampler.sync(algorithm.learning.weights())
    _finish(algorithm, member.session, member.saver)
    algorithm.conclude()
    member.session.progress(algorithm.gradient_steps, algorithm.clock.total)


def _free_bytes(run: RLRun) -> int:
    """Return the free memory of the device that keeps the replay's frames."""
    device = pick_device(run.resources.gpus)
    if run.agent.replay_device == "host" or device.type == "cpu":
        return available_bytes()
    return int(torch.cuda.mem_get_info(device)[0])
