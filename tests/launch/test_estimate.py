"""Predicted times: runs that share a trial share the overhead of its updates."""

from __future__ import annotations

import pytest

from suite.launch import estimate
from suite.run_config import RunConfig


def run(seed: int, **keys: object) -> RunConfig:
    task = {"kind": "quadratic_regression"}
    base = {"task": task, "model": {"kind": "committee"}, "optimizer": {"kind": "sgd"}}
    return RunConfig.model_validate({**base, "budget": 1000, "seed": seed, **keys})


def test_runs_at_once_share_the_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "matmul_rate", lambda: 1e30)
    alike, other = [run(seed) for seed in range(6)], run(0, model={"kind": "mlp"})
    trials = estimate.estimate_trials([*alike, other], slots=2)
    assert sorted(map(len, trials)) == [1, 2, 4]
    costs = {run_id: seconds for trial in trials for run_id, seconds in trial.items()}
    alone = 1000 * estimate.UPDATE_OVERHEAD_S
    # Seven runs on two cores: groups of at most four.
    shares = [alone / 4] * 4 + [alone / 2] * 2
    assert [costs[c.run_id] for c in alike] == pytest.approx(shares)
    assert costs[other.run_id] == pytest.approx(alone)
    (only,) = estimate.estimate_trials([alike[0]], slots=2)
    assert only[alike[0].run_id] == pytest.approx(alone)
