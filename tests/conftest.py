from __future__ import annotations

import gc
import inspect
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

from suite.config import merge
from suite.run_config import RunConfig
from suite.tasks.base import TASKS

# As in an environment that is activated: commands are printed by the names of programs.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
# Trials are as urgent as the tests that wait for them; by default Ray's workers give way.
os.environ.setdefault("RAY_worker_niceness", "0")
# RLlib asks for the stack once for each connector; a test's is deep, and its lines are not needed.
_frames = inspect.stack
inspect.stack = lambda context=0: _frames(context)
# What tests share is imported by its bare name; `mypy_path` in pyproject.toml says the same.
SHARED = ("references", "contracts", "invariance", "replay", "launch/shared", "report/shared")
sys.path[:0] = [str(Path(__file__).parent / name) for name in SHARED]


# A slow moment of a machine is no fault of what is tested.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """Let the collector of garbage leave thousands of tests alone."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Results to the last bit need a fixed number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """A test draws the same from the global generators, whichever tests ran before it."""
    random.seed(0)
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` formats the stack for each backend
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(0)


@pytest.fixture
def smoke() -> Callable[..., RunConfig]:
    """Return a function that makes the cheapest run of a task, with overrides laid over it."""

    def make(kind: str = "modular_addition", **overrides: Any) -> RunConfig:
        mapping = merge(dict(TASKS[kind].smoke), overrides)
        return RunConfig.from_mapping(mapping)

    return make


@pytest.fixture(scope="session")
def started_ray() -> Iterator[None]:
    """A small Ray of this process's own, unless one is running."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()
