"""The learners of runs side by side: one update of all of them on stacked parameters.

Each of the runs keeps its learner, whose networks and optimizer state are slices of the stacked
tensors: what begins a phase, and all that is measured, saved or reset, is done by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suite.launch.rllib.learner import NapLearner
from suite.optimizers import set_rate
from suite.schedules.base import AdaptiveSchedule
from suite.training.joined_update import JoinedUpdate
from suite.training.joint import stack_parameters
from suite.training.q_gradients import Block, QGradients
from suite.training.q_learning import elementwise_loss

AHEAD = 1_000
"""Updates whose rates are worked out at once, unless a schedule sees the losses."""


class JoinedLearners:
    """Learners of runs that are alike but for seeds, rates and schedules.

    Args:
        learners: of the runs, all at one gradient step.

    Attributes:
        step: gradient steps made, by each.
    """

    def __init__(self, learners: Sequence[NapLearner]) -> None:
        self._learners, first = learners, learners[0]
        nets = [learner.net for learner in learners]
        self._online = stack_parameters([net.q for net in nets])
        self._target = stack_parameters([net.target for net in nets])
        agent = first.run.agent
        self._loss = agent.loss
        self._every = agent.target_every
        shared = nets[0].q, self._online, self._target, agent.double, agent.loss
        self._q = QGradients(*shared, axis=1)
        self._change = JoinedUpdate(
            [learner.run for learner in learners],
            [learner.updates for learner in learners],
            [net.q for net in nets],
            self._online,
            self._q.gradients,
            agent.grad_clip,
        )
        self._observer = first.observer  # they all measure at the same steps
        self._total = first.clock.total
        self._begins = frozenset(first.clock.starts[1:])
        self.step = self._planned = first.step
        self._rates: Sequence[float] | Tensor = []
        self._adaptive = [x for x in learners if isinstance(x.schedule, AdaptiveSchedule)]
        self._ahead = 1 if self._adaptive else AHEAD
        self._losses: list[Tensor] = []
        self._in_force: float | Tensor = 0.0  # the rate of the latest update

    def greedy(self, observations: Tensor) -> NDArray[np.int64]:
        """Return the actions of the largest values, (runs, n), of observations (runs, n, ...)."""
        with torch.no_grad():
            found: NDArray[np.int64] = self._q.values(observations).argmax(-1).numpy()
        return found

    def errors(self) -> NDArray[np.float32]:
        """Return the TD errors of the latest batch, (runs, size)."""
        found: NDArray[np.float32] = self._q.errors.reshape(len(self._learners), -1).numpy()
        return found

    def learn(self, block: Block, index: int) -> None:
        """Make one update of all runs, by a batch of a block."""
        step = self.step
        if step in self._begins and any([x.stack.begin_update(step) for x in self._learners]):
            self._copy()
        if self._observer.keeps_before(step):
            for learner in self._learners:
                learner.observer.before_update(step)
        self._losses.append(self._q.gradients_of(block, index))
        self._in_force = rate = self._rate(step)
        reset = self._change.change(step, rate)
        self.step = step + 1
        if reset or self.step % self._every == 0:
            self._copy()
        if self._change.tells:
            for learner in self._learners:
                learner.events += learner.stack.take_events()
        if self._adaptive:
            self._show(step)
        if self._observer.keeps_after(self.step):
            for learner in self._learners:
                learner.observer.after_update(self.step)

    def _show(self, step: int) -> None:
        """Let adaptive schedules see the losses of the update at a step."""
        each = elementwise_loss(torch.from_numpy(self.errors()), self._loss).mean(-1).tolist()
        for learner, shown in zip(self._learners, each, strict=True):
            if isinstance(learner.schedule, AdaptiveSchedule):
                learner.events += learner.schedule.observe(step, [shown])

    def _rate(self, step: int) -> float | Tensor:
        """Return the rate of all runs at a step, or that of each."""
        at = step - self._planned
        if at >= len(self._rates):
            self._planned, at = step, 0
            self._rates = self._change.rates(range(step, min(step + self._ahead, self._total)))
        return self._rates[at]

    @torch.no_grad()
    def _copy(self) -> None:
        """Copy the online weights into the target networks."""
        torch._foreach_copy_(list(self._target.values()), list(self._online.values()))

    def hand_over(self) -> None:
        """Give each learner its losses since the last call, its step and the rate in force."""
        if not self._losses:
            return
        losses, rate = torch.stack(self._losses), self._in_force
        rates = [rate] * len(self._learners) if isinstance(rate, float) else rate.tolist()
        for index, learner in enumerate(self._learners):
            learner.updates.losses.add(losses[:, index].clone())
            learner.updates.step = self.step
            set_rate(learner.optimizer, rates[index])
        self._losses = []
