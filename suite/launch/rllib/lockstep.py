"""Runs side by side, in lockstep: each acts on its own, and all of them learn at once.

::

    until all have made their updates:
        every run without an update that is due acts for one block    # one forward pass for all
        where each has updates due: as many of all runs as the fewest of them
        every run that has made those that were due evaluates, or ends its visit

Each run stays an algorithm with its own environments, replay, draws, rows and checkpoints; acting,
sampling and learning come in the same order as in a run alone, so the numbers are the same up to
rounding. Runs that continue from different steps are joined as the later ones are reached. One that
diverges or fails ends, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from suite.launch.rllib.algorithm import CHECK_EVERY, MOST_UPDATES, NapDQN
from suite.launch.rllib.joined import JoinedLearners
from suite.launch.rllib.runner import Rollout
from suite.launch.rllib.sampling import Arrival
from suite.replay.frame_ring import Array
from suite.replay.prioritized import PrioritizedRing
from suite.rl.batches import joined_block
from suite.training.session import Session

SLICE_S = 1.0
"""Seconds between looks at whether checkpoints are due."""


@dataclass(eq=False)
class Member:
    """A run of several.

    Attributes:
        algorithm: with all that is the run's.
        session: where progress goes.
        saver: writes checkpoints when they are due.
        error: what ended the run early.
    """

    algorithm: NapDQN
    session: Session
    saver: Callable[[], None]
    error: Exception | None = field(default=None)

    @property
    def going(self) -> bool:
        """Whether updates are left to make."""
        done = self.algorithm.gradient_steps >= self.algorithm.clock.total
        return self.error is None and not done

    def attempt(self, what: Callable[[], Any]) -> Any:
        """Return what `what` returns, unless the run has ended; an error ends this run alone."""
        if self.error is not None:
            return None
        try:
            return what()
        except Exception as error:
            self.error = error
            return None


def train_members(members: Sequence[Member]) -> None:
    """Make all updates of runs that are alike but for seeds, rates and schedules.

    What acting is left then is left.

    Args:
        members: the runs, of one `suite.rl.joined_key`.
    """
    for member in members:
        member.algorithm.recorder.pause()
    while going := [m for m in members if m.going]:
        steps = sorted({m.algorithm.gradient_steps for m in going})
        first = [m for m in going if m.algorithm.gradient_steps == steps[0]]
        until = steps[1] if len(steps) > 1 else going[0].algorithm.clock.total
        Group(first).train(until)


class Group:
    """Members at one gradient step.

    Args:
        members: none of which has ended.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self.runs = [m.algorithm for m in members]
        self.learners = JoinedLearners([run.learner for run in self.runs])
        first = self.runs[0]
        obs = first.env_runner.lanes.obs
        self._seen = np.zeros((len(members), *obs.shape), obs.dtype)
        self._tensors = torch.from_numpy(self._seen)
        self._by_error = isinstance(first.ring, PrioritizedRing)
        self._looks = frozenset(first.run.measuring_steps())

    def train(self, until: int) -> None:
        """Train to a gradient step, or until one of the members has ended early."""
        for run in self.runs:
            run.recorder.go_on()
        looked = time.monotonic()
        while self.learners.step < until and self._whole():
            self._advance(until)
            if time.monotonic() - looked > SLICE_S:
                self.learners.hand_over()
                for member in self.members:
                    step = member.algorithm.gradient_steps
                    member.session.progress(step, member.algorithm.clock.total)
                    member.attempt(member.saver)
                looked = time.monotonic()
        self.learners.hand_over()
        for run in self.runs:
            run.recorder.pause()

    def _whole(self) -> bool:
        """Return whether no member has ended."""
        return all(member.error is None for member in self.members)

    def _advance(self, until: int) -> None:
        """Let those act that wait for data, and make updates if all have some that are due."""
        for member in self.members:
            member.attempt(member.algorithm.prepare)
        self._act()
        count = min(min(run.due for run in self.runs), MOST_UPDATES, until - self.learners.step)
        if count > 0 and self._whole():
            for member, run in zip(self.members, self.runs, strict=True):
                member.attempt(run.begin)
            self._learn(count)
        for member, run in zip(self.members, self.runs, strict=True):
            if run.due <= 0:
                member.attempt(run.rest)

    def _act(self) -> None:
        """Let every member without updates that are due act for one block."""
        turns: dict[int, Generator[Array, Array, Rollout]] = {}
        for index, (member, run) in enumerate(zip(self.members, self.runs, strict=True)):
            if member.error is None and run.acts:
                turns[index] = run.env_runner.acting(*run.block())
        greedy: Array | None = None
        while turns:
            for index in list(turns):
                own = None if greedy is None else greedy[index]
                if self._turn(index, turns[index], own):
                    del turns[index]
            if turns:
                greedy = self.learners.greedy(self._tensors)

    def _turn(
        self, index: int, turn: Generator[Array, Array, Rollout], greedy: Array | None
    ) -> bool:
        """Let a member go on with its greedy actions; return whether its block is over."""
        member = self.members[index]

        def go_on() -> bool:
            try:
                self._seen[index] = next(turn) if greedy is None else turn.send(greedy)
            except StopIteration as end:
                member.algorithm.remember(Arrival(0, end.value))
                return True
            return False

        over = member.attempt(go_on)
        return member.error is not None or bool(over)

    def _learn(self, count: int) -> None:
        """Make some updates of all members, by batches of their own.

        If one ends early, the others learn from all that is drawn for them, as they would alone.
        """
        size, learners = self.runs[0].run.agent.batch_size, self.learners
        while count > 0 and self._whole():
            drawn = min(count, self.runs[0].at_once)
            samples = [run.draw(drawn) for run in self.runs]
            block = joined_block(samples, size)
            for index in range(drawn):
                learners.learn(block, index)
                step = learners.step
                if step in self._looks or step % CHECK_EVERY == 0:
                    learners.hand_over()
                errors = learners.errors() if self._by_error else None
                for place, (member, run) in enumerate(zip(self.members, self.runs, strict=True)):
                    own = None if errors is None else errors[place]
                    member.attempt(partial(run.updated, samples[place].index, own))
            count -= drawn
