"""Gradient descent on the whole training set by many runs at once.

Runs whose model has a closed form (`suite.models.batched`) and whose training is plain gradient
descent on the whole training set are trained side by side::

    outputs, output_gradients            of all runs, in closed form
    w <- (1 - rate decay) w - rate gradient        rate and decay of each run
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from suite.interventions.weight_decay import WeightDecayConfig
from suite.optimizers import SgdConfig
from suite.params import ParamRole
from suite.run_config import RunConfig
from suite.schedules.base import AdaptiveSchedule
from suite.tasks.base import SupervisedTaskConfig
from suite.training.cuda_graph import Replayed
from suite.training.joint import Joint
from suite.training.supervised import SupervisedRun


def full_batch_key(config: RunConfig) -> Hashable | None:
    """Return what runs must share for a `Descent`; None if this one cannot be of any."""
    task, optimizer = config.task, config.optimizer
    decays = [i for i in config.interventions if isinstance(i, WeightDecayConfig)]
    if (
        not isinstance(task, SupervisedTaskConfig)
        or not task.whole_batch
        or not isinstance(optimizer, SgdConfig)
        or optimizer.momentum
        or optimizer.rate_by_role
        or len(decays) < len(config.interventions)
        or len(decays) > 1
        or isinstance(config.build_schedule(), AdaptiveSchedule)
        or type(config.model).batched([config.model], torch.empty(0)) is None
    ):
        return None
    return (
        task.kind,
        task.spec(),
        None if task.own_data_at_once else (config.seed, task.canonical()),
        tuple(task.examples(config.clock())),
        json.dumps(config.model.shape(), sort_keys=True),
        config.clock().total,
        config.precision,
        config.metrics.canonical(),
        config.resources.canonical(),
    )


def decay(config: RunConfig, role: ParamRole) -> float:
    """Return the coefficient of a run's weight decay on a role, 0 without."""
    decays = (i for i in config.interventions if isinstance(i, WeightDecayConfig))
    return sum(i.coefficient for i in decays if role in i.roles)


class Descent(Joint):
    """Runs of equal `full_batch_key`.

    Args:
        runs: at the same step.
    """

    def __init__(self, runs: Sequence[SupervisedRun]) -> None:
        super().__init__(runs)
        batches = [run.task.batch(run.step) for run in runs]
        self.inputs, self.targets = (stacked(tensors) for tensors in zip(*batches, strict=True))
        configs = [run.config.model for run in runs]
        like = self._like
        closed = type(configs[0]).batched(configs, like)
        assert closed is not None, "full_batch_key lets no others through"
        self.closed = closed
        self.criterion = runs[0].task.criterion
        roles = runs[0].observer.roles
        self._trained = list(roles)
        self._decays = like.new_tensor(
            [[decay(run.config, role) for run in runs] for role in roles.values()]
        )
        self._rates = like.new_empty(0, len(runs))
        self._keeps = like.new_empty(0, *self._decays.shape)
        # What an update reads and writes besides parameters.
        self._rate, self._loss = (like.new_empty(len(runs)) for _ in range(2))
        self._keep = torch.empty_like(self._decays)
        self._update = Replayed(self._descend, like.device)

    def plan(self, start: int, stop: int) -> None:
        """Work out the rates of the steps from `start` to before `stop`."""
        super().plan(start, stop)
        rates = [[run.updates.rate(step) for run in self.runs] for step in range(start, stop)]
        self._rates = self._rates.new_tensor(rates)
        self._keeps = 1 - self._rates.unsqueeze(1) * self._decays

    def update(self) -> None:
        """Make one update of all runs."""
        self._rate.copy_(self._rates[self._at])
        self._keep.copy_(self._keeps[self._at])
        self._update()
        self._losses[self._at] = self._loss
        self._at += 1

    def _descend(self) -> None:
        """Change the parameters in place, by the rates and the shares to keep that are in force."""
        outputs, context = self.closed.forward(self.parameters, self.inputs)
        losses, output_gradients = self.criterion.output_gradients(outputs, self.targets)
        gradients = self.closed.backward(self.parameters, self.inputs, output_gradients, context)
        self._loss.copy_(losses)
        for name, keep in zip(self._trained, self._keep, strict=True):
            parameter = self.parameters[name]
            shape = (-1, *[1] * (parameter.ndim - 1))
            rate = self._rate.view(shape)
            parameter.mul_(keep.view(shape)).addcmul_(gradients[name], rate, value=-1.0)


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of runs as one, (runs, ...), or (1, ...) if they are all equal."""
    alike = all(torch.equal(tensors[0], other) for other in tensors[1:])
    return tensors[0].unsqueeze(0) if alike else torch.stack(list(tensors))
