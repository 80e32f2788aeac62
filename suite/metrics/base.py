"""The metric protocol: a pure function of an observation, with name, unit, range and needs.

A metric returns scalars by layer, as zero-dimensional tensors on the model's device: whoever logs
stacks them all and moves them to the host once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from suite.criteria import CROSS_ENTROPY, Criterion
from suite.params import ParamRole
from suite.ranges import ANY, Range
from suite.registry import Registry

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


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        name: what its rows are called.
        unit: of its values; "1" for pure numbers.
        needs: what it reads of an observation.
        function: maps an observation to scalars by layer.
        range: values that it can have, and the scale that they are read on.
    """

    name: str
    unit: str
    needs: frozenset[Need]
    function: MetricFunction
    range: Range = ANY


METRICS: Registry[Metric] = Registry("metric", "suite.metrics")


def metric(
    name: str, unit: str, *needs: Need, range: Range = ANY
) -> Callable[[MetricFunction], MetricFunction]:
    """Return a decorator that registers a function as the metric `name`.

    Args:
        name: what its rows are called.
        unit: of its values; "1" for pure numbers.
        needs: what it reads of an observation.
        range: values that it can have in any run, such as ``Range(0, 1)``; intervals in reports
            stay inside, and figures take its scale. No bounds and linear unless told.
    """

    def add(function: MetricFunction) -> MetricFunction:
        METRICS.register(name)(Metric(name, unit, frozenset(needs), function, range))
        return function

    return add
