"""Runs of RLlib's algorithms: settings that RLlib would misread, actions, and fresh episodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.errors import ConfigError
from suite.run_config import RunConfig

Smoke = Callable[..., RunConfig]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clip_param", "abc"),
        ("gamma", "0.9"),
        ("gamma", True),
        ("kl_target", None),
        ("entropy_coeff", [0.1]),
        ("use_kl_loss", "no"),
        ("grad_clip", "abc"),
        ("grad_clip_by", 3),
        ("lamda", 0.9),
        ("num_sgd_iter", 3),  # would change num_epochs behind agent.epochs
        ("vf_share_layers", True),  # is ignored where agent.shared is not
        ("max_requests_in_flight_per_sampler_worker", 1),
    ],
)
def test_settings_that_rllib_would_misread_are_refused(
    key: str, value: object, smoke: Smoke
) -> None:
    run = smoke("rllib", agent={"training": {key: value}})
    with pytest.raises(ConfigError, match=rf"agent\.training\.{key}: got"):
        run.check()


def test_what_rllib_itself_refuses_is_a_fault_of_the_config(smoke: Smoke) -> None:
    run = smoke("rllib", agent={"training": {"grad_clip": 1.0, "grad_clip_by": "foo"}})
    with pytest.raises(ConfigError, match=r"agent\.training: .*'value', 'norm'"):
        run.check()


def test_settings_of_the_right_type_are_taken(smoke: Smoke) -> None:
    good = {"gamma": 1, "lambda_": 0.95, "grad_clip": None, "use_kl_loss": False}
    smoke("rllib", agent={"training": good}).check()


def test_actions_begin_with_the_environments_first(smoke: Smoke) -> None:
    """The environment itself asserts that they are 5, 6 or 7."""
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    from suite.launch.stock.config import algorithm_config
    from suite.rl.stock_run import StockRun

    config = algorithm_config(StockRun.of(smoke("rllib", task={"env": "Counting-v0"})))
    runner: Any = SingleAgentEnvRunner(config=config, worker_index=0)
    lanes = [env.unwrapped for env in runner.env.unwrapped.envs]
    for lane in lanes:
        lane.most = 100
    episodes = runner.sample(num_timesteps=64)
    assert {int(a) for e in episodes for a in e.get_actions()} == {0, 1, 2}
    assert {int(a) for lane in lanes for a in lane.state_dict()["actions"]} == {5, 6, 7}
    runner.stop()


@pytest.mark.ray
@pytest.mark.usefixtures("started_ray")
def test_where_one_lane_cannot_be_replayed_none_is(smoke: Smoke, tmp_path: Path) -> None:
    """All begin new episodes, that no lane of the run before has had."""
    from suite.launch.stock.trial import StockTraining

    run = smoke("rllib", task={"lanes": 8})
    made: list[StockTraining] = []

    def build() -> Any:
        made.append(StockTraining(run))
        return made[-1]

    def shown(training: Any) -> list[Any]:
        return [lane._obs.copy() for lane in training.lanes]

    try:
        first = build()
        first._runner._reset_envs_and_episodes(explore=True)
        starts = shown(first)
        first.start = lambda: None
        first.recorder.sink = lambda rows: None
        first.lanes[0].most = 1
        first.advance()
        assert {lane.state_dict()["actions"] is None for lane in first.lanes} == {True, False}
        first.save(tmp_path)
        second = build()
        second.load(tmp_path)
        assert second.agent_steps == first.agent_steps
        assert [lane._length for lane in second.lanes] == [0] * 8
        for obs in shown(second):
            assert np.abs(obs).max() <= 0.05  # where an episode of CartPole begins
            assert not any(np.array_equal(obs, start) for start in starts)
    finally:
        for training in made:
            training.stop()
