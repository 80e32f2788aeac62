"""Runs over changed environments in sequence: exact boundaries, whose data are whose, resume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from suite.config import merge
from suite.rl.run import RLRun
from suite.run_config import RunConfig

pytestmark = pytest.mark.ray

LENGTH = 90
FACTORS = (1.0, 2.0, 3.0)
BASE: dict[str, Any] = {
    "task": {
        "kind": "sequential",
        # Each is told apart by what it shows at least, and by what a catch is worth.
        "environments": [
            {
                "kind": "classic_control",
                "env": "Catch-v0",
                "wrap": {"shift": factor, "reward_factor": factor, "permute_observations": 3},
            }
            for factor in FACTORS
        ],
        "visit_length": {"agent_steps": LENGTH},
        "learning_starts": 40,
        "utd": 0.5,
        "evaluation": {"episodes": 4, "every": {"agent_steps": 40}, "epsilon": 0},
    },
    "model": {"kind": "mlp", "width": 8, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 7},
    "optimizer": {"kind": "adam", "lr": 0.01},
    "schedule": {"kind": "task_aligned", "then": {"kind": "warmup_cosine", "warmup": 4}},
    "interventions": ["nap"],
    "metrics": {"names": ["parameter_norm"], "every": 1},
}


@pytest.fixture
def build(build: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that builds the algorithm of a changed `BASE`, with its rows."""

    def make(**overrides: Any) -> tuple[Any, list[Any]]:
        run = RLRun.of(RunConfig.from_mapping(merge(BASE, overrides)))
        run.check()
        built: tuple[Any, list[Any]] = build(run)
        return built

    return make


def advance_to(algorithm: Any, agent_steps: int) -> None:
    while algorithm.agent_steps < agent_steps:
        algorithm.advance()


@pytest.mark.parametrize("lanes", [1, 4])
def test_each_visit_has_its_own_data_episodes_evaluations_and_cycle(
    build: Callable[..., Any], lanes: int
) -> None:
    algorithm, rows = build(**{"task.lanes": lanes, "task.visits": 2, "task.visit_score": "mean"})
    for visit in range(6):
        factor = FACTORS[visit % 3]
        advance_to(algorithm, LENGTH * visit + 40)
        sample = algorithm.ring.sample(64, algorithm.ring.uniform)
        for frames in (sample.s_tm1, sample.s_t):
            assert set(np.unique(frames)) == {factor, factor + 1}
        advance_to(algorithm, LENGTH * (visit + 1))
        assert algorithm.gradient_steps == 25 * (visit + 1)
    assert algorithm.finished
    found = defaultdict(list)
    for row in rows:
        found[row.metric, row.layer].append(row)
    phases = [(row.step, row.frames, row.value) for row in found["phase", ""]]
    assert phases == [(25 * k, LENGTH * k, float(k)) for k in range(6)]
    rates = {row.step: row.value for row in found["learning_rate", ""]}
    assert all(rates[25 * v + t] == rates[t] for v in range(6) for t in range(1, 26))
    assert rates[5] == 0.01
    for place, factor in enumerate(FACTORS):
        name = f"Catch-v0_{place}"
        for metric in ("episode_return", "evaluation_episode_return"):
            values = found[metric, name]
            assert {abs(row.value) for row in values} == {factor}
            assert {(row.frames - 1) // LENGTH for row in values} <= {place, place + 3}
        means = [row.value for row in found["evaluation_return", name]]
        assert len(means) == 6  # after 40, 80 and 90 agent steps of two visits
        visits = [row.value for row in found["visit_return", name]]
        assert visits == [pytest.approx(np.mean(means[:3])), pytest.approx(np.mean(means[3:]))]
    overall = [row.value for row in found["visit_return", ""]]
    last = [found["visit_return", f"Catch-v0_{place}"][-1].value for place in range(3)]
    assert len(overall) == 4
    assert overall[-1] == pytest.approx(np.mean(last))


def test_a_fresh_network_begins_each_visit_anew(build: Callable[..., Any]) -> None:
    algorithm, rows = build(**{"task.switch.fresh_network": True})
    advance_to(algorithm, LENGTH)
    before = [p.detach().clone() for p in algorithm.learner.net.q.parameters()]
    algorithm._enter()
    drawn = [*algorithm.learner._fresh(25).parameters()]
    after = [*algorithm.learner.net.q.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(after, drawn, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(after, before, strict=True) if a.ndim > 1)
    advance_to(algorithm, 3 * LENGTH)
    assert [row.layer for row in rows if row.metric == "reset"] == ["all"] * 2


def test_runs_resume_across_switches_to_the_last_bit(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    keys = {"task.lanes": 2, "task.visit_score": "mean"}
    whole, rows = build(**keys)
    advance_to(whole, 3 * LENGTH)
    theirs = whole.learner.net.state_dict()

    def facts(found: list[Any]) -> list[tuple[Any, ...]]:
        return [(r.step, r.frames, *r[3:]) for r in found if not r.metric.endswith("_per_s")]

    # In a visit after an evaluation, at a boundary, and in the warm-up of a visit.
    for at in (LENGTH - 8, LENGTH, 2 * LENGTH + 20):
        first, before = build(**keys)
        advance_to(first, at)
        first.save_to_path(tmp_path / str(at))
        second, after = build(**keys)
        second.restore_from_path(tmp_path / str(at))
        advance_to(second, 3 * LENGTH)
        assert facts(before + after) == facts(rows)
        mine = second.learner.net.state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
