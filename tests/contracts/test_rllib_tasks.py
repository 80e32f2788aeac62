"""Every registered task and agent of RLlib's engine: paired, repeatable, continued exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import agents, equal, facts, tasks

from suite.clock import Clock
from suite.metrics.base import METRICS, OF_PARAMETERS
from suite.rows import RECORDED, Row
from suite.run_config import RunConfig
from suite.training.session import MemorySession

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("started_ray")]

Smoke = Callable[..., RunConfig]
Build = Callable[[RunConfig], Any]
NAMES = sorted(n for n, m in METRICS.entries().items() if m.needs <= OF_PARAMETERS)
SMALL = {"batch_size": 16, "minibatch_size": 8, "epochs": 2}
CYCLIC = {"kind": "cyclic", "period": 5, "floor": 0.1, "warmup": 1}
ENVIRONMENTS = [
    pytest.param({"env": "CartPole-v1"}, id="discrete"),
    pytest.param({"env": "CartPole-v1", "max_episode_steps": 8}, id="ends with a batch"),
    pytest.param({"env": "Pendulum-v1", "max_episode_steps": 5}, id="continuous"),
    pytest.param({"env": "InvertedPendulum-v4", "backend": "envpool"}, id="envpool"),
]
RUNS = [
    *(pytest.param(kind, {}, id=kind) for kind in tasks("rllib")),
    *(pytest.param("rllib", {"agent": SMALL | p.values[0]}, id=p.id) for p in agents("rllib")),
    *(pytest.param("rllib", {"task": p.values[0]}, id=p.id) for p in ENVIRONMENTS),
]
"""Every task with its own agent, every agent, and every kind of environment."""


@pytest.fixture
def training() -> Iterator[Build]:
    """Return a function that builds a run and is ready to stop it."""
    from suite.launch.stock.trial import StockTraining

    made: list[StockTraining] = []

    def build(run: RunConfig) -> StockTraining:
        made.append(StockTraining(run))
        return made[-1]

    yield build
    for one in made:
        one.stop()


def _weights(built: Any) -> dict[str, Any]:
    network = built.learner.module["default_policy"]
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize(("kind", "overrides"), RUNS)
def test_arms_are_paired(
    kind: str, overrides: dict[str, Any], smoke: Smoke, training: Build
) -> None:
    """Weights, and what is acted before the first update, are shared."""
    from suite.launch.stock.trial import seed_generators

    arm = training(smoke(kind, interventions=["nap"], schedule=CYCLIC, **overrides))
    plain, other = training(smoke(kind, **overrides)), training(smoke(kind, seed=1, **overrides))
    assert equal(_weights(arm), _weights(plain))
    assert not equal(_weights(other), _weights(plain))
    first = []
    for run in (arm, plain, other):
        seed_generators(run.run)  # they are global, and each run was built before any acts
        run.advance()
        first.append([torch.as_tensor(lane.state_dict()["actions"]) for lane in run.lanes])
    assert equal(first[0], first[1])
    assert not equal(first[2], first[1])


@pytest.mark.parametrize(("kind", "overrides"), RUNS)
def test_two_runs_give_the_same_rows(kind: str, overrides: dict[str, Any], smoke: Smoke) -> None:
    from suite.launch.stock.trial import train_stock

    run = smoke(kind, interventions=["nap"], metrics={"names": NAMES, "every": 3}, **overrides)
    run.check()
    sessions = [MemorySession(), MemorySession()]
    for session in sessions:
        torch.manual_seed(len(sessions[0].rows))  # what was drawn before does not matter
        train_stock(run, session)
    first, second = (facts(session.rows) for session in sessions)
    assert first == second
    rows = sessions[0].rows
    assert [row.step for row in rows] == sorted(row.step for row in rows)
    assert [row.frames for row in rows] == sorted(row.frames for row in rows)
    assert rows[-1].step == run.clock().total
    assert {row.step for row in rows if row.metric == "parameter_norm"} == {0, 3, 6, 9, 12}
    lanes = run.task.lanes  # type: ignore[attr-defined]
    assert 48 <= rows[-1].frames < 48 + 3 * lanes
    assert {"learning_rate", "batch_loss", "updates_per_agent_step", *NAMES} <= {
        row.metric for row in rows
    }
    for row in rows:
        possible = run.ranges.get(row.metric) or RECORDED[row.metric]
        assert not possible.outside([row.value]), row


@pytest.mark.parametrize(("kind", "overrides"), RUNS)
def test_training_resumes_to_the_last_bit(
    kind: str, overrides: dict[str, Any], smoke: Smoke, training: Build, tmp_path: Path
) -> None:
    interventions = [
        "nap",
        {"kind": "l2_init", "coefficient": 0.01},
        {"kind": "shrink_perturb", "every": 5, "shrink": 0.8, "perturb": 0.1},
    ]
    stop = {"kind": "adaptive_stop", "period": 3, "k": 0.0, "patience": 1}
    run = smoke(
        kind,
        interventions=interventions,
        schedule=stop,
        metrics={"names": NAMES, "every": 3},
        budget={"agent_steps": 96},
        **overrides,
    )
    rows: list[list[Row]] = [[], [], []]
    whole = training(run)
    whole.recorder.sink = rows[0].extend
    whole.start()
    while whole.gradient_steps < whole.total:
        whole.advance()
    first = training(run)
    first.recorder.sink = rows[1].extend
    first.start()
    while first.gradient_steps < whole.total // 2:
        first.advance()
    first.save(tmp_path)
    second = training(run)
    second.recorder.sink = rows[2].extend
    second.load(tmp_path)
    assert second.gradient_steps == first.gradient_steps == whole.total // 2
    assert second.agent_steps == first.agent_steps
    while second.gradient_steps < second.total:
        second.advance()
    assert facts(rows[1] + rows[2]) == facts(rows[0])
    assert equal(_weights(second), _weights(whole))
    assert "shrink_perturb" in {row.metric for row in rows[2]}


def test_rates_are_those_of_the_schedule(smoke: Smoke) -> None:
    from suite.launch.stock.trial import train_stock

    run = smoke("rllib", schedule={**CYCLIC, "period": {"agent_steps": 20}}, metrics={"every": 1})
    assert run.clock() == Clock(12, agent_steps_per_step=4, frames_per_agent_step=1)
    session = MemorySession()
    train_stock(run, session)
    found = {row.step: row.value for row in session.rows if row.metric == "learning_rate"}
    schedule = run.build_schedule()
    assert found == {t: pytest.approx(1e-3 * schedule(max(t - 1, 0))) for t in range(13)}
    assert len(set(found.values())) > 3
