"""Networks for images in whole runs: measured, interrupted, projected and recycled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from suite.invariance.select_weights import select
from suite.metrics.base import METRICS
from suite.models.base import build_model, dry_model
from suite.run_config import RunConfig
from suite.tasks.base import TASKS
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

NETWORKS: list[dict[str, Any]] = [
    {"kind": "resnet", "depth": 8, "width": 8},
    {"kind": "resnet", "depth": 8, "width": 8, "norm": "layer"},
    {"kind": "vit", "width": 12, "depth": 1, "hidden": 8, "branch_norm": True},
    {"kind": "cnn", "channels": 4, "hidden": 8, "activation": "crelu"},
    {"kind": "mlp", "width": 8, "norm": "layer", "activation": "fourier"},
]
MODELS = [pytest.param(keys, id="-".join(map(str, keys.values()))) for keys in NETWORKS]
INTERVENTIONS = [{"kind": "redo", "every": 3, "tau": 0.5}, {"kind": "nap", "every": 2}]


class Stopped(MemorySession):
    """A session that saves after 6 updates and ends there, or goes on from there."""

    def __init__(self, folder: Path, stop: bool) -> None:
        super().__init__()
        self.folder, self.stop, self.step = folder, stop, 0

    def progress(self, step: int, total: int) -> None:
        self.step = step

    def checkpoint_due(self) -> bool:
        return self.stop and self.step >= 6

    def save(self, step: int, write: Any) -> None:
        write(self.folder)
        raise KeyboardInterrupt

    def latest(self) -> Path | None:
        return None if self.stop else self.folder


def _run(model: dict[str, Any], **keys: Any) -> SupervisedRun:
    smoke = TASKS["warm_start_images"].smoke
    return SupervisedRun(RunConfig.from_mapping({**smoke, "model": model, **keys}))


def _same(a: SupervisedRun, b: SupervisedRun) -> bool:
    left, right = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(value, right[name]) for name, value in left.items())


@pytest.mark.parametrize("model", MODELS)
def test_measurements_change_nothing(model: dict[str, Any]) -> None:
    names = [
        n for n, m in METRICS.entries().items() if m.needs & {"predictions", "features", "model"}
    ]
    plain = _run(model, interventions=INTERVENTIONS, metrics={"names": ["accuracy"], "every": 99})
    measured = _run(model, interventions=INTERVENTIONS, metrics={"names": names, "every": 3})
    plain.train(MemorySession())
    measured.train(MemorySession())
    assert _same(plain, measured)


@pytest.mark.parametrize("model", MODELS)
def test_an_interrupted_run_ends_as_a_whole_one(
    model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suite.training.supervised.CHECK_EVERY", 1)
    whole, first, rest = (_run(model, interventions=INTERVENTIONS) for _ in range(3))
    whole.train(MemorySession())
    with pytest.raises(KeyboardInterrupt):
        first.train(Stopped(tmp_path, stop=True))
    rest.train(Stopped(tmp_path, stop=False))
    assert _same(whole, rest)
    assert not _same(whole, first)


@pytest.mark.parametrize("model", MODELS)
def test_plans_project_what_runs_project(model: dict[str, Any]) -> None:
    run = _run(model, interventions=INTERVENTIONS)
    spec = run.config.model_spec()
    dry, net = dry_model(run.config.model, spec), build_model(run.config.model, spec, 0)
    found = select(net, "invariant", "tensor", run.task.probe[:16])
    assert select(dry, "invariant", "tensor", None).names == found.names
