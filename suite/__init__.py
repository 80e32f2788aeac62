"""A benchmark suite for learning under effective-learning-rate control.

Public names, imported on first use so that ``import suite`` stays fast: `Projection`, `schedules`,
`metrics`, `load_results`.
"""

from __future__ import annotations

import importlib
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
