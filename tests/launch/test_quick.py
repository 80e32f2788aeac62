"""The quick sweep as `make run` runs it: what it must show, measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from suite import load_results
from suite.sweeps.sweep import load_sweep

ROOT = Path(__file__).parent.parent.parent
RHO = 0.4
"""Fraction of the pairs that modular addition trains on."""

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the sweep."""
    out = tmp_path_factory.mktemp("quick") / "out"
    command = [sys.executable, str(ROOT / "run_suite.py"), "run", "quick", "--results", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for name in ("report.html", "summary.json", "table.txt"):
        assert (out / "report" / name).is_file()
    return out


@pytest.fixture(scope="module")
def rows(results: Path) -> pd.DataFrame:
    """All rows of the sweep."""
    return load_results(results)


def _series(rows: pd.DataFrame, task: str, arm: str, metric: str, layer: str) -> list[pd.Series]:
    """Return one series over gradient steps for each seed."""
    chosen = rows[(rows.task == task) & (rows.arm == arm)]
    chosen = chosen[(chosen.metric == metric) & (chosen.layer == layer)]
    return [g.set_index("step").value for _, g in chosen.groupby("seed", observed=True)]


def test_projection_groks_and_free_norms_or_a_low_rate_do_not(rows: pd.DataFrame) -> None:
    def accuracy(arm: str) -> list[pd.Series]:
        found = _series(rows, "modular_addition", arm, "accuracy", "test")
        assert len(found) == 3
        return found

    assert all(s.iloc[-1] >= 0.99 for s in accuracy("constant_nap"))
    assert all(s.max() < RHO + 0.10 for s in accuracy("constant_free"))
    assert all(s.max() < RHO + 0.10 for s in accuracy("low_nap"))
    for s in accuracy("low_then_rewarmed_nap"):
        assert s.loc[:800].max() < RHO + 0.10
        assert s.iloc[-1] >= 0.95


def test_features_move_at_the_re_warm(rows: pd.DataFrame) -> None:
    name = ("activation_pattern_change", "mean")
    changes = _series(rows, "modular_addition", "low_then_rewarmed_nap", *name)
    assert len(changes) == 3
    for s in changes:
        assert s.loc[801:900].mean() >= 3 * s.loc[700:800].mean()


def test_the_trigger_alarms_once_soon_after_the_boundary(rows: pd.DataFrame) -> None:
    (run, *_) = [
        t.config
        for t in load_sweep(["quick"], [ROOT / "tune_configs"]).trials
        if t.task == "warm_start" and t.arm == "cusum_nap"
    ]
    boundary = run.clock().starts[1]
    alarms = rows[(rows.task == "warm_start") & (rows.metric == "alarm")]
    assert set(alarms.arm) == {"cusum", "cusum_nap"}
    steps = [list(g.step) for _, g in alarms.groupby(["arm", "seed"], observed=True)]
    assert sum(len(s) == 1 and boundary <= s[0] <= boundary + 50 for s in steps) >= 9


def test_the_gap_to_fresh_has_its_interval(rows: pd.DataFrame, results: Path) -> None:
    summary = json.loads((results / "report" / "summary.json").read_text())["warm_start"]
    for arm in ("constant", "constant_nap", "rewarmed_nap", "cusum_nap"):
        entry = summary[arm]
        assert entry["gap_lo"] <= entry["gap"] <= entry["gap_hi"]
        assert entry["gap"] == pytest.approx(entry["mean"] - summary["fresh_nap"]["mean"])


def test_both_re_warming_and_projection_are_needed(rows: pd.DataFrame) -> None:
    """What tells apart by far in results/warm_start; the paper's argument in minutes."""
    ends = {
        arm: [s.iloc[-1] for s in _series(rows, "warm_start", arm, "accuracy", "test")]
        for arm in ("rewarmed_nap", "rewarmed", "constant_nap")
    }
    means = {arm: sum(values) / len(values) for arm, values in ends.items()}
    assert means["rewarmed_nap"] > max(means["rewarmed"], means["constant_nap"])


def test_cartpole_is_learnt(rows: pd.DataFrame) -> None:
    arms = ("constant", "cyclic", "cyclic_then_annealed")
    ends = {
        a: [s.iloc[-1] for s in _series(rows, "cartpole", a, "mean_return_20", "")] for a in arms
    }
    assert all(len(returns) == 5 for returns in ends.values())
    assert min(sum(returns) / len(returns) for returns in ends.values()) >= 195, ends


def test_rates_and_norms_of_breakout_are_what_was_asked_for(rows: pd.DataFrame) -> None:
    trials = [
        t for t in load_sweep(["quick"], [ROOT / "tune_configs"]).trials if t.task == "breakout"
    ]
    assert len(trials) == 3
    for trial in trials:
        of_run = rows[(rows.run_id == trial.run_id)]
        schedule, lr = trial.config.build_schedule(), trial.config.optimizer.lr
        rates = of_run[of_run.metric == "learning_rate"]
        assert len(rates) > 30
        for step, value in zip(rates.step, rates.value, strict=True):
            assert value == pytest.approx(lr * schedule(max(step - 1, 0)), rel=1e-9)
        norms = of_run[of_run.metric == "parameter_norm"]
        for name in ("conv1", "conv2", "conv3", "hidden"):
            values = norms[norms.layer == f"{name}.weight"].value
            assert values.max() / values.min() < 1 + 1e-4
        last = of_run[of_run.metric == "updates_per_agent_step"]
        assert last.value.iloc[-1] == 1.0
