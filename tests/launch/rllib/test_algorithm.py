"""The algorithm as a whole: exact proportions, weights that stay in step, checkpoints."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from suite.errors import ConfigError
from suite.run_config import RunConfig

MODEL = {"kind": "mlp", "width": 8, "depth": 2, "norm": "layer"}

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _ray(started_ray: None) -> None:
    return started_ray


def cartpole(utd: float = 1.0, lanes: int = 1, agent_steps: int = 160, **overrides: Any) -> Any:
    mapping = {
        "task": {"kind": "classic_control", "learning_starts": 40, "utd": utd, "lanes": lanes},
        "model": MODEL,
        "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 7},
        "optimizer": {"kind": "adam", "lr": 0.01},
        "interventions": ["nap"],
        "budget": {"agent_steps": agent_steps},
        "metrics": {"names": ["parameter_norm", "activation_pattern_change"], "every": 20},
        **overrides,
    }
    return RunConfig.from_mapping(mapping)


@pytest.fixture
def build() -> Iterator[Callable[..., Any]]:
    """Return a function that builds the algorithm of a run, stopped at the end of the test."""
    from suite.launch.rllib.config import algorithm_config

    built: list[Any] = []

    def make(run: RunConfig, **settings: Any) -> Any:
        built.append(algorithm_config(run).training(**settings).build_algo())
        return built[-1]

    yield make
    for algorithm in built:
        algorithm.stop()


@pytest.mark.parametrize(
    ("utd", "lanes"), [(0.25, 1), (1.0, 1), (4.0, 1), (0.3, 1), (1 / 3, 2), (0.25, 8), (2.0, 3)]
)
def test_updates_per_agent_step_are_exact_at_every_block(
    build: Callable[..., Any], utd: float, lanes: int
) -> None:
    run = cartpole(utd, lanes)
    algorithm = build(run)
    ratio = Fraction(utd).limit_denominator(1000)
    between = 0
    while not algorithm.finished:
        before = algorithm.agent_steps, algorithm.gradient_steps
        algorithm.advance()
        expected = max(0, int((algorithm.agent_steps - 40) * ratio))
        assert algorithm.gradient_steps == min(expected, algorithm.clock.total)
        assert algorithm.learner.step == algorithm.gradient_steps
        # Acting is never staler than one vector step or one update.
        between += algorithm.agent_steps - before[0]
        if before[0] >= 40:
            assert between <= max(lanes, float(1 / ratio)) + lanes
        if algorithm.gradient_steps > before[1] or algorithm.agent_steps <= 40:
            between = 0
    assert algorithm.gradient_steps == algorithm.clock.total == int(120 * ratio)
    assert 160 <= algorithm.agent_steps < 160 + lanes
    assert algorithm.env_runner.num_env_steps_sampled_lifetime == algorithm.agent_steps


def test_the_runner_acts_with_the_learner_s_weights_and_their_norms_stay(
    build: Callable[..., Any],
) -> None:
    algorithm = build(cartpole(agent_steps=200))
    initial = {n: p.norm().item() for n, p in algorithm.learner.net.q.named_parameters()}
    while not algorithm.finished:
        algorithm.advance()
        acting = dict(algorithm.env_runner.module.q.named_parameters())
        for name, p in algorithm.learner.net.q.named_parameters():
            assert torch.equal(p, acting[name])
    for name in ("1.weight", "4.weight"):
        assert acting[name].norm().item() == pytest.approx(initial[name], rel=1e-4)
    assert acting["7.weight"].norm().item() != pytest.approx(initial["7.weight"], rel=1e-4)


def advance_to(algorithm: Any, agent_steps: int) -> None:
    while algorithm.agent_steps < agent_steps:
        algorithm.advance()


def test_a_checkpoint_continues_with_the_same_updates(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    trigger = {"kind": "cusum", "window": 10, "lag": 2}
    run = cartpole(agent_steps=400, schedule={"kind": "triggered", "trigger": trigger})
    algorithm, other = build(run), build(run)
    advance_to(algorithm, 120)
    advance_to(other, 60)
    algorithm.save_to_path(tmp_path)
    other.restore_from_path(tmp_path)
    assert (other.agent_steps, other.gradient_steps) == (120, 80)
    for both in (algorithm, other):  # with the same replay, to the last bit
        sample = both.draw(30)
        for batch in both.learning.batches(sample, both.run.agent.batch_size):
            both._learn(batch, sample.index)
    for (name, mine), theirs in zip(
        algorithm.learner.net.state_dict().items(),
        other.learner.net.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(mine, theirs), name
    assert algorithm.learner.measure() == other.learner.measure()
    assert algorithm.recorder.returns == other.recorder.returns
    # The runner begins new games, and no window reaches from the old ones into them.
    other.gradient_steps -= 30
    size = len(other.ring)
    advance_to(other, 125)
    assert len(other.ring) > size


BREAKOUT = {
    "task": {"kind": "atari", "game": "breakout", "learning_starts": 40, "utd": 0.5, "lanes": 2},
    "model": {"kind": "nature_cnn", "hidden": 16, "norm": "layer"},
}
RAINBOW = {"kind": "rainbow", "batch_size": 4, "replay_capacity": 300, "target_every": 7}


@pytest.mark.parametrize(
    ("changes", "agent_steps"),
    [({}, 400), ({"agent": RAINBOW}, 400), ({**BREAKOUT, "agent": RAINBOW}, 200)],
    ids=["dqn-cartpole", "rainbow-cartpole", "rainbow-breakout"],
)
def test_two_n_equals_n_saved_loaded_and_n_more(
    build: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], agent_steps: int
) -> None:
    run = cartpole(agent_steps=agent_steps, **changes)
    whole, first = build(run), build(run)
    advance_to(whole, agent_steps)
    advance_to(first, agent_steps // 2)
    first.save_to_path(tmp_path)
    second = build(run)
    second.restore_from_path(tmp_path)
    advance_to(second, agent_steps)
    assert second.gradient_steps == whole.gradient_steps
    mine = whole.learner.net.state_dict()
    theirs = second.learner.net.state_dict()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name
    assert second.recorder.returns == whole.recorder.returns
    assert second.recorder.games == whole.recorder.games
    for name, array in whole.ring._arrays().items():
        assert (array == second.ring._arrays()[name]).all(), name


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"width": 24}, r"q\.1\.weight is \(8, 4\) there and \(24, 4\) here"),
        ({"depth": 3}, r"q\.[0-9]+\.\w+ is "),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(
    build: Callable[..., Any], tmp_path: Path, model: dict[str, Any], told: str
) -> None:
    first = build(cartpole(agent_steps=60, model=MODEL))
    second = build(cartpole(agent_steps=60, model={**MODEL, **model}))
    advance_to(first, 50)
    first.save_to_path(tmp_path)
    with pytest.raises(ConfigError, match=r"checkpoint: got .*" + told):
        second.restore_from_path(tmp_path)
    assert second.agent_steps == second.gradient_steps == 0


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (
            {"replay_capacity": 200},
            "uniform with 301 slots and 9 last observations in each of 1 lanes there and uniform w",
        ),
        (
            {"prioritized": {}},
            "there and prioritised with 301 slots and 9 last observations in each",
        ),
    ],
)
def test_a_checkpoint_of_another_replay_is_refused_before_anything_changes(
    build: Callable[..., Any], tmp_path: Path, agent: dict[str, Any], told: str
) -> None:
    run = cartpole(agent_steps=60)
    first = build(run)
    other = {**run.agent.model_dump(mode="json"), **agent}
    second = build(cartpole(agent_steps=60, agent=other))
    advance_to(first, 50)
    first.save_to_path(tmp_path)

    def everything() -> str:
        state = torch.load(second.save_to_path() + "/state.pt", weights_only=True)
        del state["suite"]["recorder"]["seconds"]
        return repr(state)

    before = everything()
    with pytest.raises(ConfigError, match=r"checkpoint: got .*" + told):
        second.restore_from_path(tmp_path)
    assert everything() == before


@pytest.mark.parametrize("changes", [{}, BREAKOUT], ids=["CartPole", "Breakout"])
def test_a_replay_too_large_to_keep_is_filled_again_before_learning_goes_on(
    build: Callable[..., Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    agent = {**RAINBOW, "snapshot_gib": 0}
    run = cartpole(agent_steps=200, **{**changes, "agent": agent})
    first, second, third = build(run), build(run), build(run)
    advance_to(first, 120)
    first.save_to_path(tmp_path / "first")
    assert not (tmp_path / "first" / "ring").exists()
    second.restore_from_path(tmp_path / "first")
    second.save_to_path(tmp_path / "second")  # what is to be filled is remembered
    third.restore_from_path(tmp_path / "second")
    counted = (first.agent_steps, first.gradient_steps)
    for restored in (second, third):
        rows: list[Any] = []
        restored.recorder.sink = rows.extend
        assert (restored.agent_steps, restored.gradient_steps) == counted
        assert len(restored.ring) == 0
        learnt = restored._learn
        sizes: list[int] = []
        restored._learn = lambda *batch, learnt=learnt, sizes=sizes, r=restored: (
            sizes.append(len(r.ring)),
            learnt(*batch),
        )
        advance_to(restored, 200)
        assert sizes[0] >= 40, "as much as after the warm-up"
        refills = [row.value for row in rows if row.metric == "replay_refill"]
        assert refills == [40.0]
        assert restored.gradient_steps == restored.clock.total, "updates are counted as ever"


@pytest.mark.parametrize(
    "task",
    [
        {"lanes": 3},
        pytest.param({"lanes": 2, "runners": 2}, marks=pytest.mark.slow),
        pytest.param({"lanes": 2, "runners": 2, "overlap": True}, marks=pytest.mark.slow),
    ],
    ids=["lanes", "runners", "overlap"],
)
def test_every_lane_of_every_runner_fills_the_replay_again_and_none_of_it_counts(
    build: Callable[..., Any], tmp_path: Path, task: dict[str, Any]
) -> None:
    agent = {**RAINBOW, "snapshot_gib": 0}
    task = {"kind": "classic_control", "learning_starts": 40, "utd": 0.5, **task}
    run = cartpole(agent_steps=160, agent=agent, task=task)
    first = build(run)
    advance_to(first, 100)
    first.save_to_path(tmp_path)
    first.stop()  # Ray has cores for the runners of one
    second = build(run)
    second.restore_from_path(tmp_path)
    rows: list[Any] = []
    took: list[int] = []
    at_refill: list[Any] = []
    second.recorder.sink = rows.extend
    refill, sample = second._refill, second.sampler.sample

    def counting(*arguments: Any) -> Any:
        arrivals = sample(*arguments)
        took.extend(arrival.rollout.agent_steps for arrival in arrivals)
        return arrivals

    def looked_at() -> None:
        counted = (second.agent_steps, second.gradient_steps, second.recorder.games)
        refill()
        at_refill.append(sum(took))
        assert (second.agent_steps, second.gradient_steps, second.recorder.games) == counted
        assert len(second.ring) >= 40, "as much as after the warm-up"
        assert (second.ring._heads >= 40 // second.task.all_lanes).all(), "each lane its part"
        assert not getattr(second.sampler, "_asked", []), "the next block is of the run again"

    second._refill, second.sampler.sample = looked_at, counting
    counted = second.agent_steps
    while not second.finished:
        before = sum(took)
        second.advance()
        if not before:  # the refill was in this one
            before = at_refill[0]
        if not task.get("overlap"):  # whose blocks are counted when they arrive
            assert second.agent_steps == counted + sum(took) - before
            counted = second.agent_steps
        assert second.gradient_steps == min(
            second.task.updates(second.agent_steps), second.clock.total
        )
    assert second.gradient_steps == second.clock.total
    (told,) = [row.value for row in rows if row.metric == "replay_refill"]
    lanes = second.task.all_lanes
    if task.get("overlap"):  # what was asked for meanwhile is kept
        assert at_refill[0] <= told <= 2 * at_refill[0]
    else:
        assert told == at_refill[0]
    most = 80 if task.get("overlap") else 40  # overlap has asked for a block more
    assert 40 <= at_refill[0] < most + lanes


@pytest.mark.parametrize(
    ("changes", "projected"),
    [
        ({}, ("1.weight", "4.weight")),
        (BREAKOUT, ("conv1.weight", "conv2.weight", "conv3.weight", "hidden.weight")),
    ],
    ids=["CartPole", "Breakout"],
)
def test_norms_hold_in_the_checkpoint_and_where_it_acts(
    build: Callable[..., Any], tmp_path: Path, changes: dict[str, Any], projected: tuple[str, ...]
) -> None:
    algorithm = build(cartpole(agent_steps=100, **changes))
    initial = {n: p.norm().item() for n, p in algorithm.learner.net.q.named_parameters()}
    while not algorithm.finished:
        algorithm.advance()
    algorithm.save_to_path(tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    module = state["learner_group"]["learner"]["rl_module"]["default_policy"]
    acting = dict(algorithm.env_runner.module.q.named_parameters())
    for name in projected:
        assert module[f"q.{name}"].norm().item() == pytest.approx(initial[name], rel=1e-4)
        assert acting[name].norm().item() == pytest.approx(initial[name], rel=1e-4)


def test_a_checkpoint_holds_no_code(build: Callable[..., Any], tmp_path: Path) -> None:
    algorithm = build(cartpole(agent_steps=100))
    while not algorithm.finished:
        algorithm.advance()
    algorithm.save_to_path(tmp_path)
    torch.load(tmp_path / "state.pt", weights_only=True)
    assert sorted(p.name for p in (tmp_path / "ring").iterdir()) == [
        "actions.npy",
        "frames.npy",
        "lasts.npy",
        "marks.npy",
        "numbers.npy",
        "rewards.npy",
    ]
    assert np.load(tmp_path / "ring" / "rewards.npy").shape == (1, len(algorithm.ring))


def test_rllib_s_ways_of_saving_and_restoring_lead_to_the_same_place(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    from suite.launch.rllib.algorithm import NapDQN

    algorithm = build(cartpole(agent_steps=100), iteration_agent_steps=50)
    assert not algorithm.train()["done"]
    result = algorithm.train()
    assert result["done"]
    assert result["env_runners"]["num_env_steps_sampled_lifetime"] == 100
    algorithm.save_checkpoint(str(tmp_path))
    restored = NapDQN.from_checkpoint(str(tmp_path))
    try:
        assert restored.gradient_steps == 60
        assert restored.training_iteration == 2
        assert restored.finished
        for mine, theirs in zip(
            algorithm.learner.net.parameters(), restored.learner.net.parameters(), strict=True
        ):
            assert torch.equal(mine, theirs)
    finally:
        restored.stop()  # type: ignore[no-untyped-call]


def test_an_iteration_ends_after_its_seconds(build: Callable[..., Any]) -> None:
    algorithm = build(cartpole(agent_steps=400), iteration_s=0.0)
    assert not algorithm.train()["done"]
    assert 0 < algorithm.agent_steps < 400
    algorithm.config = algorithm.config.copy(copy_frozen=False).training(iteration_s=60.0)
    assert algorithm.train()["done"]


@pytest.mark.slow
def test_the_algorithm_runs_under_tune(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from ray import tune

    from suite.launch.rllib.algorithm import NapDQN
    from suite.launch.rllib.config import algorithm_config

    config = algorithm_config(cartpole(agent_steps=120))
    config.training(iteration_agent_steps=50)
    tuner = tune.Tuner(
        NapDQN,
        param_space=cast(Any, config),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        ),
    )
    results = tuner.fit()
    assert not results.errors
    metrics, checkpoint = results[0].metrics, results[0].checkpoint
    assert metrics is not None
    assert checkpoint is not None
    assert metrics["training_iteration"] == 3
    assert metrics["learners"]["default_policy"]["gradient_steps"] == 80
    assert (tmp_path / results[0].path / checkpoint.path / "state.pt").is_file()


def test_nothing_is_left_behind(build: Callable[..., Any]) -> None:
    import os

    algorithm = build(cartpole())
    folder = algorithm.logdir
    algorithm.stop()
    assert not os.path.exists(folder)
