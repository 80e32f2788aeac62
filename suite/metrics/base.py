"""The metric protocol: a pure function of an observation, with name, unit, range and needs.

A metric that remembers earlier observations is a `StatefulMetric`, a class: each run gets its own
instance, and its state is in the run's checkpoints. A function cannot keep state per run.

A metric returns scalars by layer, as zero-dimensional tensors on the model's device. The caller
stacks them all and moves them to the host once.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from torch import Tensor, nn

from suite.errors import ConfigError, nearest
from suite.losses import CROSS_ENTROPY, Criterion
from suite.params import ParamRole
from suite.ranges import ANY, Range
from suite.registry import Registry, within

Need = Literal[
    "parameters",
    "update",
    "initial",
    "features",
    "features_then",
    "taps",
    "predictions",
    "model",
    "task",
    "splits",
]
"""What a metric reads of an observation; only what somebody needs is computed."""

OF_PARAMETERS = frozenset({"parameters", "update", "initial"})
"""What is known of any update; without labels, fixed inputs or a network that can be called."""


@dataclass(frozen=True)
class Observation:
    """A look at a run after `step` updates.

    Attributes:
        step: gradient steps made.
        parameters: trainable tensors by name.
        roles: their roles.
        rates: learning rate in force at the latest update, by parameter.
        update: change of each tensor by the latest update, projection included; empty at step 0.
        initial: tensors at initialisation.
        features: outputs of each nonlinearity on the fixed probe inputs, (probe, units...).
        features_then: the same, `interval` updates ago; empty before that.
        interval: gradient steps between `features_then` and `features`.
        taps: values at the network's marked points on the probe, such as attention outputs.
        predictions: outputs and targets by split, such as ``test``.
        criterion: what is minimised, and what counts as right.
        model: the network itself, for metrics that differentiate it or run it on other inputs.
        task: the problem itself, of a supervised run, for metrics of one kind of problem.
        splits: inputs and targets to evaluate on, by name.
    """

    step: int
    parameters: Mapping[str, Tensor]
    roles: Mapping[str, ParamRole]
    rates: Mapping[str, float]
    update: Mapping[str, Tensor] = field(default_factory=dict)
    initial: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)
    features_then: Mapping[str, Tensor] = field(default_factory=dict)
    interval: int = 0
    taps: Mapping[str, Tensor] = field(default_factory=dict)
    predictions: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    criterion: Criterion = CROSS_ENTROPY
    model: nn.Module | None = None
    task: Any = None
    splits: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def matrices(self) -> dict[str, Tensor]:
        """Return linear maps, kernels and embeddings, which are what learns features."""
        small = (ParamRole.GAIN, ParamRole.OFFSET, ParamRole.BIAS)
        return {name: p for name, p in self.parameters.items() if self.roles[name] not in small}


MetricFunction = Callable[[Observation], Mapping[str, Tensor]]


class StatefulMetric(ABC):
    """A metric that remembers: made without arguments for every run, called at each measurement.

    Measurements come in the order of their steps, every one once: what was seen after the latest
    checkpoint of a run that was interrupted is seen again, by an object that continues from the
    checkpoint's state.
    """

    @abstractmethod
    def __call__(self, seen: Observation) -> Mapping[str, Tensor]:
        """Return scalars by layer."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that later values depend on: tensors, numbers, text, and containers of them.

        Tensors come back on the device of the run.
        """

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        name: what its rows are called.
        unit: of its values; "1" for pure numbers.
        needs: what it reads of an observation.
        function: maps an observation to scalars by layer; or the class that is made for each run.
        range: values that it can have, and the scale that they are read on.
    """

    name: str
    unit: str
    needs: frozenset[Need]
    function: MetricFunction | type[StatefulMetric]
    range: Range = ANY

    @property
    def is_function(self) -> bool:
        """Whether it keeps nothing between measurements."""
        return not isinstance(self.function, type)

    def build(self) -> MetricFunction:
        """Return what measures one run."""
        made: MetricFunction = self.function() if isinstance(self.function, type) else self.function
        return made

    @property
    def shared(self) -> bool:
        """Whether runs of one process could share state: a function that is not the suite's own."""
        home = str(getattr(self.function, "__module__", ""))
        return self.is_function and not within(home, "suite")


METRICS: Registry[Metric] = Registry("metric", "suite.metrics")

F = TypeVar("F", bound=MetricFunction | type[StatefulMetric])


def metric(name: str, unit: str, *needs: Need, range: Range = ANY) -> Callable[[F], F]:
    """Return a decorator that registers a function or a `StatefulMetric` as the metric `name`.

    Args:
        name: what its rows are called.
        unit: of its values; "1" for pure numbers.
        needs: what it reads of an observation.
        range: values that it can have in any run, such as ``Range(0, 1)``; intervals in reports
            stay inside, and figures use its scale. Default: no bounds, linear.

    Raises:
        ConfigError: for anything else, such as an object, whose state all runs would share.
    """

    def add(function: F) -> F:
        stateful = isinstance(function, type) and issubclass(function, StatefulMetric)
        if not stateful and not inspect.isfunction(function):
            wanted = f"for {name!r} a function, or a subclass of StatefulMetric, made for every run"
            raise ConfigError("metric", function, wanted)
        if stateful and inspect.isabstract(function):
            missing = ", ".join(sorted(getattr(function, "__abstractmethods__", ())))
            raise ConfigError("metric", function, f"for {name!r} a class with {missing}")
        if not isinstance(range, Range):
            raise ConfigError("metric", range, f"for {name!r} a range such as Range(0, 1)")
        if unknown := sorted(set(needs) - set(get_args(Need))):
            raise ConfigError("metric", unknown[0], nearest(unknown[0], get_args(Need)))
        if stateful:
            try:
                inspect.signature(function).bind()
            except TypeError as error:
                wanted = f"for {name!r} a class that is made without arguments ({error})"
                raise ConfigError("metric", function, wanted) from None
        METRICS.register(name)(Metric(name, unit, frozenset(needs), function, range))
        return function

    return add


def check_of_parameters(names: Iterable[str], key: str) -> None:
    """Check that metrics need no more than `OF_PARAMETERS`.

    Args:
        names: of the metrics.
        key: of the list that they are in, for the error.

    Raises:
        ConfigError: naming the first that needs more, and those that do not.
    """
    for index, name in enumerate(names):
        if not METRICS[name].needs <= OF_PARAMETERS:
            can = sorted(n for n, m in METRICS.entries().items() if m.needs <= OF_PARAMETERS)
            raise ConfigError(f"{key}[{index}]", name, f"one of {', '.join(can)}")


def plain_state(name: str, value: Any) -> Any:
    """Return a copy of a metric's state, of what a checkpoint holds and reads without code.

    Args:
        name: of the metric, for the error.
        value: tensors, numbers, text, None, and lists, tuples and dicts of them.

    Raises:
        ConfigError: naming the metric, for anything else.
    """
    if isinstance(value, Tensor):
        return value.detach().clone()
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if type(value) in (list, tuple):
        return type(value)(plain_state(name, part) for part in value)
    if isinstance(value, dict) and all(type(key) in (str, int) for key in value):
        return {key: plain_state(name, part) for key, part in value.items()}
    expected = (
        f"in the state of {name!r} tensors, numbers, text, None, and lists, tuples and dicts of "
        "them, with keys of text or whole numbers"
    )
    raise ConfigError("metrics", value, expected)
