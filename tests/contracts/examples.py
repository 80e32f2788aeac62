"""Examples of registered parts, by kind, and what the contracts make of them.

A part that is not listed here is tested with its defaults. It needs an entry if it has keys without
a default, or if with its defaults it does nothing that a dozen updates could show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from suite.agents.base import AGENTS
from suite.clock import Clock
from suite.config import UNITS
from suite.errors import ConfigError
from suite.interventions.base import INTERVENTIONS
from suite.models.base import MODELS
from suite.optimizers import OPTIMIZERS
from suite.registry import Registry
from suite.rows import Row
from suite.run_config import RunConfig
from suite.schedules.base import SCHEDULES
from suite.schedules.trigger import TRIGGERS
from suite.tasks.base import TASKS, SupervisedTaskConfig
from suite.training.session import MemorySession

WATCHFUL = {"kind": "cusum", "window": 2, "lag": 1, "h": 0.01, "k": 0.0, "scale_floor": 1e-3}
"""A trigger that alarms within a smoke run."""

EXAMPLES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "schedule": {
        "adaptive_stop": [
            {"period": 3, "floor": 0.1, "final": 0.05, "k": 0.0, "patience": 1, "warmup": 1},
            {"period": {"fraction": 0.25}, "k": 0.01, "scale_floor": 1e-3, "loss_floor": 1e-9},
        ],
        "cyclic": [{"cycles": 3, "floor": 0.1}, {"period": 4, "warmup": 1}],
        "cyclic_then_anneal": [
            {"period": 3, "cycles": 2, "warmup": 1, "final": 0.3},
            {"period": {"fraction": 0.25}, "stop": 7, "floor": 0.1, "final": 0.0, "anneal": 2},
        ],
        "delayed": [
            {"offset": 4, "low": 0.1},
            {"offset": {"fraction": 0.25}, "low": 0.0, "then": {"kind": "linear", "length": 4}},
        ],
        "growing_cycles": [{"peaks": [1.0, 3.0, 0.5]}, {"period": 5, "warmup": 1, "floor": 0.2}],
        "linear": [{}, {"length": 5, "start": 0.3, "end": 2.0}],
        "task_aligned": [{}, {"then": {"kind": "cyclic", "period": 4}}],
        "triggered": [
            {"trigger": WATCHFUL},
            {"trigger": WATCHFUL, "then": {"kind": "cyclic", "period": 3}, "per_phase": True},
        ],
        "warmup_cosine": [{"warmup": 2}, {"length": 6, "warmup": 3, "floor": 0.1, "start": 0.0}],
    },
    "trigger": {"cusum": [{key: value for key, value in WATCHFUL.items() if key != "kind"}]},
    "intervention": {
        "even_ratio_abs": [{"every": 2}],
        "l2": [{"coefficient": 0.1}, {"coefficient": 1.0, "roles": ["gain", "weight"]}],
        "l2_init": [{"coefficient": 0.1}],
        "nap": [
            {"which": "matrices", "every": 2},
            {"which": "matrices", "per": "row", "gains": "decay_to_init", "alpha": 0.9},
            {"which": "matrices", "gains": "joint"},
            {"which": "matrices", "gains": "dropped"},
        ],
        "redo": [{"every": 4, "tau": 0.8}],
        "reset": [
            {"every": 2},
            {"every": 3, "layers": "head", "start": 1, "stop": {"fraction": 0.6}},
            {"every": {"fraction": 0.25}, "layers": "all"},
        ],
        "scale_decay": [{"coefficient": 10.0}, {"coefficient": 7.0, "towards": "init"}],
        "shrink_perturb": [
            {"every": 2},
            {"every": 4, "shrink": 0.7, "perturb": 0.1, "reset_optimizer": False},
        ],
        "update_noise": [
            {"std": 1e-3},
            {"std": 1.0, "scale_with_lr": True, "roles": ["gain", "weight"]},
        ],
        "weight_decay": [{"coefficient": 3.0}, {"coefficient": 5.0, "roles": ["gain", "weight"]}],
    },
    "model": {
        "cnn": [
            {},
            {"activation": "crelu", "norm_place": "after"},
            {"blocks": [4, 8], "hidden": 16, "norm": "rms"},
        ],
        "cnn_1d": [{}, {"channels": 8, "activation": "fourier"}],
        "linearised": [{"inner": {"kind": "mlp", "width": 8}}],
        "mean_field_mlp": [{"width": 8, "init_scale": 2.0}],
        "mlp": [
            {},
            {"width": 8, "activation": "leaky_relu"},
            {"width": 8, "norm": "layer", "norm_place": "after"},
        ],
        "pair_relu": [{"width": 16}, {"width": 8, "scale": 2.0, "zero_output": True}],
        "resnet": [
            {"depth": 8, "width": 8},
            {"depth": 50, "width": 8, "norm": "group", "groups": 2, "activation": "gelu"},
        ],
        "scaled": [
            {"inner": {"kind": "mlp", "width": 8}, "alpha": 2.0, "centred": True},
        ],
        "scaled_start": [{"inner": {"kind": "mlp", "width": 8}, "factor": 2.0}],
        "vit": [
            {"width": 12, "depth": 2, "hidden": 16},
            {"width": 8, "depth": 1, "heads": 2, "hidden": 16, "norm": "rms", "branch_norm": True},
        ],
    },
    "optimizer": {"adam": [{}], "sgd": [{"momentum": 0.9}]},
}
"""By registry and kind: settings that are each tested."""

REGISTRIES: dict[str, Registry[Any]] = {
    registry.noun: registry
    for registry in (AGENTS, INTERVENTIONS, MODELS, OPTIMIZERS, SCHEDULES, TASKS, TRIGGERS)
}


def every(noun: str) -> list[Any]:
    """Return a parameter (a mapping with its `kind`) for each example of each part."""
    found = []
    for kind in REGISTRIES[noun].entries():
        examples = EXAMPLES.get(noun, {}).get(kind, [{}])
        for index, settings in enumerate(examples):
            name = f"{kind}{index}" if len(examples) > 1 else kind
            found.append(pytest.param({"kind": kind, **settings}, id=name))
    return found


def tasks(engine: str) -> list[str]:
    """Return the kinds of the tasks that an engine runs."""
    return [kind for kind, task in TASKS.entries().items() if task.engine == engine]


def agents(engine: str) -> list[Any]:
    """Return a parameter for each example of each agent of an engine."""
    return [p for p in every("agent") if AGENTS[p.values[0]["kind"]].engine == engine]


def norms(kind: str) -> list[dict[str, Any]]:
    """Return a model's example with each normalisation that it knows."""
    (settings, *_) = EXAMPLES.get("model", {}).get(kind, [{}])
    field = MODELS[kind].model_fields.get("norm")
    names = get_args(field.annotation) if field else ()
    return [{"kind": kind, **settings, "norm": name} for name in names] or [
        {"kind": kind, **settings}
    ]


def check_or_skip(run: RunConfig) -> None:
    """Check a run; skip the test if its network has not what an intervention acts on."""
    try:
        run.check()
    except ConfigError as error:
        if not error.key.startswith("interventions"):
            raise
        pytest.skip(str(error))
    if reason := run.skip_reason():
        pytest.skip(reason)


def inputs_of(run: RunConfig, size: int = 8) -> Tensor:
    """Return a batch of inputs as the engine of the run's task feeds them to the network."""
    if isinstance(run.task, SupervisedTaskConfig):
        return run.task.build(run.seeds, run.clock(), torch.device("cpu")).probe[:size]
    return run.task.spec().inputs.draw(size, run.seeds.torch("inputs"))


def units(clock: Clock) -> dict[str, bool]:
    """Return, for every unit of time, whether a clock has it."""
    rl = clock.agent_steps_per_step is not None
    has = {"epochs": clock.steps_per_epoch is not None, "frames": rl, "agent_steps": rl}
    return {unit: has.get(unit, True) for unit in UNITS}


def facts(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Return rows without the wall clock and the rows of speed, not-a-numbers as None."""
    return [
        (r.step, r.frames, *r[3:-1], None if math.isnan(r.value) else r.value)
        for r in rows
        if not r.metric.endswith("_per_s")
    ]


def equal(a: Any, b: Any) -> bool:
    """Return whether two nested states are equal to the last bit."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and bool(a == b)


class Continued(MemorySession):
    """A session that goes on from the checkpoint in `folder`, or begins if that is None."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self.folder = folder

    def latest(self) -> Path | None:
        return self.folder


class Saving(MemorySession):
    """A session in a folder that saves at `stop`."""

    def __init__(self, folder: Path, stop: int | None = None) -> None:
        super().__init__()
        self.folder, self.stop = folder, stop
        self.step = 0

    def progress(self, step: int, total: int) -> None:
        self.step = step

    def checkpoint_due(self) -> bool:
        return self.step == self.stop

    def save(self, step: int, write: Callable[[Path], object]) -> None:
        self.folder.mkdir(exist_ok=True)
        write(self.folder)

    def latest(self) -> Path | None:
        return self.folder if self.folder.exists() else None


class Interrupted(Continued):
    """A session that ends at the checkpoint after `stop` updates, which is made in `into`."""

    def __init__(self, into: Path, stop: int, since: Path | None = None) -> None:
        super().__init__(since)
        self.into, self.stop, self.step = into, stop, 0

    def progress(self, step: int, total: int) -> None:
        self.step = step

    def checkpoint_due(self) -> bool:
        return self.step >= self.stop

    def save(self, step: int, write: Any) -> None:
        write(self.into)
        raise KeyboardInterrupt
