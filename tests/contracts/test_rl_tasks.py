"""Every registered task of the RL engine: paired arms, repeatable rows, exact continuation."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import WATCHFUL, agents, equal, every, facts, tasks

from suite.metrics.base import METRICS, Observation, StatefulMetric, metric
from suite.rows import RECORDED, Row
from suite.run_config import RunConfig
from suite.tasks.base import TASKS
from suite.training.session import MemorySession

pytestmark = pytest.mark.ray

Smoke = Callable[..., RunConfig]
Build = Callable[[RunConfig], Any]
RL = tasks("rl")
SUPERVISED = {"predictions", "splits", "task"}
NAMES = sorted(n for n, m in METRICS.entries().items() if not m.needs & SUPERVISED)
TRIGGERED = {"kind": "triggered", "trigger": WATCHFUL}
SMALL = TASKS["classic_control"].smoke["agent"]
RUNS = [
    *(pytest.param(kind, {}, id=kind) for kind in RL),
    *(
        pytest.param("classic_control", {"agent": SMALL | p.values[0]}, id=p.id)
        for p in agents("rl")
        if SMALL | p.values[0] != SMALL
    ),
]
"""Every task with its own agent, and every agent on the quickest task."""


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
        while built.agent_steps < run.task.learning_starts:  # type: ignore[attr-defined]
            built.advance()
        sample = built.ring.sample(8)
        return [weights, *(torch.as_tensor(x.copy()) for x in (sample.s_tm1, sample.a_tm1))]

    plain = drawn(smoke(kind))
    assert equal(drawn(arm), plain)
    assert not any(equal(a, b) for a, b in zip(drawn(smoke(kind, seed=1)), plain, strict=True))


@pytest.mark.usefixtures("started_ray")
@pytest.mark.parametrize(("kind", "overrides"), RUNS)
def test_two_runs_give_the_same_rows(kind: str, overrides: dict[str, Any], smoke: Smoke) -> None:
    from suite.launch.rllib.trial import train_rl

    metrics = {"names": NAMES, "every": 3}
    run = smoke(kind, schedule=TRIGGERED, metrics=metrics, **overrides)
    run.check()
    sessions = [MemorySession(), MemorySession()]
    for session in sessions:
        train_rl(run, session)
    first, second = (facts(session.rows) for session in sessions)
    assert first == second
    rows = sessions[0].rows
    assert [row.step for row in rows] == sorted(row.step for row in rows)
    assert rows[-1].step == run.clock().total
    # A network may lack the points that a metric of taps reads.
    promised = {name for name in NAMES if "taps" not in METRICS[name].needs}
    assert {"learning_rate", "batch_loss", *promised} <= {row.metric for row in rows}
    for row in rows:
        possible = run.ranges.get(row.metric) or RECORDED[row.metric]
        assert math.isnan(row.value) or not possible.outside([row.value]), row


def _resumes(run: RunConfig, algorithm: Build, folder: Path) -> None:
    """Check that 2n updates equal n, a checkpoint, its restoration and n more, rows included."""
    rows: list[list[Row]] = []
    whole, first, second = (algorithm(run) for _ in range(3))
    for one in (whole, first, second):
        rows.append([])
        one.recorder.sink = rows[-1].extend
    while not whole.finished:
        whole.advance()
    while first.gradient_steps < run.clock().total // 2:
        first.advance()
    first.save_to_path(folder)
    second.restore_from_path(folder)
    assert 0 < second.gradient_steps == first.gradient_steps < whole.gradient_steps
    while not second.finished:
        second.advance()
    expected = _learning(whole)
    assert equal(_learning(second), expected)
    assert facts(rows[1] + rows[2]) == facts(rows[0])
    assert bool(expected["alarms"]) == (run.schedule.kind == "triggered")


@pytest.mark.parametrize(("kind", "overrides"), RUNS)
def test_training_resumes_to_the_last_bit(
    kind: str, overrides: dict[str, Any], smoke: Smoke, algorithm: Build, tmp_path: Path
) -> None:
    """With one intervention of each kind at once."""
    chosen = {p.values[0]["kind"]: p.values[0] for p in every("intervention")}.values()
    possible = [i for i in chosen if smoke(kind, interventions=[i]).skip_reason() is None]
    assert possible
    overrides = {**overrides, "interventions": possible, "metrics": {"names": NAMES, "every": 3}}
    _resumes(smoke(kind, schedule=TRIGGERED, **overrides), algorithm, tmp_path)


def test_a_metric_with_state_resumes_to_the_last_bit(
    smoke: Smoke, algorithm: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(StatefulMetric):
        """Measurements made, and the sum of a weight over them."""

        def __init__(self) -> None:
            self.state: dict[str, Any] = {"calls": 0, "sum": torch.zeros(())}

        def __call__(self, seen: Observation) -> dict[str, torch.Tensor]:
            self.state["calls"] += 1
            self.state["sum"] = self.state["sum"] + next(iter(seen.parameters.values())).mean()
            return {"calls": torch.tensor(self.state["calls"]), "sum": self.state["sum"]}

        def state_dict(self) -> dict[str, Any]:
            return self.state

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.state = dict(state)

    monkeypatch.setattr(METRICS, "_entries", dict(METRICS.entries()))
    metric("counting", "1", "parameters")(Counting)
    metrics = {"names": ["counting"], "every": 3}
    _resumes(smoke("classic_control", schedule=TRIGGERED, metrics=metrics), algorithm, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RL)
@pytest.mark.parametrize("schedule", ["single_cycle", TRIGGERED], ids=["cycle", "triggered"])
@pytest.mark.parametrize("intervention", every("intervention"))
def test_training_resumes_with_each_intervention(
    kind: str,
    schedule: Any,
    intervention: dict[str, Any],
    smoke: Smoke,
    algorithm: Build,
    tmp_path: Path,
) -> None:
    run = smoke(kind, schedule=schedule, interventions=[intervention])
    if reason := run.skip_reason():
        pytest.skip(reason)
    _resumes(run, algorithm, tmp_path)
