"""An RL run whose newest checkpoint is damaged goes on from the one before it."""

import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from suite.records import layout
from suite.records.run_folder import REFUSED, RunFolder
from suite.records.storage import Storage
from suite.run_config import RunConfig

CARTPOLE = {
    "task": {"kind": "classic_control", "utd": 0.5, "learning_starts": 60},
    "model": {"kind": "mlp", "width": 8, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 5},
    "interventions": ["nap"],
    "budget": {"agent_steps": 400},
    "metrics": {"every": 20},
}


class Killed(Exception):
    """Stands for the death of the process."""


class Until(RunFolder):
    """A run's folder whose process dies after some checkpoints."""

    left = 1000

    def save(self, step: int, write: Callable[[Path], object]) -> None:
        super().save(step, write)
        self.left -= 1
        if not self.left:
            raise Killed


def train(root: Path, run: RunConfig, checkpoints: int = 1000) -> tuple[list[list[Any]], list[str]]:
    from suite.launch.rllib.trial import train_rl

    folder = Until(Storage(root), run.run_id, checkpoint_every_s=0.0)
    folder.left = checkpoints
    folder.open(run.model_dump(mode="json"), {"command": "x"})
    with suppress(Killed):
        train_rl(run, folder)
    folder.close()
    rows = [json.loads(line) for line in (folder.path / layout.ROWS).read_text().splitlines()]
    timed = ("agent_steps_per_s", REFUSED)
    told = [row["layer"] for row in rows if row["metric"] == REFUSED]
    keys = ("metric", "layer", "step", "frames", "value")
    return [[row[k] for k in keys] for row in rows if row["metric"] not in timed], told


@pytest.mark.ray
@pytest.mark.parametrize("file", ["ring/frames.npy", "ring/marks.npy", "state.pt"])
def test_a_damaged_checkpoint_changes_no_number(
    started_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    from suite.launch.rllib import config, trial

    monkeypatch.setattr(config, "ITERATION", 50)
    monkeypatch.setattr(trial, "SAVING", 1e9)  # checkpoints whenever they are due
    run = RunConfig.from_mapping(CARTPOLE)
    expected, _ = train(tmp_path / "whole", run)
    train(tmp_path / "damaged", run, checkpoints=3)
    checkpoints = list((tmp_path / "damaged" / layout.RUNS / run.run_id).glob("checkpoint-*"))
    before, newest = sorted(int(path.name.split("-")[1]) for path in checkpoints)
    path = checkpoints[0].with_name(f"checkpoint-{newest}") / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = bytes(b ^ 1 for b in range(8))
    path.write_bytes(content)
    rows, told = train(tmp_path / "damaged", run)
    assert rows == expected
    (said,) = told
    assert said.startswith(f"checkpoint-{newest} was refused: {file}: the checksum does not match")
    assert said.endswith(f"continued from step {before}")


class Bomb:
    """Unpickling it shows."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.ray
def test_no_pickle_of_a_checkpoint_is_ever_loaded(started_ray: None, tmp_path: Path) -> None:
    from suite.errors import ConfigError
    from suite.launch.rllib.algorithm import NapDQN
    from suite.launch.rllib.config import algorithm_config

    algorithm: Any = algorithm_config(RunConfig.from_mapping(CARTPOLE)).build_algo()
    try:
        algorithm.train()
        algorithm.save_to_path(tmp_path)
    finally:
        algorithm.stop()
    for file in tmp_path.glob("*.pkl"):
        file.write_bytes(pickle.dumps(Bomb()))
    restored = NapDQN.from_checkpoint(tmp_path)
    try:
        assert restored.gradient_steps == algorithm.gradient_steps
        assert restored.run == algorithm.run
    finally:
        restored.stop()  # type: ignore[no-untyped-call]
    (tmp_path / "run.json").unlink()
    with pytest.raises(ConfigError, match=r"run\.json"):
        NapDQN.from_checkpoint(tmp_path)
