"""Gradient descent on minibatches by many runs at once: streams with small networks.

An update of a small network takes as long as Python and PyTorch need to start its operations, so
ten runs of one shape are trained by the same operations on stacked tensors::

    inputs, targets                      of all runs, each in the order of its own seed
    outputs, losses, gradients           by batched products (`suite.models.chain`)
    interventions and optimizer          of all at once where that is right (`JoinedUpdate`)

What begins a phase, and all that is measured or saved, is done run by run.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import torch

from suite.models.base import ModelConfig, ModelSpec, dry_model
from suite.models.chain import Chain, chain_layers
from suite.run_config import RunConfig
from suite.schedules.base import AdaptiveSchedule
from suite.tasks.base import SupervisedTask, SupervisedTaskConfig
from suite.training.joined_update import JoinedUpdate, joins, without_rates
from suite.training.joint import Joint
from suite.training.supervised import SupervisedRun

BLOCK = 2**20
"""Numbers in the inputs of all runs that are gathered at once, for as many updates as they make."""

MOST_PARAMETERS = 2**18
"""Largest size of a network that gains from being trained side by side with others.

An MLP on MNIST, ten at once on a core with AVX-512, makes twice as many updates per second or more
at width 100, 1.5 times as many at width 256, where the optimizer's state has left the cache, and
hardly more at width 512.
"""


@lru_cache(maxsize=256)
def small_chain(model: ModelConfig, spec: ModelSpec) -> bool:
    """Return whether a network is a small `Chain`."""
    network = dry_model(model, spec)
    small = sum(p.numel() for p in network.parameters()) <= MOST_PARAMETERS
    return small and chain_layers(network) is not None


def minibatch_key(config: RunConfig) -> Hashable | None:
    """Return what runs must share for `Minibatches`: all but seed, rate and schedule.

    None if this one cannot be of any.
    """
    task = config.task
    if (
        not isinstance(task, SupervisedTaskConfig)
        or not task.minibatches
        or not joins(config)
        or isinstance(config.build_schedule(), AdaptiveSchedule)
        or not small_chain(config.model, config.model_spec())
    ):
        return None
    return ("minibatches", without_rates(config))


class Minibatches(Joint):
    """Runs of equal `minibatch_key`.

    Args:
        runs: at the same step.
    """

    def __init__(self, runs: Sequence[SupervisedRun]) -> None:
        super().__init__(runs)
        layers = chain_layers(runs[0].model)
        assert layers is not None, "minibatch_key lets no others through"
        self.chain = Chain(layers, self.parameters)
        self.change = JoinedUpdate(
            [run.config for run in runs],
            [run.updates for run in runs],
            [run.model for run in runs],
            self.parameters,
            self.chain.gradients,
        )
        self.tells = self.change.tells
        self._accounts = type(runs[0].task).account is not SupervisedTask.account
        self._right = self._losses
        self._rates: list[float] | torch.Tensor = []
        self._start = self._stop = 0
        self._most = 1  # updates whose batches are gathered at once
        self._block = self._until = 0  # the updates whose batches are there, from and to before
        self.criterion = runs[0].task.criterion
        self.inputs = self.targets = self._like  # (runs, updates, batch, ...)

    def begin_phase(self, step: int) -> None:
        """Let the interventions of each run act where a phase begins."""
        for run in self.runs:
            run.stack.begin_update(step)

    def plan(self, start: int, stop: int) -> None:
        """Work out the rates of the steps from `start` to before `stop`."""
        super().plan(start, stop)
        self._start, self._stop = start, stop
        self._block = self._until = 0
        self._right = torch.empty_like(self._losses)
        self._rates = self.change.rates(range(start, stop))

    def _gather(self) -> None:
        """Put together the batches of the next updates."""
        start = self._start + self._at
        most = min(self._most, self._stop - start)
        inputs, targets = zip(*(run.task.batches(start, most) for run in self.runs), strict=True)
        made = min(map(len, targets))  # epochs may end at different steps
        self.inputs = torch.stack([of_run[:made] for of_run in inputs])
        self.targets = torch.stack([of_run[:made] for of_run in targets])
        self._block, self._until = self._at, self._at + made
        self._most = max(1, BLOCK * made // self.inputs.numel())
        criteria = [run.task.criterion for run in self.runs]
        self.criterion = criteria[0].joined(criteria)

    @torch.no_grad()
    def update(self) -> None:
        """Make one update of all runs."""
        at = self._at
        if at == self._until:
            self._gather()
        inputs, targets = (of[:, at - self._block] for of in (self.inputs, self.targets))
        outputs, context = self.chain.forward(self.parameters, inputs)
        losses, slopes = self.criterion.output_gradients(outputs, targets)
        self._losses[at] = losses
        if self._accounts:
            self._right[at] = self.criterion.correct(outputs, targets)
        self.chain.backward(self.parameters, inputs, slopes, context)
        self.change.change(self._start + at, self._rates[at])
        self._at = at + 1

    def hand_over(self) -> None:
        """Give each run what its updates since the last call have shown."""
        if self._accounts and self._at > self._handed:
            last, right = self._at - 1, self._right[self._handed : self._at]
            for index, run in enumerate(self.runs):
                place = (index, last - self._block)
                batch = (self.inputs[place].clone(), self.targets[place].clone())
                run.task.account(right[:, index], batch, self._losses[last, index].clone())
        super().hand_over()
