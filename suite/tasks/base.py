"""The task protocol: target, data, phases and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Protocol

import torch
from pydantic import SerializeAsAny
from torch import Tensor

from suite.agents.base import AgentConfig
from suite.clock import Clock, Duration
from suite.config import Component, one_of
from suite.errors import ConfigError
from suite.interventions.base import Bound, Intervention, InterventionConfig
from suite.losses import CROSS_ENTROPY, Criterion
from suite.models.base import ModelConfig, ModelSpec, check_bytes
from suite.ranges import Range
from suite.registry import Registry
from suite.seeding import Seeds

Batch = tuple[Tensor, Tensor]
"""Inputs (batch, ...) and targets (batch,), or (batch, outputs) where they are vectors."""

Network = Callable[[Tensor], Tensor]
"""Inputs (batch, ...) to outputs, in the precision of the loss."""


class Resources(Protocol):
    """The resources of a run that a task looks at."""

    @property
    def learners(self) -> int:
        """Remote processes that share every batch."""


class Request(Protocol):
    """The parts of a run that its task looks at; `suite.run_config.RunConfig` is one."""

    @property
    def model(self) -> ModelConfig:
        """The network."""

    @property
    def agent(self) -> AgentConfig | None:
        """The agent; None for supervised tasks."""

    @property
    def budget(self) -> Duration | None:
        """The length asked for."""

    @property
    def interventions(self) -> tuple[InterventionConfig, ...]:
        """The interventions."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that are measured."""

    @property
    def resources(self) -> Resources:
        """What the run asks of the machine."""

    def clock(self) -> Clock:
        """Return the lengths of the run."""


class TaskConfig(Component):
    """Base of every task's config.

    Attributes:
        engine: which trainer runs it.
        primary_metric: metric and layer of the rows that score a run; the last row counts.
        primary_unit: unit of the primary metric.
        default_metrics: what is measured unless the config says.
        split_names: of what it is evaluated on.
        smoke: a partial RunConfig that makes a run of this task last a second, for tests.
    """

    engine: ClassVar[Literal["supervised", "rl", "rllib"]] = "supervised"
    primary_metric: ClassVar[tuple[str, str]] = ("accuracy", "test")
    primary_unit: ClassVar[str] = "share"
    default_metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "loss",
        "effective_lr",
        "relative_update",
        "parameter_norm",
    )
    split_names: ClassVar[tuple[str, ...]] = ("train", "test")
    smoke: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse names from before version 0.2, which would be ignored.

        Raises:
            ConfigError: if the class has one.
        """
        super().__init_subclass__(**kwargs)
        for old, new in (("headline", "primary_metric"), ("headline_unit", "primary_unit")):
            if old in vars(cls) or old in vars(cls).get("__annotations__", {}):
                raise ConfigError(
                    f"{cls.__name__}.{old}",
                    vars(cls).get(old),
                    f"the name {new}, since version 0.2",
                )

    @property
    def score(self) -> tuple[str, str]:
        """Metric and layer of the rows that score a run; a config may choose another."""
        return self.primary_metric

    @property
    def score_unit(self) -> str:
        """Unit of the score."""
        return self.primary_unit

    @property
    def ranges(self) -> Mapping[str, Range]:
        """Values that metrics and other rows can have, where they are of this task's own.

        By name; such as returns that an environment bounds, or a loss that may be negative.
        """
        return {}

    @property
    def seed_key(self) -> str:
        """What random draws of this task are keyed by; arms that share it are paired."""
        return self.kind

    @property
    def label(self) -> str:
        """A short name for tables."""
        return self.kind

    @property
    def default_budget(self) -> Duration | None:
        """The length of a run that names none; None if it must name one or its phases say it."""
        return None

    @classmethod
    def for_agent(cls, request: Mapping[str, Any], agent: type[AgentConfig]) -> Mapping[str, Any]:
        """Return a request for a task with what it leaves to the agent filled in.

        Args:
            request: the task as plain data.
            agent: class of the run's agent.

        Raises:
            ConfigError: if that cannot be decided.
        """
        return request

    def spec(self) -> ModelSpec:
        """Return what the task asks of a model, without touching any data."""
        raise NotImplementedError

    def check(self, run: Request) -> None:
        """Check that the parts of a run of this task fit together.

        Raises:
            ConfigError: if they do not.
        """
        if self.engine != "rl" and run.resources.learners:
            wanted = "0: remote learners are for tasks of the reinforcement-learning engine"
            raise ConfigError("resources.learners", run.resources.learners, wanted)

    def check_memory(self, run: Request) -> None:
        """Check early that the memory of a run, apart from its network, is available.

        Raises:
            ConfigError: if it is more than `suite.models.base.MOST_BYTES`.
        """

    def at_phase(self, bound: Bound) -> Intervention | None:
        """Return what the task itself resets where a phase begins; mostly nothing.

        Raises:
            ConfigError: if it finds nothing to act on.
        """
        return None

    def prepare(self) -> None:
        """Make sure, before anything starts, that the data can be had.

        Raises:
            ConfigError: if they cannot.
        """

    def clock_of(self, run: Request) -> Clock:
        """Return the lengths of a run; of most tasks they follow from the budget alone.

        Raises:
            ConfigError: if the task needs a budget and has none, or the reverse.
        """
        return self.clock(run.budget)

    def clock(self, budget: Duration | None) -> Clock:
        """Return the lengths of a run with this budget.

        Raises:
            ConfigError: if the task needs a budget and has none, or the reverse.
        """
        raise NotImplementedError


class SupervisedTaskConfig(TaskConfig):
    """Base of the tasks that the supervised engine runs.

    Attributes:
        own_data_at_once: whether runs with data of their own gain from being trained side by side;
            not where reading the data takes all the time.
        ends_phases: whether a run is measured at the end of each phase as well.
        stream: whether data, inputs or labels change from phase to phase.
    """

    own_data_at_once: ClassVar[bool] = True
    ends_phases: ClassVar[bool] = False
    stream: ClassVar[bool] = False

    @property
    def minibatches(self) -> bool:
        """Whether its runs can be trained side by side on batches of their own.

        Its loss is then the criterion's, and there are the same number of examples in the batches
        of all runs of one config.
        """
        return False

    @property
    def whole_batch(self) -> bool:
        """Whether every update sees the same batch, all of the training set."""
        return False

    def drawn_spec(self, seeds: Seeds) -> ModelSpec:
        """Return what the task asks of a model, with what depends on the seeds of a run."""
        return self.spec()

    def examples(self, clock: Clock) -> list[int]:
        """Return the number of examples in an update of each phase."""
        raise NotImplementedError

    def ready_bytes(self) -> int:
        """Return the size in float32 of inputs that each run keeps for itself, at most."""
        return 0

    def check_memory(self, run: Request) -> None:
        """Check that the data, or a batch of them, can be held.

        Raises:
            ConfigError: if they are more than `suite.models.base.MOST_BYTES`.
        """
        spec = self.spec()
        listed = sum(getattr(self, key, 0) for key in ("points", "test_points"))
        most = max(listed, spec.inputs.distinct, *self.examples(run.clock()))
        check_bytes(
            "task", 4 * most * (prod(spec.inputs.shape) + spec.outputs), f"{most:,} examples"
        )

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return the task with its data on `device`."""
        raise NotImplementedError


class SupervisedTask(ABC):
    """A supervised problem with its data on one device.

    Attributes:
        probe: inputs, fixed for the whole run, on which features are measured.
        source: where the data come from, where that matters to what results mean.
        criterion: what is minimised, and what counts as right.
    """

    probe: Tensor
    criterion: Criterion = CROSS_ENTROPY
    source: str = "generated"

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """Return the batch of gradient step `step`, a function of the step and the seeds alone."""

    @abstractmethod
    def splits(self, step: int) -> Mapping[str, Batch]:
        """Return the data to evaluate on after `step` updates, by split.

        The split of the task's score is one of them, if it is scored by one.
        """

    def batches(self, step: int, most: int) -> Batch:
        """Return the batches of k updates in a row: inputs and targets, (k, batch, ...).

        Args:
            step: the first of the updates.
            most: largest k, at least 1; no later phase may begin before the last of so many.
        """
        inputs, targets = self.batch(step)
        return inputs.unsqueeze(0), targets.unsqueeze(0)

    def account(self, right: Tensor, batch: Batch, loss: Tensor) -> None:  # noqa: B027
        """Hear of updates that were made side by side with other runs'; see `loss`.

        Args:
            right: shares of their batches that were right before them, (k,), on the device.
            batch: the last one.
            loss: before its update, a scalar.
        """

    def loss(self, model: Network, batch: Batch) -> Tensor:
        """Return the scalar training loss of a batch: the criterion's unless overridden."""
        inputs, targets = batch
        return self.criterion.loss(model(inputs), targets)

    def begin_phase(self) -> None:  # noqa: B027 - nothing by default
        """Hear that the next update is the first of a phase."""

    def next_step(self, step: int) -> int:
        """Return the gradient step to go on at; a later one ends a phase before its time."""
        return step

    def state_dict(self) -> dict[str, Any]:
        """Return what a task that keeps account of its updates has counted; mostly nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - nothing by default
        """Continue from `state_dict`."""


TASKS: Registry[type[TaskConfig]] = Registry("task", "suite.tasks")

AnyTask = Annotated[SerializeAsAny[TaskConfig], one_of(TASKS)]
"""A field that holds any registered task."""


def epoch_order(seeds: Seeds, stream: str, epoch: int, size: int) -> Tensor:
    """Return the order of `size` examples in one epoch: a function of the seeds, with no state.

    Shape (size,), on the CPU.
    """
    return torch.randperm(size, generator=seeds.torch(f"{stream}/{epoch}"))
