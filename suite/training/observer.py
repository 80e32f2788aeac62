"""The observer: decides when to measure, collects the metrics' needs, and returns row contents.

Both trainers call it the same way, around every update::

    observer.before_update(step)          # keeps a copy of the parameters if it will be needed
    ... update ...
    observer.after_update(step + 1)       # keeps features if they will be needed
    if observer.due(step + 1):
        values = observer.measure(step + 1, rates(optimizer), splits)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from suite.clock import Clock
from suite.errors import ConfigError
from suite.losses import CROSS_ENTROPY, Criterion
from suite.metrics.base import METRICS, Observation, StatefulMetric, plain_state
from suite.models.base import ACTIVATIONS, Tap, recording, with_running_statistics
from suite.norms import difference
from suite.params import classify
from suite.run_config import MetricsConfig
from suite.tasks.base import SupervisedTask

CHUNK = 4096
"""Examples evaluated at once."""

LOG_POINTS = 100
"""Measurements with log spacing, before duplicates are merged, unless `every` is a share."""

Value = tuple[str, str, float]
"""Metric, layer, value."""


def measuring_steps(config: MetricsConfig, clock: Clock) -> list[int]:
    """Return the gradient steps to measure at, from 0 to the end of the run, both included."""
    total = clock.total
    if config.spacing == "log":
        share = config.every.fraction
        count = LOG_POINTS if share is None else round(1 / share)
        points = np.unique(np.geomspace(1, total, max(count, 2)).round().astype(int))
        return [0, *points.tolist()]
    every = max(1, clock.steps(config.every, "metrics.every"))
    return sorted({*range(0, total, every), total})


def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the model's outputs on many inputs, in chunks, without gradients."""
    with torch.no_grad(), with_running_statistics(model):
        return torch.cat([model(chunk) for chunk in torch.split(inputs, CHUNK)])


class Observer:
    """Measures one run.

    Args:
        model: the network.
        names: the metrics.
        config: when to measure.
        clock: lengths of the run.
        probe: inputs on which features are read; may be set later, before the first measurement.
        criterion: of the task.
        task: the task itself, for metrics of one kind of task.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        config: MetricsConfig,
        clock: Clock,
        probe: Tensor | None,
        criterion: Criterion = CROSS_ENTROPY,
        task: SupervisedTask | None = None,
    ) -> None:
        self.model, self.probe, self.criterion, self.task = model, probe, criterion, task
        self.roles = classify(model)
        named = dict(model.named_parameters())
        self._trained = {n: named[n] for n in self.roles}
        self._metrics = {name: METRICS[name].build() for name in names}
        self._needs = frozenset().union(*(METRICS[name].needs for name in names))
        self.steps = measuring_steps(config, clock)
        self._due = frozenset(self.steps)
        gap = self.steps[1] - self.steps[0] if config.spacing == "linear" else 1
        self.interval = (
            gap
            if config.interval is None
            else max(1, clock.steps(config.interval, "metrics.interval"))
        )
        self._before: dict[str, Tensor] = {}
        self._features: dict[int, dict[str, Tensor]] = {}
        self._looked: tuple[int, dict[str, Tensor], dict[str, Tensor]] | None = None
        self._initial: dict[str, Tensor] = {}
        if "initial" in self._needs:
            self._initial = {n: p.clone() for n, p in self._parameters.items()}

    @property
    def _parameters(self) -> dict[str, Tensor]:
        """The trainable tensors, wherever they lie now."""
        return {n: p.detach() for n, p in self._trained.items()}

    def due(self, step: int) -> bool:
        """Return whether to measure after `step` updates."""
        return step in self._due

    def keeps_before(self, step: int) -> bool:
        """Return whether `before_update` has anything to do."""
        return "update" in self._needs and step + 1 in self._due

    def keeps_after(self, step: int) -> bool:
        """Return whether `after_update` has anything to do."""
        return "features_then" in self._needs and step + self.interval in self._due

    def before_update(self, step: int) -> None:
        """Keep the parameters if the update that follows will be measured."""
        if self.keeps_before(step):
            self._before = {n: p.clone() for n, p in self._parameters.items()}

    def after_update(self, step: int) -> None:
        """Keep the features if a measurement `interval` updates later will look back at them."""
        if self.keeps_after(step):
            self._features[step] = self._look(step)[0]

    def measure(
        self,
        step: int,
        rates: Mapping[str, float],
        splits: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    ) -> list[Value]:
        """Return the values of all metrics after `step` updates; one move to the host in all.

        Args:
            step: gradient steps made.
            rates: learning rate in force at the latest update, by parameter.
            splits: inputs and targets to evaluate on.

        Raises:
            ConfigError: if a metric returns something else.
        """
        needs = self._needs
        features, taps = self._look(step) if needs & {"features", "taps"} else ({}, {})
        predictions = {}
        if "predictions" in needs and splits is not None:
            predictions = {k: (predict(self.model, x), y) for k, (x, y) in splits.items()}
        parameters = self._parameters
        update = {n: difference(parameters[n], old) for n, old in self._before.items()}
        self._before = {}
        seen = Observation(
            step=step,
            parameters=parameters,
            roles=self.roles,
            rates=rates,
            update=update,
            initial=self._initial,
            features=features,
            features_then=self._features.pop(step - self.interval, {}),
            interval=self.interval,
            taps=taps,
            predictions=predictions,
            criterion=self.criterion,
            model=self.model,
            task=self.task,
            splits=splits or {},
        )
        with torch.no_grad(), with_running_statistics(self.model):
            found = [(n, k, v) for n, m in self._metrics.items() for k, v in m(seen).items()]
            for name, layer, value in found:
                if not isinstance(value, Tensor) or value.ndim:
                    got = tuple(value.shape) if isinstance(value, Tensor) else value
                    raise ConfigError(f"metric {name}", got, f"a scalar tensor for {layer!r}")
            if not found:
                return []
            values = torch.stack([v.double() for _, _, v in found]).tolist()
        return [(name, layer, v) for (name, layer, _), v in zip(found, values, strict=True)]

    def _look(self, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return features and taps on the probe, read once per step."""
        if self.probe is None:
            return {}, {}
        if self._looked is not None and self._looked[0] == step:
            return self._looked[1:]
        with (
            torch.no_grad(),
            with_running_statistics(self.model),
            recording(self.model, (*ACTIVATIONS, Tap)) as seen,
        ):
            self.model(self.probe)
        taps = {n for n, m in self.model.named_modules() if isinstance(m, Tap)}
        features = {n: value for n, value in seen.items() if n not in taps}
        self._looked = (step, features, {n: value for n, value in seen.items() if n in taps})
        return self._looked[1:]

    @property
    def _stateful(self) -> dict[str, StatefulMetric]:
        return {n: m for n, m in self._metrics.items() if isinstance(m, StatefulMetric)}

    def state_dict(self) -> dict[str, Any]:
        """Return what later measurements will look back at, and what metrics remember.

        Raises:
            ConfigError: if the state of a metric is not of plain data.
        """
        metrics = {n: plain_state(n, m.state_dict()) for n, m in self._stateful.items()}
        return {"features": dict(self._features), "initial": self._initial, "metrics": metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ConfigError: if it lacks the state of a metric.
        """
        self._looked, self._before = None, {}
        self._features = dict(state["features"])
        self._initial = dict(state["initial"])
        known = state.get("metrics", {})
        for name, stateful in self._stateful.items():
            if name not in known:
                wanted = f"a checkpoint with the state of {name!r}; start the run afresh"
                raise ConfigError("metrics.names", name, wanted)
            stateful.load_state_dict(known[name])
