"""RunConfig: the complete request for one run, and its id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from torch import nn

from suite.agents.base import AGENTS, AnyAgent
from suite.clock import LONGEST, Clock, Duration
from suite.config import CLOSE, OWN_PARTS, RESULT_VERSION, Config
from suite.errors import ConfigError, nearest
from suite.interventions.base import (
    AnyIntervention,
    Bound,
    InterventionConfig,
    InterventionStack,
)
from suite.metrics.base import METRICS
from suite.models.base import AnyModel, ModelConfig, ModelSpec, dry_model
from suite.optimizers import AdamConfig, AnyOptimizer
from suite.ranges import Range
from suite.schedules.base import AnySchedule, Schedule
from suite.schedules.constant import ConstantConfig
from suite.seeding import Seeds
from suite.tasks.base import TASKS, AnyTask, TaskConfig


class MetricsConfig(Config):
    """What is measured, and when.

    Attributes:
        names: registered metrics; the task's own choice by default.
        every: gradient steps between measurements, by default a hundredth of the run.
        spacing: ``linear``, or ``log``: evenly on a log axis, 100 of them, or ten where `every` is
            a tenth of the run; fewer where they would coincide.
        interval: gradient steps over which changes of features are taken; `every` by default.
    """

    names: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    every: Duration = Duration(fraction=0.01)
    spacing: Literal["linear", "log"] = "linear"
    interval: Duration | None = None

    @model_validator(mode="after")
    def _names_exist(self) -> MetricsConfig:
        known = METRICS.entries()
        for index, name in enumerate(self.names or ()):
            if name not in known:
                wanted = f"{nearest(name, known, cutoff=CLOSE)}; {OWN_PARTS}"
                raise ConfigError(f"names[{index}]", name, wanted)
        return self


MOST_UNITS = 10_000
"""Cores, GPUs, threads or remote learners of a run."""


class ResourcesConfig(Config):
    """What one trial asks of the machine; where a run happens is no part of its id.

    Attributes:
        cpus: cores of the trial's own process.
        gpus: of the process that learns, or of each of `learners`; a fraction of one, or whole.
        threads: of torch, in the trial's own process.
        learners: remote processes that share every batch of an RL run; 0 learns in the trial's own.
    """

    cpus: Annotated[float, Field(gt=0, le=MOST_UNITS)] = 1.0
    gpus: Annotated[float, Field(ge=0, le=MOST_UNITS)] = 0.0
    threads: Annotated[int, Field(ge=1, le=MOST_UNITS)] = 1
    learners: Annotated[int, Field(ge=0, le=MOST_UNITS)] = 0

    @field_validator("gpus")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        """Ray hands out parts of one GPU, or whole ones.

        Raises:
            ConfigError: for anything else.
        """
        if value > 1 and value % 1:
            raise ConfigError("", value, "0, a fraction below 1, or a whole number")
        return value


class StopConfig(Config):
    """The end of a supervised run before its budget is spent: when a measurement says enough.

    Attributes:
        metric: name of the rows that decide.
        layer: of these rows.
        above: end once they are at least this.
        below: end once they are at most this.
        hold: measurements in a row that must say so.
    """

    metric: str
    layer: str = "test"
    above: float | None = None
    below: float | None = None
    hold: Annotated[int, Field(ge=1)] = 3

    @model_validator(mode="after")
    def _one_side(self) -> StopConfig:
        if (self.above is None) == (self.below is None):
            raise ConfigError("", self.model_dump(), "either 'above' or 'below'")
        return self

    def met(self, value: float) -> bool:
        """Return whether a value says so."""
        if self.above is not None:
            return value >= self.above
        assert self.below is not None
        return value <= self.below


SUPERVISED = {"precision": "float32", "stop": None}
"""Keys of supervised runs alone, and the values that others have."""


@lru_cache(maxsize=1024)
def _dry_bind(
    model: ModelConfig,
    spec: ModelSpec,
    interventions: tuple[InterventionConfig, ...],
    clock: Clock,
    task: TaskConfig,
) -> None:
    """Build the network without memory, and bind to it interventions and the task's resets."""
    bound = Bound.of(dry_model(model, spec), clock)
    InterventionStack(interventions, bound)
    task.at_phase(bound)


@lru_cache(maxsize=64)
def _dry_network(model: ModelConfig, spec: ModelSpec) -> nn.Module:
    """Return a network without memory, to be looked at only."""
    return dry_model(model, spec)


class RunConfig(Config):
    """Everything that decides what one run computes.

    Attributes:
        task: what is learnt.
        model: the network.
        optimizer: optimizer and base rate.
        schedule: multiplier of the base rate, in gradient steps.
        interventions: what else acts on training; order in the list does not matter.
        metrics: what is measured.
        agent: how a policy is learnt; for tasks of the RL engine only.
        seed: the repetition; draws are keyed by (task, repetition, stream).
        budget: length of the run; without one the task's own, or its phases say it.
        resources: what a trial asks of the machine.
        precision: of parameters and data of a supervised run. ``bfloat16`` is that of the forward
            and backward passes alone (autocast); parameters, loss, optimizer, projection and
            measurements are in float32.
        stop: what ends a supervised run early.
    """

    task: AnyTask
    model: AnyModel
    optimizer: AnyOptimizer = AdamConfig()
    schedule: AnySchedule = ConstantConfig()
    interventions: Annotated[tuple[AnyIntervention, ...], Field(strict=False)] = ()
    metrics: MetricsConfig = MetricsConfig()
    agent: AnyAgent | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    budget: Duration | None = None
    resources: ResourcesConfig = ResourcesConfig()
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    stop: StopConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_the_agent_goes(cls, data: Any) -> Any:
        """Let the task fill in what depends on the agent.

        Raises:
            ConfigError: if that cannot be decided.
        """
        if not isinstance(data, Mapping):
            return data
        task, agent = data.get("task"), data.get("agent")
        kind = task.get("kind") if isinstance(task, Mapping) else None
        name = agent.get("kind") if isinstance(agent, Mapping) else getattr(agent, "kind", agent)
        known = isinstance(name, str) and name in AGENTS.entries()
        if not (known and isinstance(kind, str) and kind in TASKS.entries()):
            return data  # what is wrong is said where it is read
        assert isinstance(task, Mapping)
        try:
            return {**data, "task": TASKS[kind].for_agent(task, AGENTS[name])}
        except ConfigError as error:
            raise ConfigError(f"task.{error.key}", error.value, error.expected) from None

    @field_validator("budget")
    @classmethod
    def _task_s_own(cls, value: Duration | None, info: ValidationInfo) -> Duration | None:
        task = info.data.get("task")
        return task.default_budget if value is None and task is not None else value

    @model_validator(mode="after")
    def _agent_fits(self) -> RunConfig:
        engine = "supervised" if self.agent is None else self.agent.engine
        if self.task.engine != engine:
            known = [k for k, agent in AGENTS.entries().items() if agent.engine == self.task.engine]
            wanted = f"an agent: {', '.join(known)}" if known else "no agent for this task"
            raise ConfigError("agent", self.agent and self.agent.kind, wanted)
        return self

    @cached_property
    def run_id(self) -> str:
        """Short hash of the canonical JSON (without resources) and the engine's result version."""
        text = self.model_copy(update={"resources": ResourcesConfig()}).canonical()
        version = RESULT_VERSION[self.task.engine]
        return hashlib.sha256(f"{version}:{text}".encode()).hexdigest()[:12]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some values changed, which has an id of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("run_id", None)
        return copy

    @property
    def seeds(self) -> Seeds:
        """The run's seed streams."""
        return Seeds(self.task.seed_key, self.seed)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that are measured."""
        names = self.metrics.names
        return self.task.default_metrics if names is None else names

    @property
    def ranges(self) -> dict[str, Range]:
        """Values that the run's metrics can have, and rows of the task's own, by name."""
        return {name: METRICS[name].range for name in self.metric_names} | dict(self.task.ranges)

    def check(self) -> None:
        """Check that the parts fit together, without data or memory for the network.

        Raises:
            ConfigError: for the first thing that does not.
        """
        self.task.check(self)
        self.task.check_memory(self)
        self.build_schedule()
        for key, usual in SUPERVISED.items():
            if self.agent is not None and getattr(self, key) != usual:
                raise ConfigError(key, getattr(self, key), "no such key for this task")
        if self.precision == "bfloat16" and "sample_plasticity" in self.metric_names:
            wanted = (
                "float32 or float64: sample_plasticity compares training losses with measured ones"
            )
            raise ConfigError("precision", self.precision, wanted)
        if self.stop is not None:
            self._check_stop(self.stop)
        for key in ("every", "interval"):
            if (length := getattr(self.metrics, key)) is not None:
                steps = self.clock().steps(length, f"metrics.{key}")
                if not (steps or length.fraction) or steps > self.clock().total:
                    wanted = f"from 1 to the run's {self.clock().total} gradient steps"
                    raise ConfigError(f"metrics.{key}", length.model_dump(), wanted)
        possible = self.skip_reason() is None
        interventions = self.interventions if possible else ()
        if len(set(self.interventions)) < len(self.interventions):
            kinds = [intervention.kind for intervention in self.interventions]
            raise ConfigError("interventions", kinds, "each intervention once")
        _dry_bind(self.model, self.model_spec(), interventions, self.clock(), self.task)
        self.optimizer.groups(_dry_network(self.model, self.model_spec()))

    def _check_stop(self, stop: StopConfig) -> None:
        """Check that the rows that end the run are measured, as far as that can be told here.

        Raises:
            ConfigError: if they are not.
        """
        if stop.metric not in self.metric_names:
            wanted = f"a metric that is measured: {nearest(stop.metric, self.metric_names)}"
            raise ConfigError("stop.metric", stop.metric, wanted)
        splits = self.task.split_names
        if METRICS[stop.metric].needs == {"predictions"} and stop.layer not in splits:
            wanted = f"a split of this task: {nearest(stop.layer, splits)}"
            raise ConfigError("stop.layer", stop.layer, wanted)

    def model_spec(self) -> ModelSpec:
        """Return what task and agent ask of the network, without touching any data."""
        spec = self.task.spec()
        return spec if self.agent is None else replace(spec, head=self.agent.head)

    def clock(self) -> Clock:
        """Return the lengths of the run.

        Raises:
            ConfigError: if budget and task do not fit.
        """
        if self.budget is not None and self.budget.fraction is not None:
            raise ConfigError(
                "budget", {"fraction": self.budget.fraction}, "a length, not a fraction of itself"
            )
        clock = self.task.clock_of(self)
        if clock.total < 1:
            given = None if self.budget is None else self.budget.model_dump()
            raise ConfigError("budget", given, "at least one gradient step")
        if clock.total > LONGEST:
            raise ConfigError("budget", f"{clock.total:.3g} gradient steps", f"at most {LONGEST:,}")
        return clock

    def build_schedule(self) -> Schedule:
        """Return the schedule in gradient steps.

        Raises:
            ConfigError: if its lengths contradict one another or the task lacks a unit.
        """
        try:
            return self.schedule.build(self.clock())
        except ConfigError as error:
            key = f"schedule.{error.key}" if error.key else "schedule"
            if error.key.startswith(("budget", "task")):
                key = error.key
            raise ConfigError(key, error.value, error.expected) from None
        except ValueError as error:
            raise ConfigError(
                "schedule", self.schedule.model_dump(mode="json"), str(error)
            ) from None

    def skip_reason(self) -> str | None:
        """Return why this combination is impossible, or None."""
        has_norm_layers = getattr(self.model, "norm", "none") != "none"
        reasons = (i.skip_reason(has_norm_layers) for i in self.interventions)
        return next((reason for reason in reasons if reason), None)
