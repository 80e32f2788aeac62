"""Many supervised runs at once, with an axis of runs.

What an update of all runs is, depends on what they are: `suite.training.full_batch` for plain
gradient descent on the whole training set by models with a closed form, and
`suite.training.minibatches` for streams with small networks. In everything else each of them stays
a separate `SupervisedRun`. The numbers agree with a run alone up to rounding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence

import torch

from suite.errors import DivergedError
from suite.run_config import RunConfig
from suite.tasks.base import SupervisedTaskConfig
from suite.training.full_batch import Descent, full_batch_key
from suite.training.joint import Joint, held_apart
from suite.training.minibatches import Minibatches, minibatch_key
from suite.training.session import Session
from suite.training.supervised import CHECK_EVERY, SupervisedRun, keep_freed_memory, precision

CHUNK = 1_000
"""Gradient steps for which rates are computed at once."""


def batch_key(config: RunConfig) -> Hashable | None:
    """Return what runs must share to be trained at once; None if this one is trained alone."""
    if config.precision == "bfloat16" or held_apart(config):
        return None
    return full_batch_key(config) or minibatch_key(config)


def parted_by(config: RunConfig) -> list[str]:
    """Return the parts of plugins that part a run from others with which its task allows it."""
    task = config.task
    if not isinstance(task, SupervisedTaskConfig) or not (task.whole_batch or task.minibatches):
        return []
    return held_apart(config)


def join(runs: Sequence[SupervisedRun]) -> Joint:
    """Return runs of equal `batch_key`, all at one step, as one."""
    kind = Minibatches if full_batch_key(runs[0].config) is None else Descent
    return kind(runs)


class BatchedRun:
    """Runs of equal `batch_key`.

    Args:
        configs: the requests.
        device: where data and models live.
    """

    def __init__(self, configs: Sequence[RunConfig], device: torch.device | None = None) -> None:
        self.runs = [SupervisedRun(config, device) for config in configs]

    def train(self, sessions: Sequence[Session]) -> list[DivergedError | None]:
        """Train all runs to the end of their budgets, each from its newest checkpoint.

        Runs that continue from different steps are joined as the later ones are reached.

        Args:
            sessions: one per run.

        Returns:
            For each run what ended it early, if anything did.
        """
        keep_freed_memory()
        with precision(self.runs[0].config):
            return self._train(sessions)

    def _train(self, sessions: Sequence[Session]) -> list[DivergedError | None]:
        ended: list[DivergedError | None] = [None] * len(self.runs)
        for run, session in zip(self.runs, sessions, strict=True):
            run.begin(session)
        while True:
            going = [i for i, e in enumerate(ended) if e is None and not self.runs[i].done]
            steps = sorted({self.runs[i].step for i in going})
            if not going:
                break
            members = [i for i in going if self.runs[i].step == steps[0]]
            until = steps[1] if len(steps) > 1 else self.runs[0].clock.total
            for index, error in self._advance(members, until, sessions).items():
                ended[index] = error
        for index, reason in enumerate(ended):
            if reason is None:
                sessions[index].progress(self.runs[index].step, self.runs[index].clock.total)
        return ended

    def _advance(
        self, members: Sequence[int], until: int, sessions: Sequence[Session]
    ) -> dict[int, DivergedError]:
        """Train some runs, all at one step, to `until` or to the first that diverges or is done."""
        runs = [self.runs[i] for i in members]
        joint = join(runs)
        observer = runs[0].observer  # they all measure at the same steps
        ends = (*runs[0].clock.starts[1:], runs[0].clock.total)
        starts = frozenset(runs[0].clock.starts)
        while runs[0].step < until:
            start = runs[0].step
            if start in starts:
                joint.hand_over()  # what was counted belongs to the phase before
                for run, index in zip(runs, members, strict=True):
                    run.enter_phase(sessions[index])
                joint.begin_phase(start)
            stop = min(until, start + CHUNK, ends[bisect_right(ends, start)])
            joint.plan(start, stop)
            for step in range(start, stop):
                if observer.keeps_before(step):
                    for run in runs:
                        run.observer.before_update(step)
                joint.update()
                for run in runs:
                    run.step = step + 1
                if joint.tells:
                    for run, index in zip(runs, members, strict=True):
                        run.tell(sessions[index], sorted(run.stack.take_events()))
                if observer.keeps_after(step + 1):
                    for run in runs:
                        run.observer.after_update(step + 1)
                if observer.due(step + 1) or (step + 1) % CHECK_EVERY == 0:
                    joint.hand_over()
                    failed = self._look(members, sessions)
                    if failed or any(run.done for run in runs):
                        return failed
        joint.hand_over()
        return {}

    def _look(
        self, members: Sequence[int], sessions: Sequence[Session]
    ) -> dict[int, DivergedError]:
        """Let each run measure and save; return those that diverged."""
        failed: dict[int, DivergedError] = {}
        for index in members:
            try:
                self.runs[index].look(sessions[index])
            except DivergedError as error:
                failed[index] = error
        return failed
