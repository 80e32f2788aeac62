"""Every registered task of the RL engine: paired arms, repeatable rows, exact continuation.

Emulators cannot be saved, so what continues to the last bit is learning from the same replay.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import WATCHFUL, equal, every, facts, tasks

from suite.metrics.base import METRICS
from suite.run_config import RunConfig
from suite.training.session import MemorySession

pytestmark = pytest.mark.ray

Smoke = Callable[..., RunConfig]
Build = Callable[[RunConfig], Any]
RL = tasks("rl")
NAMES = sorted(n for n, m in METRICS.entries().items() if "predictions" not in m.needs)
SIZES = ("batch_size", "replay_capacity", "target_every")
SCHEDULES = [
    pytest.param({"kind": "cyclic", "period": 5}, id="cyclic"),
    pytest.param({"kind": "triggered", "trigger": WATCHFUL}, id="triggered"),
]


def _learning(algorithm: Any) -> dict[str, Any]:
    """Return all that an update depends on or changes, the replay aside."""
    learner = algorithm.learner
    return {
        "net": learner.net.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "stack": learner.stack.state_dict(),
        "step": learner.step,
        "alarms": getattr(learner.schedule, "alarms", []),
        "rows": learner.measure(),
    }


@pytest.mark.parametrize("kind", RL)
def test_arms_are_paired(kind: str, smoke: Smoke, algorithm: Build) -> None:
    """Weights, environments and what is acted and remembered before learning are shared."""
    interventions = [p.values[0] for p in every("intervention")]
    arm = smoke(kind, interventions=interventions, schedule="single_cycle")

    def drawn(run: RunConfig) -> list[Any]:
        built = algorithm(run)
        weights = [p.detach().clone() for p in built.learner.net.q.parameters()]
        while built.agent_steps < run.task.learning_starts:
            built.advance()
        sample = built.ring.sample(8)
        return [weights, *(torch.as_tensor(x.copy()) for x in (sample.s_tm1, sample.a_tm1))]

    plain = drawn(smoke(kind))
    assert equal(drawn(arm), plain)
    assert not any(equal(a, b) for a, b in zip(drawn(smoke(kind, seed=1)), plain, strict=True))


@pytest.mark.parametrize("kind", RL)
def test_two_runs_give_the_same_rows(
    kind: str, smoke: Smoke, algorithm: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib.trial import train_rl

    run = smoke(kind, schedule=SCHEDULES[1].values[0], metrics={"names": NAMES, "every": 3})
    sessions = [MemorySession(), MemorySession()]
    for session in sessions:
        train_rl(run, session)
    first, second = (facts(session.rows) for session in sessions)
    assert first == second
    rows = sessions[0].rows
    assert [row.step for row in rows] == sorted(row.step for row in rows)
    assert rows[-1].step == run.clock().total
    assert {"learning_rate", "batch_loss", *run.metric_names} <= {
        *(row.metric for row in rows),
        "attention_rank",  # of a network with attention alone
    }


def _continues(run: RunConfig, algorithm: Build, folder: Path) -> None:
    first, second = algorithm(run), algorithm(run)
    while first.gradient_steps < run.clock().total // 2:
        first.advance()
    first.save_to_path(folder)
    second.restore_from_path(folder)
    assert second.gradient_steps == first.gradient_steps > 0
    for both in (first, second):
        for _ in range(run.clock().total - both.gradient_steps):
            both._learn()
    expected = _learning(first)
    assert equal(_learning(second), expected)
    assert bool(expected["alarms"]) == (run.schedule.kind == "triggered")


@pytest.mark.parametrize("kind", RL)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_continues_to_the_last_bit(
    kind: str, schedule: dict[str, Any], smoke: Smoke, algorithm: Build, tmp_path: Path
) -> None:
    """With one intervention of each kind at once."""
    chosen = {p.values[0]["kind"]: p.values[0] for p in every("intervention")}.values()
    possible = [i for i in chosen if smoke(kind, interventions=[i]).skip_reason() is None]
    assert possible
    metrics = {"names": NAMES, "every": 3}
    run = smoke(kind, schedule=schedule, interventions=possible, metrics=metrics)
    _continues(run, algorithm, tmp_path)


@pytest.mark.parametrize("kind", RL[-1:])
@pytest.mark.parametrize("agent", every("agent"))
def test_learning_continues_with_each_agent(
    kind: str, agent: dict[str, Any], smoke: Smoke, algorithm: Build, tmp_path: Path
) -> None:
    small = {key: value for key, value in smoke(kind).agent if key in SIZES}
    run = smoke(kind, agent={**small, **agent}, schedule=SCHEDULES[1].values[0])
    run.check()
    _continues(run, algorithm, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RL)
@pytest.mark.parametrize("intervention", every("intervention"))
def test_learning_continues_with_each_intervention(
    kind: str, intervention: dict[str, Any], smoke: Smoke, algorithm: Build, tmp_path: Path
) -> None:
    run = smoke(kind, schedule=SCHEDULES[1].values[0], interventions=[intervention])
    if reason := run.skip_reason():
        pytest.skip(reason)
    _continues(run, algorithm, tmp_path)
