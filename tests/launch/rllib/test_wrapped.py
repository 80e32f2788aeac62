"""Runs on a changed environment: acting, evaluation and a restored run all have the changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from suite.run_config import RunConfig

pytestmark = pytest.mark.ray

WRAP = {
    "permute_observations": 3,
    "shift": 0.5,
    "mask": {"share": 0.5},
    "permute_actions": 6,
    "reward_factor": -2.0,
}


def run_of(smoke: Callable[..., RunConfig], kind: str) -> RunConfig:
    evaluation = {"episodes": 2, "every": {"agent_steps": 25}}
    task = {"wrap": WRAP, "evaluation": evaluation, "max_episode_steps": 20, "lanes": 2}
    if kind == "envpool":
        task["env"], task["observation"], task["flatten"] = "CartPole-v1", [], True
    overrides = {"task": task, "budget": {"agent_steps": 120}}
    return smoke(kind, **overrides)


@pytest.mark.parametrize("kind", ["classic_control", "envpool", "gym"])
def test_acting_evaluation_and_a_restored_run_have_the_changes(
    build: Callable[..., Any], smoke: Callable[..., RunConfig], tmp_path: Path, kind: str
) -> None:
    run = run_of(smoke, kind)
    run.check()
    whole, rows = build(run)
    while not whole.finished:
        whole.advance()
    for metric in ("episode_return", "evaluation_episode_return"):
        values = [row.value for row in rows if row.metric == metric]
        assert values, metric
        assert all(value < 0 and value % 2 == 0 for value in values), metric  # -2 a step
        assert run.ranges[metric].outside(values) == 0
    sample = whole.ring.sample(32)
    for frames in (sample.s_tm1, sample.s_t):
        assert ((frames == 0).sum(1) == 2).all()
    assert (sample.r_t <= 0).all()
    first, before = build(run)
    while first.agent_steps < 70:
        first.advance()
    first.save_to_path(tmp_path)
    second, after = build(run)
    second.restore_from_path(tmp_path)
    while not second.finished:
        second.advance()
    facts = [
        [(r.step, r.frames, *r[3:]) for r in found if not r.metric.endswith("_per_s")]
        for found in (rows, before + after)
    ]
    assert facts[0] == facts[1]
    theirs = second.learner.net.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in whole.learner.net.state_dict().items())
