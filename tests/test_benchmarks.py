"""The benchmarks at their smallest: that they measure something, not how much."""

import importlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

FOLDER = str(Path(__file__).parent.parent / "benchmarks")


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Return a function that imports a module of the benchmarks, as their scripts do."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(FOLDER):
            del sys.modules[name]


def test_every_figure_is_made_of_contenders(load: Callable[[str], Any]) -> None:
    rl = load("rl")
    assert len(rl.GROUPS) == len(rl.FIGURES)
    for builders, figures in zip(rl.GROUPS, rl.FIGURES, strict=True):
        for figure, pair in figures.items():
            assert figure in rl.__doc__
            assert set(pair) <= set(builders)


def test_segments_take_turns(load: Callable[[str], Any]) -> None:
    common = load("common")
    turns = []
    found = common.interleaved({"a": lambda: turns.append("a"), "b": lambda: None}, 1e-4, 3)
    assert turns
    assert {name: len(times) for name, times in found.items()} == {"a": 3, "b": 3}
    assert common.ratio([2.0, 6.0, 9.0], [1.0, 2.0, 1.0]) == 3.0


def test_ring_against_bare_loop(load: Callable[[str], Any]) -> None:
    rl, engine, handwritten = load("rl"), load("rl_engine"), load("rl_handwritten")
    builders = {"bare": handwritten.bare, "per": lambda: engine.sampling(2000, True, (84,))}
    figures, seconds = rl.compare(builders, {"per_share": ("per", "bare")}, 1, 0.01)
    assert figures["per_share"] > 0
    assert set(seconds) == {"bare", "per"}


@pytest.mark.parametrize("kind", ["Dqn", "Rainbow"])
def test_handwritten_loop_learns(load: Callable[[str], Any], kind: str) -> None:
    handwritten = load("rl_handwritten")
    agent = getattr(handwritten, kind)()
    loop = handwritten.Loop(agent, 0.0, prioritized=kind == "Rainbow")
    before = [p.clone() for p in agent.q.parameters()]
    loop.go(2)
    loop.pool.close()
    assert agent.updates == 2
    assert not any(map(torch.equal, before, agent.q.parameters()))


def test_handwritten_network_is_the_engine_s(load: Callable[[str], Any]) -> None:
    engine, handwritten = load("rl_engine"), load("rl_handwritten")
    agent, learner = handwritten.Dqn(), engine.make_learner(engine.atari_run())
    with torch.no_grad():
        for mine, its in zip(learner.net.parameters(), [*agent.q.parameters()] * 2, strict=True):
            mine.copy_(its)
    batch = engine.ready_batches(1)[0]
    for _ in range(3):
        agent.update(batch)
        learner.learn(batch)
    for mine, its in zip(learner.net.q.parameters(), agent.q.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-6)


def test_frames_of_the_peer(load: Callable[[str], Any]) -> None:
    frames = load("rl_peers").Frames()
    first, _ = frames.reset()
    assert first.dtype == np.float32
    assert first in frames.observation_space
    assert frames.step(0)[0] in frames.observation_space
    frames.pool.close()


def test_stable_baselines_takes_a_step(load: Callable[[str], Any]) -> None:
    pytest.importorskip("stable_baselines3")
    contender = load("rl_peers").sb3(tiny=True, steps=2)
    contender.call()
    contender.close()


def test_sbx_takes_a_step(load: Callable[[str], Any]) -> None:
    pytest.importorskip("sbx")
    contender = load("rl_peers").sbx(steps=2, utd=3)
    contender.call()
    contender.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's own compiler
def test_paths_for_gpus_are_checked_on_a_cpu(
    load: Callable[[str], Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = load("gpu")
    assert gpu.main(["--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert all(f"{name:<12} ok" in told for name in ("ring", *gpu.BOUNDS))
    assert all(f"{name:<12} " in told.split("us an update")[0] for name in gpu.BOUNDS)
    monkeypatch.setattr(gpu, "BOUNDS", {**gpu.BOUNDS, "bf16": 1e-9})
    monkeypatch.setattr(gpu, "times", lambda *_: {})
    assert gpu.main(["--device", "cpu"]) == 1, "what is beyond its bound fails"


def test_without_a_gpu_the_checks_say_so(
    load: Callable[[str], Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load("gpu").main([]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--device cpu" in told


@pytest.mark.slow
@pytest.mark.ray
def test_a_small_soak_looks_at_both_processes(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, started_ray: None
) -> None:
    soak = load("soak")
    monkeypatch.setattr(soak, "start_ray", lambda: None)
    monkeypatch.setattr(soak, "LOOKS", 9)
    runs: list[Any] = []
    build = soak.algorithm_config

    def kept(run: Any) -> Any:
        runs.append(run)
        return build(run)

    monkeypatch.setattr(soak, "algorithm_config", kept)
    looks = soak.soak(400)
    (run,) = runs
    assert (run.agent.kind, run.task.runners, run.agent.replay_capacity) == ("rainbow", 1, 100)
    assert len(looks) == 10
    for key in ("agent_steps", "wall_s", "cpu_s"):
        assert all(a[key] < b[key] for a, b in itertools.pairwise(looks)), key
    assert looks[-1]["agent_steps"] >= 360
    assert all(look[f"{who}_bytes"] > 2**20 for look in looks for who in ("learner", "runner"))
    assert any(look["learner_bytes"] != look["runner_bytes"] for look in looks)
    figures = soak.figures(looks, 100)
    assert abs(figures["memory_growth_share"]) < 0.5
    assert abs(figures["runner_growth_share"]) < 0.5
    assert figures["pace_end_vs_start"] > 0
    assert figures["objects_end"] >= 0


def test_the_figures_of_a_soak_tell_growth_from_steadiness(load: Callable[[str], Any]) -> None:
    soak = load("soak")
    steady = [
        {"agent_steps": 10 * k, "cpu_s": k, "wall_s": k, "learner_bytes": 5.0, "runner_bytes": 7.0}
        | {"stored_bytes": 9.0}
        for k in range(40)
    ]
    flat = {"memory_growth_share": 0, "runner_growth_share": 0}
    assert soak.figures(steady, 100) == {**flat, "objects_end": 1, "pace_end_vs_start": 1}
    worse = [{**look, "learner_bytes": 5 + look["cpu_s"]} for look in steady]
    slower = [{**look, "cpu_s": look["cpu_s"] ** 2} for look in steady]
    assert soak.figures(worse, 100)["memory_growth_share"] > 1
    assert soak.figures(slower, 100)["pace_end_vs_start"] < 0.5


@pytest.mark.parametrize("name", ["committee", "diagonal", "completion", "pairs"])
def test_both_loops_of_the_laboratory_make_the_same_updates(
    load: Callable[[str], Any], name: str
) -> None:
    grokking = load("grokking")
    assert f"batched_{name}" in grokking.__doc__
    configs = grokking.requests(name, runs=2)
    seen = []
    for make, given in ((grokking.one_at_a_time, configs[0]), (grokking.side_by_side, configs)):
        runs: list[Any] = []
        real = grokking.SupervisedRun
        grokking.SupervisedRun = lambda *a, real=real, runs=runs: runs.append(real(*a)) or runs[-1]
        make(given, steps=3)()
        grokking.SupervisedRun = real
        seen.append(runs[0])
    assert seen[0].step == seen[1].step == 3
    for mine, other in zip(seen[0].model.parameters(), seen[1].model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_runs_of_streams_make_the_same_updates_at_once(load: Callable[[str], Any]) -> None:
    grokking, vision = load("grokking"), load("vision")
    assert vision.batched in vision.FIGURES
    configs = [vision.permuted(seed, "digits", 400) for seed in range(2)]
    seen: list[Any] = []
    real = grokking.SupervisedRun

    def kept(*arguments: Any) -> Any:
        seen.append(real(*arguments))
        return seen[-1]

    grokking.SupervisedRun = kept
    for call in (grokking.one_at_a_time(configs[0], 5), grokking.side_by_side(configs, 5)):
        for _ in range(6):  # a task has 25 updates
            call()
    grokking.SupervisedRun = real
    alone, first, second = seen
    assert alone.step == first.step == second.step == 30
    for mine, other in zip(alone.model.parameters(), first.model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
    assert not torch.equal(first.model[1].weight, second.model[1].weight)


def test_gains_at_once_are_measured_of_runs_that_can_be_joined(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    vision = load("vision")
    assert [name for name in vision.BATCHED if f"``{name}``" not in vision.__doc__] == []
    assert [i.kind for i in vision.BATCHED["mlp_batched_l2_init"](0).interventions] == ["l2_init"]
    without_files = ("mlp_batched_digits", "slow_regression_batched")
    cheap = {name: vision.BATCHED[name] for name in without_files}
    monkeypatch.setattr(vision, "BATCHED", cheap)
    monkeypatch.setattr(vision, "RUNS", 2)
    steps = {"alone": 0, "joined": 0}

    def once(calls: dict[str, Callable[[], None]], **keys: Any) -> dict[str, list[float]]:
        for name, call in calls.items():
            call()
            steps[name] += 1
        return {"alone": [3.0], "joined": [2.0]}

    monkeypatch.setattr(vision, "interleaved", once)
    assert vision.batched(1) == dict.fromkeys(cheap, 3.0)
    assert steps == {"alone": 2, "joined": 2}


def test_mutated_sweep_files_are_planned_or_refused(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz, faults = load("faults_fuzz"), load("faults")
    monkeypatch.setattr(fuzz, "LIMIT_S", 60.0)  # a test is no measurement of time
    cases = fuzz.cases(30, seed=1)
    assert cases == fuzz.cases(30, seed=1) != fuzz.cases(30, seed=2)
    outcomes = [fuzz.plan(case, tmp_path) for case in cases]
    assert {how for how, _ in outcomes} == {"accepted", "refused"}, outcomes
    found = tmp_path / "figures.json"
    assert faults.main(["--fuzz", "8", "--workers", "1", "--json", str(found)]) == 0
    figures = json.loads(found.read_text())["figures"]
    assert figures["accepted"] + figures["refused"] == 8


def test_what_should_not_be_is_told_of(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz, cli = load("faults_fuzz"), importlib.import_module("suite.launch.cli")
    case = fuzz.Case("a case", b"extends: quick\n", ())
    assert fuzz.plan(case, tmp_path) == ("accepted", "")
    monkeypatch.setattr(cli, "_load", lambda *_: 1 / 0)
    how, said = fuzz.plan(case, tmp_path)
    assert how == "traceback"
    assert "ZeroDivisionError" in said
    assert "a case" in fuzz.Outcome("a case", how, said, 0.1).told()


@pytest.mark.slow
def test_a_process_that_hangs_or_dies_is_replaced(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz = load("faults_fuzz")
    case = fuzz.Case("a case", b"extends: quick\n", ())
    planner = fuzz._Planner()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(fuzz, "IDLE_S", -1.0)
            patch.setattr(fuzz, "_cpu_s", lambda process: 0.0)
            patch.setattr(planner._pipe.__class__, "poll", lambda *_: False)
            assert planner(case).how == "over_time"
        planner._process.kill()
        assert planner(case).how == "traceback"
        assert planner(case).how == "accepted"
    finally:
        planner.close()
