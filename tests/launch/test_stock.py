"""RLlib's algorithms as an engine: what is refused, what fails, what a plan measures, learning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from suite.environments.failure import EnvironmentFailed
from suite.errors import ConfigError, DivergedError
from suite.launch.engines import engine_of
from suite.rl.logged import Logged
from suite.run_config import RunConfig
from suite.training.session import MemorySession

pytestmark = pytest.mark.ray

Smoke = Callable[..., RunConfig]


class Breaks(gymnasium.Env[Any, Any]):
    """An environment that does something wrong on its fifth step."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, how: str) -> None:
        self._how, self._steps = how, 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        if self._steps == 5 and self._how == "raises":
            raise RuntimeError("the hinge is broken")
        late = self._steps >= 5
        shape = 3 if late and self._how == "grows" else 2
        reward = float("nan") if late and self._how == "loses count" else 0.0
        return np.zeros(shape, np.float32), reward, False, False, {}


@pytest.fixture
def breaks() -> Iterator[str]:
    """The id of such an environment."""
    gymnasium.register("Breaks-v0", lambda **kwargs: Breaks(**kwargs))
    yield "Breaks-v0"
    del gymnasium.registry["Breaks-v0"]


@pytest.mark.parametrize(
    ("asked", "key", "expected"),
    [
        ({"agent.training": {"lambda": 0.9}}, "agent.training.lambda", "lambda_"),
        ({"agent.training": {"lr": 0.1}}, "agent.training.lr", "optimizer.lr"),
        ({"agent.training": {"num_epochs": 3}}, "agent.training.num_epochs", "agent.epochs"),
        (
            {"agent.training": {"entropy_coeff": [[0, 0.1], [9, 0.0]]}},
            "agent.training.entropy_coeff",
            "one number",
        ),
        ({"budget": {"agent_steps": 50}}, "budget", "multiple of the agent's batch of 16"),
        ({"budget": {"frames": 48}}, "budget", "agent steps"),
        ({"task.lanes": 3}, "task.lanes", "divisor of the batch of 16"),
        ({"interventions": ["redo"]}, "interventions[0]", "no pass"),
        ({"metrics.names": ["dead_units"]}, "metrics.names[0]", "parameter_norm"),
        ({"model": {"kind": "cnn"}}, "model.kind", "mlp"),
        ({"model.activation": "crelu"}, "model.activation", "relu or leaky_relu or gelu"),
        ({"task.env": "CartPole-v9"}, "task.env", "CartPole-v1"),
        ({"task.env": "FrozenLake-v1"}, "task.env", "observations are vectors"),
        ({"task": {"env": "CartPoll", "backend": "envpool"}}, "task.env", "CartPole-v1"),
        ({"resources.learners": 1}, "resources.learners", "0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    asked: dict[str, Any], key: str, expected: str, smoke: Smoke
) -> None:
    with pytest.raises(ConfigError) as error:
        smoke("rllib", **asked).check()
    assert error.value.key == key
    assert expected in error.value.expected


@pytest.mark.parametrize(
    ("kind", "asked", "key", "expected"),
    [
        ("rllib", {"agent": {"kind": "dqn"}}, "agent", "an agent: ppo"),
        ("gym", {"agent": {"kind": "ppo"}}, "agent", "an agent: der, dqn, rainbow"),
        ("rllib", {"agent.minibatch_size": 5}, "agent.minibatch_size", "divisor"),
        ("rllib", {"task.kwargs": {"seed": 1}}, "task.kwargs.seed", "seeds"),
    ],
)
def test_what_cannot_be_a_run_is_refused_when_it_is_read(
    kind: str, asked: dict[str, Any], key: str, expected: str, smoke: Smoke
) -> None:
    with pytest.raises(ConfigError) as error:
        smoke(kind, **asked)
    assert error.value.key == key
    assert expected in error.value.expected


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raises", EnvironmentFailed, "Breaks-v0: step raised RuntimeError: the hinge is broken"),
        ("grows", EnvironmentFailed, r"observation of shape \(3,\), not \(2,\)"),
        ("loses count", DivergedError, "loss is nan at gradient step 0"),
    ],
)
@pytest.mark.usefixtures("started_ray")
def test_a_broken_environment_ends_the_run_with_its_message(
    how: str, error: type[Exception], message: str, smoke: Smoke, breaks: str
) -> None:
    from suite.launch.stock.trial import train_stock

    run = smoke("rllib", task={"env": breaks, "kwargs": {"how": how}})
    with pytest.raises(error, match=message):
        train_stock(run, MemorySession())


def test_actions_lead_back_to_the_step_and_its_return() -> None:
    def lane() -> Logged:
        made = Logged(gymnasium.make("CartPole-v1", max_episode_steps=9), "CartPole-v1")
        made.most = 100
        made.reset(seed=3)
        return made

    first, second = lane(), lane()
    draws = np.random.default_rng(0)
    for _ in range(25):
        if first.over:
            first.reset()
        obs = first.step(draws.integers(2))[0]
    second.load_state_dict(first.state_dict())
    assert np.array_equal(second.reset(seed=3)[0], obs)
    assert second.steps == first.steps == 25
    games: list[Any] = []
    for one in (first, second):
        one.finished = games.append
        while not one.over:
            one.step(0)
    assert games[0] == games[1]
    begun = lane()
    first.reset()  # the next episode has begun, without an action
    begun.load_state_dict(first.state_dict())
    begun.reset(seed=3)
    assert not begun.over
    assert np.array_equal(begun.step(1)[0], first.step(1)[0])
    longer = lane()
    longer.most = 3
    for _ in range(4):
        longer.step(0)
    assert longer.state_dict()["actions"] is None


def test_fresh_episodes_continue_the_counts(
    smoke: Smoke, started_ray: None, tmp_path: Path
) -> None:
    from suite.launch.stock.trial import StockTraining

    run = smoke("rllib", task={"resume_env": "fresh"})
    first, second = StockTraining(run), StockTraining(run)
    first.start()
    first.advance()
    first.save(tmp_path)
    second.load(tmp_path)
    assert (second.gradient_steps, second.agent_steps) == (4, first.agent_steps)
    assert second.agent_steps >= 16
    while second.gradient_steps < second.total:
        second.advance()
    assert second.agent_steps >= 48
    for one in (first, second):
        one.stop()


def test_a_plan_measures_without_ray(smoke: Smoke) -> None:
    run = smoke("rllib", interventions=["nap"])
    engine = engine_of(run)
    cost = engine.measured_cost([run])
    assert min(cost.setup, cost.update, cost.measure, cost.act) > 0
    wanted = cost.setup + 12 * cost.update + 24 * cost.act + 13 * cost.measure
    assert engine.run_seconds(run, cost) == pytest.approx(wanted)
    counted = engine.arithmetic_cost(run)
    assert counted.update > 0
    assert counted.act > 0


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_ppo_learns_cartpole(norm: str, started_ray: None) -> None:
    from suite.launch.stock.trial import train_stock

    run = RunConfig.from_mapping(
        {
            "task": {"kind": "rllib", "env": "CartPole-v1", "lanes": 16},
            "model": {"kind": "mlp", "width": 64, "norm": norm},
            "agent": {
                "kind": "ppo",
                "batch_size": 1024,
                "minibatch_size": 128,
                "epochs": 6,
                "training": {"vf_clip_param": 1e6, "use_kl_loss": False, "grad_clip": 0.5},
            },
            "schedule": "linear",
            "interventions": [] if norm == "none" else ["nap"],
            "budget": {"agent_steps": 30720},
        }
    )
    session = MemorySession()
    train_stock(run, session)
    returns = [row.value for row in session.rows if row.metric == "mean_return_20"]
    assert returns[0] < 50
    assert returns[-1] > 150
    norms: dict[str, list[float]] = {}
    for row in session.rows:
        if row.metric == "parameter_norm" and "encoder" in row.layer and "weight" in row.layer:
            norms.setdefault(row.layer, []).append(row.value)
    kept = [max(v) / min(v) < 1 + 1e-5 for v in norms.values()]
    assert len(kept) == 4
    assert all(kept) if norm == "layer" else not any(kept)
