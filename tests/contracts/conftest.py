"""What the contracts share: the examples, and Ray for the tasks that need it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def _started_ray() -> Iterator[None]:
    """A small Ray of this process's own, unless one is running."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()


@pytest.fixture
def algorithm(_started_ray: None) -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, stopped at the end of the test."""
    from suite.launch.rllib.config import algorithm_config

    built = []

    def build(run: Any) -> Any:
        built.append(algorithm_config(run).build_algo())
        return built[-1]

    yield build
    for one in built:
        one.stop()
