"""Engines, and which of them trains a run."""

from __future__ import annotations

from typing import Any

from suite.launch.engines.base import Engine, Outcome, outcome
from suite.launch.engines.rl import RLEngine
from suite.launch.engines.rllib import RLlibEngine
from suite.launch.engines.supervised import SupervisedEngine
from suite.run_config import RunConfig

__all__ = ["ENGINES", "Engine", "Outcome", "engine_of", "outcome"]

ENGINES: dict[str, Engine[Any]] = {
    "supervised": SupervisedEngine(),
    "rl": RLEngine(),
    "rllib": RLlibEngine(),
}
"""By the name that a task has for its engine."""


def engine_of(config: RunConfig) -> Engine[Any]:
    """Return the engine that trains a run."""
    return ENGINES[config.task.engine]
