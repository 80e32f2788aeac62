"""Ray for the contracts of the tasks that need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


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
