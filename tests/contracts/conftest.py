"""What the contracts share: the examples, and Ray for the tasks that need it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def algorithm(started_ray: None) -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, stopped at the end of the test."""
    from suite.launch.rllib.config import algorithm_config

    built = []

    def build(run: Any) -> Any:
        built.append(algorithm_config(run).build_algo())
        return built[-1]

    yield build
    for one in built:
        one.stop()
