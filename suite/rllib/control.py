"""What controls the updates of an RLModule: a schedule, and a stack per optimizer.

An update, of one minibatch::

    gradients of the algorithm's loss, plus those of the stack's extra loss     add_gradients
    clipping, by RLlib
    rate <- base * schedule(step); stack.before_step                            begin
    optimizer.step, by RLlib
    stack.after_step, projection last; an adaptive schedule sees the loss       end

Nothing here knows Ray.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from fractions import Fraction
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from suite.clock import LONGEST, Clock
from suite.config import Config
from suite.errors import ConfigError, DivergedError
from suite.interventions.base import AnyIntervention, Bound, InterventionConfig, InterventionStack
from suite.metrics.base import check_of_parameters
from suite.optimizers import rates
from suite.params import classify
from suite.rllib.part import Part
from suite.rows import Event
from suite.run_config import MetricsConfig
from suite.schedules.base import AdaptiveSchedule, AnySchedule, Schedule
from suite.schedules.constant import ConstantConfig
from suite.seeding import Seeds
from suite.training.observer import Observer, Value

DEFAULT_METRICS = ("parameter_norm", "effective_lr")

Sink = Callable[[int, Sequence[Value]], object]
"""Takes gradient steps made, and what there is to tell of them: metric, layer, value."""


class ControlConfig(Config):
    """What `suite.rllib.nap_learner` is asked for.

    Attributes:
        total: gradient steps of the run, which fractions refer to.
        agent_steps: decisions of the whole run, for lengths in this unit.
        schedule: multiplies the rate of every optimizer that is controlled.
        interventions: applied to the parameters of each of these optimizers.
        metrics: measured on the same.
        optimizers: names of those that are controlled; by default all that train networks.
    """

    total: Annotated[int, Field(ge=1, le=LONGEST)]
    agent_steps: Annotated[int, Field(ge=1, le=LONGEST)] | None = None
    schedule: AnySchedule = ConstantConfig()
    interventions: Annotated[tuple[AnyIntervention, ...], Field(strict=False)] = ()
    metrics: MetricsConfig = MetricsConfig(names=DEFAULT_METRICS)
    optimizers: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None

    @field_validator("interventions")
    @classmethod
    def _need_no_batches(
        cls, interventions: tuple[InterventionConfig, ...]
    ) -> tuple[InterventionConfig, ...]:
        for index, one in enumerate(interventions):
            if one.looks_at_batches:
                wanted = "an intervention that needs no pass through the network"
                raise ConfigError(f"[{index}]", one.kind, wanted)
        return interventions

    @field_validator("metrics")
    @classmethod
    def _measurable(cls, metrics: MetricsConfig) -> MetricsConfig:
        names = DEFAULT_METRICS if metrics.names is None else metrics.names
        check_of_parameters(names, "names")
        return metrics.model_copy(update={"names": names})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return self.metrics.names or ()

    def clock(self) -> Clock:
        """Return the run's clock; it has agent steps if it was told how many there are."""
        if self.agent_steps is None:
            return Clock(self.total)
        each = Fraction(self.agent_steps, self.total)
        return Clock(self.total, agent_steps_per_step=each, frames_per_agent_step=1)

    def build_schedule(self) -> Schedule:
        """Return the schedule.

        Raises:
            ConfigError: if it needs another unit of time, with the key's path.
        """
        try:
            return self.schedule.build(self.clock())
        except ConfigError as error:
            raise ConfigError(f"schedule.{error.key}", error.value, error.expected) from None


class OptimizerControl:
    """The stack and the observer of one optimizer.

    Args:
        config: what was asked for.
        optimizer: not yet stepped.
        part: what it trains.
        seeds: of random draws.
        fresh: maps k >= 0 to a newly initialised `Part`, drawn from the stream ``reset/<k>``.

    Attributes:
        base: the rate that the schedule multiplies, by parameter group.
        shown: values of the latest measurement by key, such as ``parameter_norm/<layer>``.
        events: what happened at the latest update.
        measured: the latest measurement, as rows have it.
    """

    def __init__(
        self,
        config: ControlConfig,
        optimizer: torch.optim.Optimizer,
        part: Part,
        seeds: Seeds,
        fresh: Callable[[int], nn.Module],
    ) -> None:
        self.optimizer, self.part = optimizer, part
        self._names = {id(p): name for name, p in part.named_parameters()}
        first = next(g for g in optimizer.param_groups if g.get("scale", 1.0) > 0)
        self.base = float(first["lr"]) / first.get("scale", 1.0)
        self._scales = {
            name: float(group["lr"]) / self.base if self.base else 1.0
            for group in optimizer.param_groups
            for name in self._names_in(group)
        }
        self.label()
        clock = config.clock()
        bound = Bound(part, classify(part), clock, fresh=fresh, seeds=seeds)
        self.stack = InterventionStack(config.interventions, bound)
        self.stack.attach(optimizer)
        self.observer = Observer(part, config.names, config.metrics, clock, None)
        self.shown: dict[str, float] = {}
        self.happened: dict[str, float] = {}
        self.events: list[Event] = []
        self.measured: list[Value] = []

    def _names_in(self, group: Mapping[str, Any]) -> list[str]:
        return [self._names.get(id(p), "") for p in group["params"]]

    def label(self) -> None:
        """Give parameter groups the names of their parameters, and a factor on the rate."""
        for group in self.optimizer.param_groups:
            group["names"] = self._names_in(group)
            group.setdefault("scale", self._scales[group["names"][0]])

    def add_gradients(self, gradients: MutableMapping[Any, Tensor | None]) -> None:
        """Add the gradients of the stack's extra loss, if it has one, in place.

        Args:
            gradients: by parameter.
        """
        extra = self.stack.extra_loss()
        if extra is None:
            return
        trained = [p for p in self.part.parameters() if p.requires_grad]
        found = torch.autograd.grad(extra, trained, allow_unused=True)
        for parameter, gradient in zip(trained, found, strict=True):
            if gradient is not None:
                known = gradients.get(parameter)
                gradients[parameter] = gradient if known is None else known + gradient

    def begin(self, step: int, factor: float) -> None:
        """Put the rate in force and act before the optimizer's step."""
        rate = self.base * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.observer.before_update(step)
        self.stack.before_step(step, rate)

    def end(self, step: int, factor: float) -> bool:
        """Act after the optimizer's step, and measure; return whether weights were reset."""
        reset = self.stack.after_step(step, self.base * factor)
        self.observer.after_update(step + 1)
        self.events = list(self.stack.take_events())
        for event in self.events:
            key = f"{event.metric}/{event.layer}" if event.layer else event.metric
            self.happened[key] = self.happened.get(key, 0.0) + event.value
        if self.observer.due(step + 1):
            self.measure(step + 1)
        return reset

    def measure(self, step: int) -> None:
        """Measure after `step` updates."""
        self.measured = self.observer.measure(step, rates(self.optimizer))
        self.shown = {
            f"{name}/{layer}" if layer else name: value for name, layer, value in self.measured
        } | {"measured_at": float(step)}

    def values(self) -> Mapping[str, float]:
        """Return the rate of the latest update, the latest measurement, and sums of events."""
        return {"learning_rate": self.rate(), **self.shown, **self.happened}

    def rate(self) -> float:
        """Return the rate in force, without the factors of parameter groups."""
        group = next(g for g in self.optimizer.param_groups if g["scale"] > 0)
        return float(group["lr"] / group["scale"])

    def state_dict(self) -> dict[str, Any]:
        """Return everything with state but the optimizer's own."""
        return {
            "stack": self.stack.state_dict(),
            "observer": self.observer.state_dict(),
            "shown": dict(self.shown),
            "happened": dict(self.happened),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; the optimizer has its state back already."""
        self.stack.load_state_dict(state["stack"])
        self.observer.load_state_dict(state["observer"])
        self.shown, self.happened = dict(state["shown"]), dict(state["happened"])


class ModuleControl:
    """The schedule of a module, counted in its gradient steps, and its controlled optimizers.

    Args:
        config: what was asked for.
        parts: by the name of the optimizer.

    Attributes:
        step: gradient steps made.
        sink: hears of every measurement and event, if somebody listens; it needs each loss to be
            finite.
    """

    def __init__(self, config: ControlConfig, parts: Mapping[str, OptimizerControl]) -> None:
        self.schedule, self.parts, self.step = config.build_schedule(), dict(parts), 0
        self.sink: Sink | None = None
        self._events: dict[str, float] = {}
        self._losses: list[float] = []  # since the latest measurement

    def add_gradients(self, gradients: MutableMapping[Any, Tensor | None]) -> None:
        """Add the gradients of extra losses in place."""
        for part in self.parts.values():
            part.add_gradients(gradients)

    def begin(self) -> None:
        """Put rates in force and act before the optimizers' steps."""
        factor = self.schedule(self.step)
        for part in self.parts.values():
            part.begin(self.step, factor)

    def end(self, loss: Tensor) -> list[Part]:
        """Act after the optimizers' steps; the host waits for the loss only if it is needed.

        Args:
            loss: of the update, a scalar.

        Returns:
            The parts that were reset, of which copies have to be made again.

        Raises:
            DivergedError: if an adaptive schedule or a sink has to see a loss that is not finite.
        """
        step, factor = self.step, self.schedule(self.step)
        reset = [part.part for part in self.parts.values() if part.end(step, factor)]
        self.step = step + 1
        events = [event for part in self.parts.values() for event in part.events]
        if isinstance(self.schedule, AdaptiveSchedule) or self.sink is not None:
            self._losses.append(loss.item())
            if not math.isfinite(self._losses[-1]):
                raise DivergedError(f"loss is {self._losses[-1]} at gradient step {step}")
        if isinstance(self.schedule, AdaptiveSchedule):
            for event in self.schedule.observe(step, self._losses[-1:]):
                self._events[event.metric] = self._events.get(event.metric, 0.0) + event.value
                events.append(event)
        if self.sink is not None:
            for event in sorted(events):
                self.sink(event.step, [(event.metric, event.layer, event.value)])
            if any(part.observer.due(self.step) for part in self.parts.values()):
                self._tell([("batch_loss", "", sum(self._losses) / len(self._losses))])
        else:
            self._losses.clear()
        return reset

    def start(self) -> None:
        """Measure before the first update, for the sink."""
        for part in self.parts.values():
            for group in part.optimizer.param_groups:
                group["lr"] = part.base * self.schedule(0) * group["scale"]
            part.measure(0)
        self._tell([])

    def _tell(self, losses: Sequence[Value]) -> None:
        """Hand on the measurement that has just been made."""
        values: list[Value] = []
        for name, part in self.parts.items():
            layer = name if len(self.parts) > 1 else ""
            values.append(("learning_rate", layer, part.rate()))
        values += losses
        if isinstance(self.schedule, AdaptiveSchedule):
            values += [(name, "", value) for name, value in self.schedule.readings().items()]
        values += [value for part in self.parts.values() for value in part.measured]
        self._losses.clear()
        assert self.sink is not None
        self.sink(self.step, values)

    def values(self) -> Iterable[tuple[tuple[str, ...], float]]:
        """Yield what results show: paths of keys, and values."""
        yield ("gradient_steps",), float(self.step)
        if isinstance(self.schedule, AdaptiveSchedule):
            shown = {**self.schedule.readings(), **self._events}
            yield from (((name,), value) for name, value in shown.items())
        for name, part in self.parts.items():
            yield from (((name, key), value) for key, value in part.values().items())

    def state_dict(self) -> dict[str, Any]:
        """Return everything with state but the optimizers' own."""
        schedule = self.schedule
        return {
            "step": self.step,
            "schedule": schedule.state_dict() if isinstance(schedule, AdaptiveSchedule) else {},
            "events": dict(self._events),
            "losses": list(self._losses),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ConfigError: if it is of other optimizers.
        """
        if set(state["parts"]) != set(self.parts):
            expected = f"a checkpoint with the same controlled optimizers: {sorted(self.parts)}"
            raise ConfigError("optimizers", sorted(state["parts"]), expected)
        self.step = state["step"]
        self._events = dict(state["events"])
        self._losses = list(state.get("losses", ()))
        if isinstance(self.schedule, AdaptiveSchedule):
            self.schedule.load_state_dict(state["schedule"])
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
