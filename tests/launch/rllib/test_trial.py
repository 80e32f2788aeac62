"""Runs from config to rows, in one process and inside a Tune function; resumed; gone wrong."""

import gc
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.errors import ConfigError, DivergedError
from suite.run_config import RunConfig

BREAKOUT: dict[str, Any] = {
    "task": {"kind": "atari", "game": "breakout", "utd": 0.5, "learning_starts": 60},
    "model": {"kind": "nature_cnn", "hidden": 16, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 5},
    "optimizer": {"kind": "adam", "lr": 0.01},
    "interventions": ["nap"],
    "schedule": {"kind": "cyclic", "period": 13, "floor": 0.1},
    "budget": {"agent_steps": 260},
    "metrics": {
        "names": ["effective_lr", "parameter_norm", "activation_pattern_change", "dead_units"],
        "every": 7,
    },
}
CARTPOLE: dict[str, Any] = {
    "task": {"kind": "classic_control", "utd": 0.5, "learning_starts": 60},
    "model": {"kind": "mlp", "width": 8, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 5},
    "interventions": ["nap"],
    "budget": {"agent_steps": 500},
    "metrics": {"every": 20},
}


def by_metric(rows: list[Any]) -> dict[tuple[str, str], list[Any]]:
    found = defaultdict(list)
    for row in rows:
        found[row.metric, row.layer].append(row)
    return found


@pytest.mark.ray
def test_rows_of_breakout(started_ray: None, folder_session: type[Any], tmp_path: Path) -> None:
    from suite.launch.rllib.trial import train_rl

    run = RunConfig.from_mapping(BREAKOUT)
    session = folder_session(tmp_path)
    train_rl(run, session)
    rows = by_metric(session.rows)
    schedule, steps = run.build_schedule(), [*range(0, 100, 7), 100]
    rates = rows["learning_rate", ""]
    assert [row.step for row in rates] == steps
    for row in rates:
        # The rate of the update just made, as for supervised runs; at 0 that of the first.
        assert row.value == pytest.approx(0.01 * schedule(max(row.step - 1, 0)), rel=1e-12)
    for row in rows["updates_per_agent_step", ""]:
        assert row.value == pytest.approx(0.5)
    assert rows["updates_per_agent_step", ""][-1].frames == 260 * 4
    for name in ("conv1", "conv2", "conv3", "hidden"):
        norms = [row.value for row in rows["parameter_norm", f"{name}.weight"]]
        assert max(norms) / min(norms) < 1 + 1e-4
        assert [row.step for row in rows["effective_lr", f"{name}.weight"]] == steps
    assert [row.step for row in rows["activation_pattern_change", "relu1"]] == steps[1:]
    assert all(math.isfinite(row.value) for row in rows["batch_loss", ""])
    ends = rows["episode_return", ""]
    assert ends
    assert rows["mean_return_20", ""][-1].value == sum(r.value for r in ends) / len(ends)
    assert [r.step for r in session.rows] == sorted(r.step for r in session.rows)
    assert [r.frames for r in session.rows] == sorted(r.frames for r in session.rows)
    assert session.progresses[-1] == (100, 100)


@pytest.mark.ray
@pytest.mark.parametrize("mapping", [CARTPOLE, BREAKOUT], ids=["CartPole", "Breakout"])
def test_a_run_is_repeatable(
    started_ray: None, folder_session: type[Any], tmp_path: Path, mapping: dict[str, Any]
) -> None:
    from suite.launch.rllib.trial import train_rl

    def values() -> list[tuple[Any, ...]]:
        session = folder_session(tmp_path)
        train_rl(RunConfig.from_mapping(mapping), session)
        timed = ("agent_steps_per_s",)
        return [(r.step, r.frames, *r[3:]) for r in session.rows if r.metric not in timed]

    assert values() == values()


@pytest.mark.ray
def test_a_killed_run_goes_on_from_its_checkpoint(
    started_ray: None, folder_session: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib import config, trial
    from suite.launch.rllib.trial import train_rl

    monkeypatch.setattr(config, "ITERATION", 50)
    monkeypatch.setattr(trial, "SAVING", 1e9)  # checkpoints whenever they are due
    run = RunConfig.from_mapping(CARTPOLE)
    first = folder_session(tmp_path, every=50, stop=100)
    with pytest.raises(KeyboardInterrupt):
        train_rl(run, first)
    saved = first.saved
    assert 100 <= saved < 220
    second = folder_session(tmp_path)
    train_rl(run, second)
    rows = by_metric(second.rows)
    steps = [row.step for row in rows["learning_rate", ""]]
    assert steps == [s for s in range(0, 240, 20) if s > saved]
    assert rows["updates_per_agent_step", ""][-1].value == pytest.approx(0.5)
    assert second.rows[0].frames >= first.rows[-1].frames
    assert second.rows[0].wall_s > 0
    games = [row for row in first.rows if row.metric == "episode_return"]
    later = rows["episode_return", ""]
    # No game is counted twice, and together they are no longer than the run.
    assert sum(row.value for row in games) + sum(row.value for row in later) <= 500
    assert rows["mean_return_20", ""][-1].value == pytest.approx(
        sum(r.value for r in [*games, *later][-20:]) / min(20, len(games) + len(later))
    )


@pytest.mark.ray
def test_checkpoints_take_a_small_share_of_the_time(
    started_ray: None, folder_session: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib import trial

    class Slow(folder_session):  # type: ignore[misc]
        saves = 0

        def save(self, step: int, write: Callable[[Path], object]) -> None:
            super().save(step, write)
            self.saves += 1

    monkeypatch.setattr(trial, "SAVING", 1e-9)
    session = Slow(tmp_path, every=1)
    trial.train_rl(RunConfig.from_mapping(CARTPOLE), session)
    assert session.saves == 1


@pytest.mark.ray
def test_a_run_leaves_no_replay_in_memory(
    started_ray: None, folder_session: type[Any], tmp_path: Path
) -> None:
    from suite.launch.rllib.trial import train_rl
    from suite.replay.frame_ring import FrameRing

    def held() -> set[int]:
        gc.collect()
        return {id(thing) for thing in gc.get_objects() if type(thing) is FrameRing}

    before = held()
    train_rl(RunConfig.from_mapping(CARTPOLE), folder_session(tmp_path))
    assert held() <= before


@pytest.mark.slow
@pytest.mark.ray
def test_inside_a_tune_function(started_ray: None, tmp_path: Path) -> None:
    from ray import tune

    def trial(config: dict[str, Any]) -> None:
        from suite.launch.rllib.trial import train_rl
        from suite.training.session import MemorySession

        session = MemorySession()
        train_rl(RunConfig.from_mapping(config["run"]), session)
        tune.report({"rows": len(session.rows), "last": session.rows[-1].step})

    tuner = tune.Tuner(
        trial,
        param_space={"run": CARTPOLE},
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    )
    results = tuner.fit()
    assert not results.errors
    metrics = results[0].metrics
    assert metrics is not None
    assert metrics["last"] == 220


@pytest.mark.ray
def test_a_run_that_diverges_says_where(
    started_ray: None, folder_session: type[Any], tmp_path: Path
) -> None:
    from suite.launch.rllib.trial import train_rl

    mapping = {**CARTPOLE, "interventions": [], "optimizer": {"kind": "sgd", "lr": 1e20}}
    mapping["model"] = {"kind": "mlp", "width": 8}
    with pytest.raises(DivergedError, match="gradient step"):
        train_rl(RunConfig.from_mapping(mapping), folder_session(tmp_path))


def bad(mapping: dict[str, Any], **changes: Any) -> ConfigError:
    from suite.launch.rllib.config import algorithm_config

    with pytest.raises(ConfigError) as error:
        algorithm_config(RunConfig.from_mapping({**mapping, **changes}))
    return error.value


def test_bad_requests_are_refused_before_anything_starts() -> None:
    task = BREAKOUT["task"]
    fault = bad(BREAKOUT, task={**task, "game": "braekout"})
    assert (fault.key, fault.value) == ("task.game", "braekout")
    assert "'breakout'" in fault.expected
    assert bad(BREAKOUT, task={**task, "utd": 0.0}).key == "task.utd"
    assert bad(BREAKOUT, task={**task, "learning_starts": 1}).key == "task.learning_starts"
    assert bad(BREAKOUT, budget={"agent_steps": 61}).key == "budget"
    assert bad(BREAKOUT, budget=100).key == "budget"
    assert bad(BREAKOUT, agent={"kind": "dqn", "replay_capacity": 8}).key == "agent.replay_capacity"
    assert bad(CARTPOLE, model={"kind": "nature_cnn"}).key == "model.kind"
    assert bad(CARTPOLE, task={"kind": "classic_control", "env": "Pendulum-v1"}).key == "task.env"
    metrics = {"names": ["parameter_norm", "accuracy"]}
    assert bad(CARTPOLE, metrics=metrics).key == "metrics.names[1]"


@pytest.mark.parametrize("device", ["host", "learner"])
def test_a_replay_that_will_not_fit_is_refused_wherever_its_frames_are(
    device: str, folder_session: type[Any], tmp_path: Path
) -> None:
    from suite.launch.engines import engine_of
    from suite.launch.rllib.trial import train_rl

    agent = {"kind": "dqn", "replay_capacity": 500_000_000, "replay_device": device}
    run = RunConfig.from_mapping({**BREAKOUT, "agent": agent})
    with pytest.raises(ConfigError, match=r"^agent\.replay_capacity: got 500000000; expected at"):
        train_rl(run, folder_session(tmp_path))
    with pytest.raises(ConfigError, match=r"^agent\.replay_capacity: got 500000000; expected at"):
        engine_of(run).check_memory([run], 2)
    gpu = RunConfig.from_mapping({**BREAKOUT, "agent": agent, "resources": {"gpus": 1}})
    if device == "learner":  # which the trial looks at, where the GPU is
        engine_of(gpu).check_memory([gpu], 2)
