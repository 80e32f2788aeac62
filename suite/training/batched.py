"""Many supervised runs at once: full-batch gradient descent with an axis of runs.

Runs whose model has a closed form (`suite.models.batched`) and whose training is plain gradient
descent on the whole training set are trained side by side::

    outputs, output_gradients            of all runs, in closed form
    w <- (1 - rate decay) w - rate gradient        rate and decay of each run

In everything else each of them stays a separate `SupervisedRun`: its parameters are a slice of the
stacked tensors, so that it has its own metrics, rows, checkpoints and failures. The numbers agree
with a run alone up to rounding.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from suite.errors import DivergedError
from suite.interventions.weight_decay import WeightDecayConfig
from suite.metrics.base import METRICS
from suite.optimizers import SgdConfig, set_rate
from suite.params import ParamRole
from suite.run_config import RunConfig
from suite.schedules.base import AdaptiveSchedule
from suite.tasks.base import SupervisedTaskConfig
from suite.training.cuda_graph import Replayed
from suite.training.session import Session
from suite.training.supervised import CHECK_EVERY, SupervisedRun, keep_freed_memory, precision

SIDE_BY_SIDE = 16
"""Largest number of runs that are trained at once in one trial."""

CHUNK = 1_000
"""Gradient steps for which rates are computed at once."""


def batch_key(config: RunConfig) -> Hashable | None:
    """Return what runs must share to be trained at once; None if this one is trained alone."""
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
        or any(METRICS[name].shared for name in config.metric_names)
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


def parted_by(config: RunConfig) -> list[str]:
    """Return the metrics that force a run to be trained alone, although its task allows many.

    Functions of a plugin may keep things in their module, which runs of one process would share.
    """
    if not isinstance(config.task, SupervisedTaskConfig) or not config.task.whole_batch:
        return []
    return [name for name in config.metric_names if METRICS[name].shared]


def decay(config: RunConfig, role: ParamRole) -> float:
    """Return the coefficient of a run's weight decay on a role, 0 without."""
    decays = (i for i in config.interventions if isinstance(i, WeightDecayConfig))
    return sum(i.coefficient for i in decays if role in i.roles)


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
        descent = Descent(runs)
        for run, index in zip(runs, members, strict=True):
            run.enter_phase(sessions[index])
        observer = runs[0].observer  # they all measure at the same steps
        while runs[0].step < until:
            stop = min(until, runs[0].step + CHUNK)
            descent.plan(runs[0].step, stop)
            while runs[0].step < stop:
                step = runs[0].step
                if observer.keeps_before(step):
                    for run in runs:
                        run.observer.before_update(step)
                descent.update()
                for run in runs:
                    run.step = step + 1
                if observer.keeps_after(step + 1):
                    for run in runs:
                        run.observer.after_update(step + 1)
                if observer.due(step + 1) or (step + 1) % CHECK_EVERY == 0:
                    descent.hand_over()
                    failed = self._look(members, sessions)
                    if failed or any(run.done for run in runs):
                        return failed
        descent.hand_over()
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


class Descent:
    """The parameters of several runs as one tensor each, and the update of all of them.

    Args:
        runs: at the same step.
    """

    def __init__(self, runs: Sequence[SupervisedRun]) -> None:
        self.runs = runs
        named = [dict(run.model.named_parameters()) for run in runs]
        self.parameters = {
            name: torch.stack([of_run[name].detach() for of_run in named]) for name in named[0]
        }
        for index, of_run in enumerate(named):
            for name, parameter in of_run.items():
                parameter.data = self.parameters[name][index]
        batches = [run.task.batch(run.step) for run in runs]
        self.inputs, self.targets = (stacked(tensors) for tensors in zip(*batches, strict=True))
        configs = [run.config.model for run in runs]
        like = next(iter(self.parameters.values()))
        closed = type(configs[0]).batched(configs, like)
        assert closed is not None, "batch_key lets no others through"
        self.closed = closed
        self.criterion = runs[0].task.criterion
        roles = runs[0].observer.roles
        self._trained = list(roles)
        self._decays = like.new_tensor(
            [[decay(run.config, role) for run in runs] for role in roles.values()]
        )
        self._rates = self._losses = like.new_empty(0, len(runs))
        self._keeps = like.new_empty(0, *self._decays.shape)
        # What an update reads and writes besides parameters.
        self._rate, self._loss = (like.new_empty(len(runs)) for _ in range(2))
        self._keep = torch.empty_like(self._decays)
        self._update = Replayed(self._descend, like.device)
        self._at = self._handed = 0

    def plan(self, start: int, stop: int) -> None:
        """Work out the rates of the steps from `start` to before `stop`."""
        self.hand_over()
        rates = [[run.updates.rate(step) for run in self.runs] for step in range(start, stop)]
        self._rates = self._rates.new_tensor(rates)
        self._keeps = 1 - self._rates.unsqueeze(1) * self._decays
        self._losses = torch.empty_like(self._rates)
        self._at = self._handed = 0

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

    def hand_over(self) -> None:
        """Give each run its losses since the last call, and its optimizer the rate in force."""
        if self._at == self._handed:
            return
        fresh = self._losses[self._handed : self._at]
        for index, run in enumerate(self.runs):
            run.losses.add(fresh[:, index].clone())
            set_rate(run.optimizer, run.updates.rate(run.step - 1))
        self._handed = self._at


def chunks(configs: Sequence[RunConfig], slots: int) -> list[list[RunConfig]]:
    """Return the runs in groups that are trained at once, order kept.

    Args:
        configs: the runs.
        slots: how many groups there should be work for, side by side.
    """
    largest = min(SIDE_BY_SIDE, -(-len(configs) // slots))
    by_key: dict[Hashable, list[RunConfig]] = {}
    groups: list[list[RunConfig]] = []
    for config in configs:
        key = batch_key(config)
        if key is None:
            groups.append([config])
        else:
            by_key.setdefault(key, []).append(config)
    for alike in by_key.values():
        groups += [alike[i : i + largest] for i in range(0, len(alike), largest)]
    return groups


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of runs as one, (runs, ...), or (1, ...) if they are all equal."""
    alike = all(torch.equal(tensors[0], other) for other in tensors[1:])
    return tensors[0].unsqueeze(0) if alike else torch.stack(list(tensors))
