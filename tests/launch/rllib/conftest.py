"""Learners and runners that need no Ray, and algorithms, which do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def make_learner() -> Callable[..., Any]:
    """Return a function that builds the learner of a run, without Ray, also on smaller frames."""

    def make(run: Any, shape: tuple[int, ...] | None = None) -> Any:
        import gymnasium
        import numpy as np
        from ray.rllib.core import DEFAULT_MODULE_ID

        from suite.launch.rllib.config import algorithm_config
        from suite.launch.rllib.learner import NapLearner

        shape = run.task.spec().inputs.shape if shape is None else shape
        if len(shape) == 3:
            box = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        else:
            box = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        spaces: dict[str, tuple[Any, Any]] = {
            DEFAULT_MODULE_ID: (box, gymnasium.spaces.Discrete(3))
        }
        config = algorithm_config(run)
        learner = NapLearner(  # type: ignore[no-untyped-call]
            config=config, module_spec=config.get_multi_rl_module_spec(spaces=spaces)
        )
        learner.build()
        return learner

    return make


@pytest.fixture
def make_runner() -> Callable[..., Any]:
    """Return a function that builds the runner of a run, without Ray."""

    def make(run: Any) -> Any:
        from suite.launch.rllib.config import algorithm_config
        from suite.launch.rllib.runner import EnvPoolRunner

        return EnvPoolRunner(config=algorithm_config(run), worker_index=0, num_workers=0)

    return make


class FolderSession:
    """A session that keeps rows in a list and checkpoints in folders.

    Args:
        folder: where checkpoints go.
        every: gradient steps between checkpoints; None for none.
        stop: raises `KeyboardInterrupt` after the checkpoint at or beyond this step.
    """

    def __init__(self, folder: Path, every: int | None = None, stop: int | None = None) -> None:
        self.folder, self.every, self.stop = folder, every, stop
        self.rows: list[Any] = []
        self.step = self.saved = 0
        self.progresses: list[tuple[int, int]] = []

    def emit(self, rows: Any) -> None:
        self.rows.extend(rows)

    def progress(self, step: int, total: int) -> None:
        self.step = step
        self.progresses.append((step, total))

    def checkpoint_due(self) -> bool:
        return self.every is not None and self.step - self.saved >= self.every

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        folder = self.folder / f"checkpoint-{step}"
        folder.mkdir()
        write(folder)
        self.saved = step
        if self.stop is not None and step >= self.stop:
            raise KeyboardInterrupt

    def latest(self) -> Path | None:
        found = sorted(self.folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
        return found[-1] if found else None


@pytest.fixture
def folder_session() -> type[FolderSession]:
    return FolderSession


@pytest.fixture
def build(started_ray: None) -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, and a list of its rows.

    The algorithm is stopped at the end of the test.
    """
    from suite.launch.rllib.config import algorithm_config

    built: list[Any] = []

    def make(run: Any) -> tuple[Any, list[Any]]:
        built.append(algorithm_config(run).build_algo())
        rows: list[Any] = []
        built[-1].recorder.sink = rows.extend
        return built[-1], rows

    yield make
    for algorithm in built:
        algorithm.stop()
