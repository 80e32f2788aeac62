"""Packages that register their environments when asked; MinAtar itself where it is installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest

from suite.errors import ConfigError
from suite.rl.envs import make_pool
from suite.run_config import RunConfig
from suite.sweeps.sweep import load_sweep
from suite.tasks.gym import GymConfig

PAGE = Path(__file__).parents[2] / "docs" / "rl.md"
GAMES = {"Asterix": 4, "Breakout": 4, "Freeway": 7, "Seaquest": 10, "SpaceInvaders": 6}
"""Channels of the games of MinAtar (Young & Tian 2019)."""


class Board(gymnasium.Env[Any, Any]):
    """An empty board of the shape of a game; over after a few steps."""

    action_space = gymnasium.spaces.Discrete(6)

    def __init__(self, channels: int) -> None:
        marks: Any = np.bool_  # as MinAtar has it; Gymnasium's types know numbers alone
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (10, 10, channels), marks)

    def _seen(self) -> Any:
        return np.ones(self.observation_space.shape, np.bool_)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.steps = 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self._seen(), 1.0, self.steps == 5, False, {}


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    yield
    for name in [name for name in gymnasium.registry if name.startswith("MinAtar/")]:
        del gymnasium.registry[name]


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package in the place of MinAtar, with boards of its games' shapes."""
    package: Any = ModuleType("minatar.gym")

    def register_envs() -> None:
        for name, channels in GAMES.items():
            made_by: Any = Board
            keys = {"channels": channels}
            gymnasium.register(f"MinAtar/{name}-v0", made_by, kwargs=keys)

    package.register_envs = register_envs
    monkeypatch.setitem(sys.modules, "minatar", ModuleType("minatar"))
    monkeypatch.setitem(sys.modules, "minatar.gym", package)


def game(name: str, **keys: Any) -> GymConfig:
    return GymConfig(env=f"MinAtar/{name}-v0", channels_last=True, **keys)


@pytest.mark.usefixtures("boards")
def test_its_environments_are_found_by_their_ids() -> None:
    for name, channels in GAMES.items():
        assert game(name).spec().inputs.shape == (channels, 10, 10)
        assert game(name, pad_channels=10).spec().inputs.shape == (10, 10, 10)
    with pytest.raises(ConfigError, match="MinAtar/Breakout-v0"):
        game("Breakot").spec()


@pytest.mark.usefixtures("boards")
def test_games_with_different_channels_follow_each_other() -> None:
    one = {"kind": "gym", "channels_last": True}
    names = [f"MinAtar/{name}-v0" for name in GAMES]

    def mapping(**keys: Any) -> dict[str, Any]:
        return {
            "task": {
                "kind": "sequential",
                "environments": [one | {"env": name} | keys for name in names],
                "visit_length": {"agent_steps": 2000},
            },
            "model": "minatar_cnn",
            "agent": {"kind": "dqn", "dueling": True, "replay_capacity": 1000},
        }

    run = RunConfig.from_mapping(mapping(pad_channels=10))
    run.check()
    with pytest.raises(ConfigError, match=r"environments\[2\].*\(7, 10, 10\).*\(4, 10, 10\)"):
        RunConfig.from_mapping(mapping()).check()


@pytest.mark.usefixtures("boards")
def test_the_sweep_of_the_page(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n# minatar\.yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert found is not None
    path = tmp_path / "minatar.yaml"
    path.write_text(found[1], encoding="utf-8")
    sweep = load_sweep([str(path)], [])
    assert len(sweep.runs) == 6
    for run in sweep.runs.values():
        run.check()
        assert (run.task.spec().inputs.shape, run.task.spec().outputs) == ((4, 10, 10), 6)
        assert run.skip_reason() is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    with pytest.raises(ConfigError, match=r"rewarm-suite\[minatar\]") as error:
        game("Breakout").spec()
    assert (error.value.key, error.value.value) == ("task.env", "MinAtar/Breakout-v0")


@pytest.mark.parametrize("name", GAMES)
def test_minatar_itself(name: str) -> None:
    """Shapes and actions as published; sticky actions; the same seed gives the same games."""
    pytest.importorskip("minatar")
    task = game(name)
    assert (task.spec().inputs.shape, task.spec().outputs) == ((GAMES[name], 10, 10), 6)
    runs = []
    for sticky in (None, None, 0.0):
        keys = {} if sticky is None else {"kwargs": {"sticky_action_prob": sticky}}
        pool = make_pool(game(name, **keys), 4, seed=3)
        seen = [pool.reset()[0]]
        for actions in np.random.default_rng(0).integers(6, size=(200, 4)):
            obs, *_ = pool.step(actions)
            seen.append(obs)
            assert set(np.unique(obs)) <= {0.0, 1.0}
        runs.append(np.stack(seen))
        pool.close()
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
