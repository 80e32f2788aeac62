"""Runs that are trained side by side: their parameters as one tensor each, and what they share.

Each of the runs stays a `SupervisedRun`: its parameters are slices of the stacked tensors, so that
it has its own metrics, rows, checkpoints and failures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from suite.config import components
from suite.metrics.base import METRICS
from suite.optimizers import set_rate
from suite.registry import within
from suite.run_config import RunConfig
from suite.training.supervised import SupervisedRun


def held_apart(config: RunConfig) -> list[str]:
    """Return the names of parts that are not the suite's own, and of metrics without state.

    What they keep in their module, runs of one process would share. They allow it by
    ``side_by_side: ClassVar[bool] = True``; a metric with state is made for each run.
    """
    metrics = [name for name in config.metric_names if METRICS[name].shared]
    parts = components([config.task, config.model, config.schedule, config.agent])
    strange = [part for part in parts if not within(type(part).__module__, "suite")]
    return metrics + [part.kind for part in strange if not getattr(part, "side_by_side", False)]


def stack_parameters(networks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the parameters of networks of one shape by name, (networks, ...).

    Those of each network become slices of them.
    """
    named = [dict(network.named_parameters()) for network in networks]
    stacks = {name: torch.stack([own[name].detach() for own in named]) for name in named[0]}
    for index, own in enumerate(named):
        for name, parameter in own.items():
            parameter.data = stacks[name][index]
    return stacks


class Joint(ABC):
    """The parameters of several runs, and the update of all of them.

    Args:
        runs: at the same step.

    Attributes:
        parameters: by the names that they have in each network, (runs, ...).
        tells: whether an update may leave events with the runs' interventions.
    """

    tells: bool = False

    def __init__(self, runs: Sequence[SupervisedRun]) -> None:
        self.runs = runs
        self.parameters = stack_parameters([run.model for run in runs])
        self._like = next(iter(self.parameters.values()))
        self._losses = self._like.new_empty(0, len(runs))
        self._at = self._handed = 0  # updates since the last plan: made, and told the runs of

    def begin_phase(self, step: int) -> None:  # noqa: B027 - nothing by default
        """Do what comes before the first update of a phase."""

    def plan(self, start: int, stop: int) -> None:
        """Prepare the updates from `start` to before `stop`, which belong to one phase."""
        self.hand_over()
        self._losses = self._like.new_empty(stop - start, len(self.runs))
        self._at = self._handed = 0

    @abstractmethod
    def update(self) -> None:
        """Make one update of all runs."""

    def hand_over(self) -> None:
        """Give each run its losses since the last call, and its optimizer the rate in force."""
        if self._at == self._handed:
            return
        fresh = self._losses[self._handed : self._at]
        for index, run in enumerate(self.runs):
            run.losses.add(fresh[:, index].clone())
            set_rate(run.optimizer, run.updates.rate(run.step - 1))
        self._handed = self._at
