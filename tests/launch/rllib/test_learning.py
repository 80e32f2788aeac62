"""Learners that share a batch: the same updates as one learner makes alone, on gloo."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from suite.errors import ConfigError
from suite.run_config import RunConfig

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray Train, which brings them up
]

RAINBOW = {"kind": "rainbow", "batch_size": 8, "replay_capacity": 300, "target_every": 7}
TRIGGERED = {
    "kind": "triggered",
    "trigger": {"kind": "cusum", "window": 5, "lag": 1, "h": 0.05, "k": 0.0},
    "then": {"kind": "warmup_cosine", "length": 40, "floor": 0.1},
}


def cartpole(learners: int, **overrides: Any) -> RunConfig:
    mapping = {
        "task": {"kind": "classic_control", "learning_starts": 40},
        "model": {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"},
        "agent": {"kind": "dqn", "batch_size": 8, "replay_capacity": 300, "target_every": 7},
        "interventions": ["nap"],
        "budget": {"agent_steps": 120},
        "metrics": {"names": ["parameter_norm"], "every": 40},
        "resources": {"learners": learners},
        **overrides,
    }
    return RunConfig.from_mapping(mapping)


@pytest.fixture
def build(started_ray: None) -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, stopped at the end of the test."""
    from suite.launch.rllib.config import algorithm_config

    built: list[Any] = []

    def make(run: RunConfig) -> Any:
        built.append(algorithm_config(run).build_algo())
        return built[-1]

    yield make
    for algorithm in built:
        algorithm.stop()


def finish(algorithm: Any) -> list[Any]:
    rows: list[Any] = []
    algorithm.recorder.sink = rows.extend
    while not algorithm.finished:
        algorithm.advance()
    return rows


@pytest.mark.parametrize(
    "changes",
    [{}, {"agent": RAINBOW, "schedule": TRIGGERED}],
    ids=["dqn", "rainbow"],
)
def test_two_learners_do_what_one_does(
    build: Callable[..., Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    alone, shared = build(cartpole(0, **changes)), build(cartpole(2, **changes))
    mine, theirs = finish(alone), finish(shared)
    assert shared.gradient_steps == alone.gradient_steps == 80
    for ours, other in zip(alone.learning.weights(), shared.learning.weights(), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-3, atol=1e-4)
    first, second = ([p for p in weights] for weights in shared.learning._all("parameters"))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    def alarms(rows: list[Any]) -> list[int]:
        return [row.step for row in rows if row.metric == "alarm"]

    assert alarms(theirs) == alarms(mine)
    if "schedule" in changes:
        assert alarms(mine)
    losses = [[r.value for r in rows if r.metric == "batch_loss"] for rows in (mine, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_checkpoint_of_two_learners_continues_to_the_last_bit(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    run = cartpole(2, agent=RAINBOW)
    whole = build(run)
    finish(whole)
    expected = whole.learning.weights()
    whole.stop()
    first = build(run)
    while first.agent_steps < 80:
        first.advance()
    first.save_to_path(tmp_path)
    first.stop()
    second = build(run)
    second.restore_from_path(tmp_path)
    finish(second)
    assert all(torch.equal(a, b) for a, b in zip(expected, second.learning.weights(), strict=True))


def test_a_batch_must_be_shared_evenly() -> None:
    with pytest.raises(ConfigError) as caught:
        cartpole(3).check()
    assert caught.value.key == "resources.learners"
