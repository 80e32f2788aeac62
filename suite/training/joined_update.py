"""How the gradients of runs side by side change their parameters: all at once where that is right.

The interventions act in their joined forms, or run by run, what is done now and then. There is one
step of an optimizer for all runs, or, where rates differ, one for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from suite.interventions.base import InterventionStack
from suite.interventions.joined import Rate, Stacks
from suite.norms import clip_norms_
from suite.optimizers import AdamConfig, SgdConfig, set_rate, step_of
from suite.run_config import RunConfig
from suite.schedules.base import AdaptiveSchedule
from suite.schedules.constant import ConstantConfig
from suite.training.joined_optimizer import JoinedOptimizer, part
from suite.training.update import Update


def joins(config: RunConfig) -> bool:
    """Return whether optimizer and interventions of a run allow a `JoinedUpdate`."""
    known = type(config.optimizer) in (AdamConfig, SgdConfig)
    return known and all(intervention.side_by_side for intervention in config.interventions)


def without_rates(config: RunConfig) -> object:
    """Return what runs must share to be joined: all but seed, rate and schedule."""
    shared = {
        "seed": 0,
        "optimizer": config.optimizer.model_copy(update={"lr": 1.0}),
        "schedule": ConstantConfig(),
    }
    return config.model_copy(update=shared).canonical()


class JoinedUpdate:
    """What comes after the gradients, for all runs.

    Args:
        configs: of the runs, alike but for seeds, rates and schedules.
        updates: of the runs, all at one step.
        networks: that are trained, their parameters slices of `parameters`.
        parameters: of the runs by name, (runs, ...).
        gradients: of the losses by name, (runs, ...).
        clip: largest norm of all gradients of a run together, or None.

    Attributes:
        tells: whether an update may leave events with the runs' interventions.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        updates: Sequence[Update],
        networks: Sequence[nn.Module],
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        clip: float | None = None,
    ) -> None:
        self._clip, self._gradients = clip, list(gradients.values())
        stacks = Stacks(parameters, gradients)
        self._updates = updates
        self._stack = InterventionStack.join([update.stack for update in updates], stacks)
        self.tells = self._stack.tells
        rates = {(c.optimizer.canonical(), c.schedule.canonical()) for c in configs}
        optimizers = [update.optimizer for update in updates]
        self._optimizer: JoinedOptimizer | None = None
        self._steps = [step_of(optimizer) for optimizer in optimizers]
        # Schedules that see the losses differ between runs, whatever their configs.
        adaptive = any(isinstance(update.schedule, AdaptiveSchedule) for update in updates)
        if len(rates) == 1 and not adaptive:
            self._optimizer = JoinedOptimizer(optimizers, parameters, gradients)
            return
        part(optimizers)
        for index, network in enumerate(networks):
            for name, parameter in network.named_parameters():
                parameter.grad = gradients[name][index]

    def rates(self, steps: range) -> list[float] | Tensor:
        """Return the rate at each step: of all runs, or of each, (steps, runs) float64."""
        if self._optimizer is not None:
            return [self._updates[0].rate(step) for step in steps]
        rates = [[update.rate(step) for update in self._updates] for step in steps]
        return torch.tensor(rates, dtype=torch.float64)

    def change(self, step: int, rate: Rate) -> bool:
        """Change the parameters by their gradients, at a rate of `rates`.

        Returns:
            Whether networks were reset, so that copies of them have to be made again.
        """
        for intervention in self._stack.adds_loss:
            intervention.add_gradients()
        if self._clip is not None:
            clip_norms_(self._gradients, self._clip)
        for intervention in self._stack.before:
            intervention.before_step(step, rate)
        if self._optimizer is not None:
            assert isinstance(rate, float)
            self._optimizer.step(rate)
        else:
            assert isinstance(rate, Tensor)
            for update, own, make in zip(self._updates, rate.tolist(), self._steps, strict=True):
                set_rate(update.optimizer, own)
                make()
        reset = False
        for intervention in self._stack.after:
            reset = bool(intervention.after_step(step, rate)) or reset
        return reset
