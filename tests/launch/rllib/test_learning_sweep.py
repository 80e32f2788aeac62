"""The learning sweep: what it asks for, and that CartPole is learnt in its one short run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from suite.rl.run import RLRun
from suite.sweeps.sweep import load_sweep

CONFIGS = Path(__file__).parents[3] / "tune_configs"
TRIALS = load_sweep(["learning"], [CONFIGS]).trials
SOLVED = {"cartpole": 475, "lunarlander": 200}


def test_both_agents_of_a_task_take_the_same_steps_and_are_scored_without_exploration() -> None:
    assert {trial.task for trial in TRIALS} == set(SOLVED)
    for task in SOLVED:
        runs = [RLRun.of(trial.config) for trial in TRIALS if trial.task == task]
        assert {run.agent.kind for run in runs} == {"dqn", "rainbow"}
        assert len(runs) == 10
        assert len({run.task.agent_steps(run.budget) for run in runs}) == 1
        for run in runs:
            final = run.task.evaluation
            assert final is not None
            assert (final.episodes, final.epsilon, final.noise) == (100, 0.0, False)
            assert run.task.score == ("evaluation_return", "")
            assert run.build_schedule()(run.clock().total) == 0


@pytest.mark.slow
@pytest.mark.ray
def test_dqn_learns_cartpole(started_ray: None, folder_session: Any, tmp_path: Path) -> None:
    from suite.launch.rllib.trial import train_rl

    (run,) = [
        trial.config
        for trial in TRIALS
        if (trial.task, trial.arm, trial.config.seed) == ("cartpole", "dqn", 0)
    ]
    session = folder_session(tmp_path)
    train_rl(run, session)
    returns = [row.value for row in session.rows if row.metric == "evaluation_return"]
    assert len(returns) == 5
    assert returns[-1] >= SOLVED["cartpole"]
