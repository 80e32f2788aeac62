"""Evaluation: the right number of whole games, apart from training, the same after a restore."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from suite.launch.rllib.evaluator import evaluate
from suite.rl.lanes import Game
from suite.rl.run import RLRun
from suite.run_config import RunConfig
from suite.tasks.evaluation import EvaluationConfig


def cartpole(**evaluation: Any) -> RunConfig:
    return RunConfig.from_mapping(
        {
            "task": {
                "kind": "classic_control",
                "learning_starts": 40,
                "max_episode_steps": 60,
                "evaluation": evaluation,
            },
            "model": {"kind": "mlp", "width": 8, "depth": 1, "norm": "layer"},
            "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "noisy": 0.5},
            "budget": {"agent_steps": 150},
        }
    )


class Policy:
    """Acts by the angle of the pole, or always to one side."""

    def __init__(self, balances: bool) -> None:
        self.balances, self.silenced, self.drawn = balances, 0, 0
        self.noise = None

    def silence(self) -> None:
        self.silenced += 1

    def draw_noise(self) -> None:
        self.drawn += 1

    def greedy(self, obs: Tensor) -> Tensor:
        if self.balances:
            return ((obs[:, 2] + 0.5 * obs[:, 3]) > 0).long()
        return torch.zeros(len(obs), dtype=torch.long)


def play(run: RunConfig, config: EvaluationConfig, policy: Policy, index: int) -> list[Game]:
    """Evaluate a policy, which is no network."""
    return evaluate(RLRun.of(run), config, cast(Any, policy), index)


@pytest.mark.parametrize("episodes", [1, 7, 23])
def test_every_lane_plays_its_share_of_whole_games(episodes: int) -> None:
    run, config = cartpole(), EvaluationConfig(episodes=episodes, epsilon=0.0)
    policy = Policy(balances=True)
    games = play(run, config, policy, 0)
    assert [game.score for game in games] == [60.0] * episodes
    played = np.bincount([game.lane for game in games])
    assert played.max() - played.min() <= 1
    assert (policy.silenced, policy.drawn) == (1, 0)
    assert max(game.score for game in play(run, config, Policy(False), 0)) < 15


def test_each_evaluation_has_its_own_games_and_they_can_be_repeated() -> None:
    run, config = cartpole(), EvaluationConfig(episodes=12, epsilon=0.3)
    first, again, other = (play(run, config, Policy(False), k) for k in (0, 0, 1))
    assert first == again
    assert first != other


def test_noise_is_drawn_for_every_step_if_asked_for() -> None:
    policy = Policy(balances=False)
    games = play(cartpole(), EvaluationConfig(episodes=1, noise=True), policy, 0)
    assert policy.drawn == games[0].agent_steps


@pytest.mark.ray
def test_rows_come_when_they_are_due_and_training_does_not_notice(
    started_ray: None, folder_session: type[Any], tmp_path: Path
) -> None:
    from suite.launch.rllib.trial import train_rl

    def rows(run: RunConfig) -> list[Any]:
        session = folder_session(tmp_path)
        train_rl(run, session)
        found: list[Any] = session.rows
        return found

    run = cartpole(episodes=5, every={"agent_steps": 50})
    with_it, without = (
        rows(run),
        rows(run.model_copy(update={"task": run.task.model_copy(update={"evaluation": None})})),
    )
    means = [r for r in with_it if r.metric == "evaluation_return"]
    assert [r.frames for r in means] == [50, 100, 150]
    single = [r.value for r in with_it if r.metric == "evaluation_episode_return"]
    assert len(single) == 15
    assert means[-1].value == pytest.approx(np.mean(single[-5:]))
    timed = ("agent_steps_per_s",)

    def training(rows: list[Any]) -> list[tuple[Any, ...]]:
        return [
            (r.step, r.frames, *r[3:])
            for r in rows
            if not r.metric.startswith("evaluation") and r.metric not in timed
        ]

    assert training(with_it) == training(without)
    assert run.task.score == ("evaluation_return", "")
    assert run.check() is None  # type: ignore[func-returns-value]
