"""A benchmark suite for learning under effective-learning-rate control.

Public names, imported on first use so that ``import suite`` stays fast: `Projection`, `schedules`,
`metrics`, `load_results`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suite import metrics, schedules
    from suite.interventions.normalize_project import Projection
    from suite.records.reader import load_results

__version__ = "0.2.0"
__all__ = ["Projection", "__version__", "load_results", "metrics", "schedules"]

_HOMES = {
    "Projection": "suite.interventions.normalize_project",
    "load_results": "suite.records.reader",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("metrics", "schedules"):
        return importlib.import_module(f"suite.{name}")
    raise AttributeError(f"module 'suite' has no attribute {name!r}")


_OF_SWEEPS = ["experiment", "labels", "overrides", "search", "sweep", "sweep_file", "yaml_file"]
_ENVS = ["ale_backend", "envpool_backend", "envs", "lanes", "recorder", "replay", "visits"]
_MOVED = {
    **{name: f"sweeps.{name}" for name in _OF_SWEEPS},
    **{f"launch.rllib.{name}": f"rl.{name}" for name in _ENVS},
    **{f"atari_{name}": f"atari.{name}" for name in ("protocols", "scores")},
    **{f"tasks.atari_{name}": f"atari.{name}" for name in ("games", "protocols", "sets")},
    **{name: f"text.{name}" for name in ("secrets", "terminal")},
    "criteria": "losses",
    "plugins": "launch.plugins",
    "training.replayed": "training.cuda_graph",
}
"""Modules of version 0.1 and where they are since 0.2, both within the package."""

_MOVED_LATER = {"invariance.decide": "invariance.scale_invariance"}
"""Modules of version 0.2 and where they are since 0.3."""


class _OldNames(MetaPathFinder, Loader):
    """Import modules by earlier names, with a warning: those of 0.1 until 0.3, of 0.2 until 0.4."""

    def __init__(self) -> None:
        self.specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for an old name, None for all others."""
        if fullname.removeprefix("suite.") not in _MOVED | _MOVED_LATER:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module under its new name."""
        old = spec.name.removeprefix("suite.")
        new = f"suite.{(_MOVED | _MOVED_LATER)[old]}"
        since = "0.2" if old in _MOVED else "0.3"
        warnings.warn(f"{spec.name} is {new} since {since}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self.specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module back the spec of its new name; it has been executed already."""
        assert module.__spec__ is not None
        module.__spec__ = self.specs.pop(module.__spec__.name)


sys.meta_path.append(_OldNames())
