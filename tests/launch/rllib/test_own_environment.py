"""The environment of docs/rl.md: a plugin of a few lines that is swept, also in other processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from suite.environments.failure import EnvironmentFailed
from suite.launch.plugins import _unload, load_plugins, plugins_in_use, read_plugins
from suite.run_config import RunConfig
from suite.sweeps.sweep import load_sweep

PAGE = Path(__file__).parents[3] / "docs" / "rl.md"
BLOCK = re.compile(r"^```\w+\n# (corridor\.\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = ["task.learning_starts=50", "budget.agent_steps=120", "seeds=[0]"]
BREAKS = """
import gymnasium
class Breaks(gymnasium.Wrapper):
    def step(self, action):
        raise ZeroDivisionError("the motor is stuck")
def breaks():
    return Breaks(gymnasium.make("CartPole-v1"))
gymnasium.register("Breaks-v0", breaks)
"""


def loaded(path: Path) -> Iterator[Path]:
    plugins = read_plugins([str(path)])
    before = set(gymnasium.registry)
    load_plugins(plugins)
    (name,) = set(gymnasium.registry) - before
    yield path
    entry: Any = gymnasium.registry[name].entry_point
    _unload(entry.__module__)
    assert name not in gymnasium.registry


@pytest.fixture
def corridor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the page in the current folder, the plugin loaded."""
    monkeypatch.chdir(tmp_path)
    found = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    assert set(found) == {"corridor.py", "corridor.yaml"}
    for name, text in found.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    yield from loaded(tmp_path / "corridor.py")


@pytest.fixture
def build(started_ray: None) -> Iterator[Callable[[RunConfig], Any]]:
    """Return a function that builds the algorithm of a run, stopped at the end of the test."""
    from suite.launch.rllib.config import algorithm_config

    built = []

    def make(run: RunConfig) -> Any:
        built.append(algorithm_config(run).build_algo())
        return built[-1]

    yield make
    for one in built:
        one.stop()


def test_it_is_swept(corridor: Path) -> None:
    sweep = load_sweep(["corridor.yaml"], [])
    assert len(sweep.runs) == 2 * 2 * 3
    for run in sweep.runs.values():
        run.check()
        assert run.task.spec().outputs == 2
        assert run.task.label == "Corridor-v0"


def test_a_plugin_that_is_loaded_again_registers_its_environment_again(corridor: Path) -> None:
    first = gymnasium.registry["Corridor-v0"].entry_point
    load_plugins(plugins_in_use(), anew=True)  # a warning of Gymnasium's would be an error here
    again = gymnasium.registry["Corridor-v0"].entry_point
    assert again is not first
    corridor.write_text(corridor.read_text().replace("(2,)", "(3,)"))
    load_plugins(read_plugins([str(corridor)]))
    (run, *_) = load_sweep(["corridor.yaml"], []).runs.values()
    assert run.task.spec().inputs.shape == (3,)
    assert [name for name, _ in plugins_in_use()] == [str(corridor)]


@pytest.mark.ray
@pytest.mark.usefixtures("started_ray")
def test_it_is_learnt(corridor: Path) -> None:
    """The final network of the page's first run goes straight to the end."""
    from suite.launch.rllib.trial import train_rl
    from suite.training.session import MemorySession

    (run, *_) = load_sweep(["corridor.yaml"], [], ["seeds=[0]"]).runs.values()
    session = MemorySession()
    train_rl(run, session)
    (score,) = [row.value for row in session.rows if row.metric == "evaluation_return"]
    assert score > 0.5  # 1 less 0.1 for each of at most 3 steps before; a lost one costs 5


@pytest.mark.ray
@pytest.mark.parametrize(
    "where", [{"runners": 1}, {"processes": True, "lanes": 2}], ids=["runner", "processes"]
)
def test_other_processes_know_it(
    where: dict[str, Any], corridor: Path, build: Callable[[RunConfig], Any]
) -> None:
    changes = [*SMALL, *(f"task.{key}={value}".lower() for key, value in where.items())]
    (run, *_) = load_sweep(["corridor.yaml"], [], changes).runs.values()
    algorithm = build(run)
    while not algorithm.finished:
        algorithm.advance()
    assert 120 <= algorithm.agent_steps < 120 + run.task.lanes  # type: ignore[attr-defined]
    assert algorithm.gradient_steps == 70


@pytest.mark.ray
@pytest.mark.parametrize("runners", [0, 1])
def test_a_run_fails_with_the_message_of_its_environment(
    runners: int, tmp_path: Path, smoke: Callable[..., RunConfig], build: Any
) -> None:
    path = tmp_path / "breaks.py"
    path.write_text(BREAKS)
    said = r"^Breaks-v0: step raised ZeroDivisionError: the motor is stuck$"
    for _ in loaded(path):
        algorithm = build(smoke("gym", task={"env": "Breaks-v0", "runners": runners}))
        with pytest.raises(EnvironmentFailed, match=said):
            algorithm.advance()
