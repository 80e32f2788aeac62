"""Runs of Q-learning side by side against the same runs alone: every number, resume, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from suite.config import merge
from suite.errors import DivergedError
from suite.launch.engines import engine_of
from suite.launch.engines.base import outcome
from suite.launch.groups import chunks
from suite.run_config import RunConfig

pytestmark = pytest.mark.ray

BASE: dict[str, Any] = {
    "task": {"kind": "classic_control", "env": "CartPole-v1", "learning_starts": 40},
    "model": {"kind": "mlp", "width": 8, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 300, "target_every": 7},
    "optimizer": {"kind": "adam", "lr": 0.01},
    "interventions": ["nap"],
    "budget": {"agent_steps": 120},
    "metrics": {"names": ["parameter_norm", "relative_update", "activation_pattern_change"]},
}
CATCH = {"kind": "classic_control", "env": "Catch-v0", "learning_starts": 40}
SEQUENCE: dict[str, Any] = {
    "task": {
        "kind": "sequential",
        "environments": [
            {"kind": "classic_control", "env": "Catch-v0", "wrap": {"shift": shift}}
            for shift in (1.0, 2.0)
        ],
        "visit_length": {"agent_steps": 90},
        "learning_starts": 40,
        "evaluation": {"episodes": 3, "every": {"agent_steps": 40}, "epsilon": 0},
    },
    "schedule": {"kind": "task_aligned", "then": {"kind": "warmup_cosine", "warmup": 4}},
}
CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "slow": {"task": {"utd": 0.25, "lanes": 3}},
    "fast": {"task": {"utd": 8}, "budget": {"agent_steps": 60}},
    "lanes": {"task": {"utd": 1.5, "lanes": 3}},
    "double": {"agent": {"double": True, "n_step": 3, "grad_clip": 0.5, "loss": "mse"}},
    "prioritized": {"agent": {"prioritized": {}}},
    "primed": {"task": {**CATCH, "priming": {"updates": 70}}},
    "evaluated": {"task": {"evaluation": {"episodes": 3, "every": {"agent_steps": 30}}}},
    "reset": {
        "interventions": [{"kind": "reset", "every": {"steps": 25}, "layers": "last"}, "nap"],
    },
    "decayed": {"interventions": [{"kind": "l2_init", "coefficient": 0.1}, "weight_decay"]},
    "cusum": {
        "schedule": {
            "kind": "triggered",
            "trigger": {"kind": "cusum", "window": 8, "lag": 2, "k": 0.2, "h": 0.5},
            "then": {"kind": "warmup_cosine", "length": 20, "floor": 0.1},
        },
    },
    "stop": {"schedule": {"kind": "adaptive_stop", "period": 10, "k": 1}},
    "sgd": {"optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.9}, "interventions": []},
}


@pytest.fixture(autouse=True)
def _ray(started_ray: None) -> None:
    return started_ray


def requests(changes: dict[str, Any], **more: Any) -> list[RunConfig]:
    """Return three runs, the last one at another rate on a schedule of its own."""
    base = merge(BASE, changes)
    arms: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1}, {"seed": 2, "optimizer": {"lr": 0.002}}]
    if "schedule" not in changes:
        arms[2]["schedule"] = {"kind": "cyclic", "period": 13, "floor": 0.1}
    return [RunConfig.from_mapping(merge(merge(base, arm), more)) for arm in arms]


def facts(rows: list[Any]) -> list[tuple[int, int, str, str]]:
    return [(r.step, r.frames, r.metric, r.layer) for r in rows]


def numbers(rows: list[Any]) -> list[float]:
    return [r.value for r in rows if r.metric != "agent_steps_per_s"]


def assert_alike(joint: Any, own: Any) -> None:
    """Check that two sessions have the same rows, their values up to rounding."""
    assert facts(joint.rows) == facts(own.rows)
    assert numbers(joint.rows) == pytest.approx(numbers(own.rows), rel=2e-3, abs=1e-5)


def train(
    configs: list[RunConfig], sessions: list[Any], together: bool = True
) -> list[Exception | None]:
    from suite.launch.rllib.trial import train_rl, train_rl_together

    if together:
        return train_rl_together(configs, sessions)
    for config, session in zip(configs, sessions, strict=True):
        train_rl(config, session)
    return []


@pytest.fixture
def sessions(folder_session: type[Any], tmp_path: Path) -> Callable[..., list[Any]]:
    """Return a function that makes three sessions with folders of a name."""

    def make(name: str, **settings: Any) -> list[Any]:
        found = []
        for run in range(3):
            folder = tmp_path / name / str(run)
            folder.mkdir(parents=True, exist_ok=True)
            found.append(folder_session(folder, **settings))
        return found

    return make


@pytest.mark.parametrize("name", CHANGES)
def test_the_runs_are_those_that_each_would_be_alone(
    name: str, sessions: Callable[..., list[Any]]
) -> None:
    configs = requests(CHANGES[name])
    assert len({engine_of(config).batch_key(config) for config in configs}) == 1
    alone, together = sessions("alone"), sessions("together")
    train(configs, alone, together=False)
    assert train(configs, together) == [None] * 3
    for own, joint in zip(alone, together, strict=True):
        assert_alike(joint, own)
        assert joint.progresses[-1] == own.progresses[-1]
    rates = [[r.value for r in s.rows if r.metric == "learning_rate"] for s in together]
    assert name in ("cusum", "stop") or rates[0] == rates[1] != rates[2]
    assert len({tuple(numbers(s.rows)) for s in together}) == 3
    if name == "cusum":
        assert any(row.metric == "alarm" for s in together for row in s.rows)


def test_each_run_goes_by_its_own_alarms(sessions: Callable[..., list[Any]]) -> None:
    first = requests(CHANGES["cusum"])[0]
    configs = [first.model_copy(update={"seed": seed}) for seed in range(3)]  # of one rate
    alone, together = sessions("alone"), sessions("together")
    train(configs, alone, together=False)
    assert train(configs, together) == [None] * 3
    for own, joint in zip(alone, together, strict=True):
        assert_alike(joint, own)
    alarms = [[r.step for r in s.rows if r.metric == "alarm"] for s in together]
    assert alarms[0] != alarms[1]


def test_visits_begin_and_end_as_in_a_run_alone(sessions: Callable[..., list[Any]]) -> None:
    base = {key: value for key, value in BASE.items() if key not in ("task", "budget")}
    configs = [RunConfig.from_mapping({**base, **SEQUENCE, "seed": seed}) for seed in range(3)]
    assert len({engine_of(config).batch_key(config) for config in configs} - {None}) == 1
    alone, together = sessions("alone"), sessions("together")
    train(configs, alone, together=False)
    assert train(configs, together) == [None] * 3
    for own, joint in zip(alone, together, strict=True):
        assert_alike(joint, own)
        assert any(row.metric == "visit_return" for row in joint.rows)


@pytest.mark.parametrize("name", ["plain", "fast", "primed", "reset", "prioritized"])
def test_a_group_continues_from_its_checkpoints_where_its_members_stopped(
    name: str, sessions: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib import lockstep, trial

    monkeypatch.setattr(lockstep, "SLICE_S", 0.0)  # a look after every turn
    monkeypatch.setattr(trial, "SAVING", 1e9)
    configs = requests(CHANGES[name])
    whole, stopped = sessions("whole"), sessions("parts", every=30, stop=30)
    train(configs, whole)
    with pytest.raises(KeyboardInterrupt):
        train(configs, stopped)
    steps = [session.latest() for session in stopped]
    assert steps[0] is not None
    assert steps[1] is None  # the others begin again, and are joined where the first one is
    again = sessions("parts")
    assert train(configs, again) == [None] * 3
    for session, other in zip(again, whole, strict=True):
        kept = session.rows
        assert facts(kept) == facts(other.rows)[-len(kept) :]
        wanted = numbers(other.rows[-len(kept) :])
        assert numbers(kept) == pytest.approx(wanted, rel=2e-3, abs=1e-5)


def test_equal_groups_give_equal_bits(sessions: Callable[..., list[Any]]) -> None:
    configs = requests(CHANGES["plain"])
    first, second = sessions("first"), sessions("second")
    train(configs, first)
    train(configs, second)
    for one, other in zip(first, second, strict=True):
        assert numbers(one.rows) == numbers(other.rows)


def test_a_run_that_diverges_ends_and_the_others_go_on(
    sessions: Callable[..., list[Any]],
) -> None:
    configs = requests({"interventions": [], "model": {"norm": "none"}, "agent": {"loss": "mse"}})
    wild = configs[1].model_dump(mode="json")
    wild["optimizer"] = {"kind": "adam", "lr": 1e30}
    runs = [configs[0], RunConfig.from_mapping(wild), configs[2]]
    together, alone = sessions("together"), sessions("alone")
    ended = train(runs, together)
    assert ended[0] is ended[2] is None
    assert isinstance(ended[1], DivergedError)
    assert "gradient step" in str(ended[1])
    train([runs[0]], [alone[0]], together=False)
    assert_alike(together[0], alone[0])


class Fragile(CartPoleEnv):
    """CartPole; the second one that is made breaks where it is told to."""

    side_by_side: ClassVar[bool] = True
    made: ClassVar[int] = 0
    breaks: ClassVar[tuple[str, int]] = ("step", 70)

    def __init__(self) -> None:
        super().__init__()
        Fragile.made += 1
        self.number = Fragile.made
        self.taken = {"step": 0, "reset": 0}

    def _count(self, what: str) -> None:
        self.taken[what] += 1
        if self.number == 2 and (what, self.taken[what]) == self.breaks:
            raise ZeroDivisionError("the motor is stuck")

    def reset(self, **kwargs: Any) -> Any:
        self._count("reset")
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        self._count("step")
        return super().step(action)  # type: ignore[no-untyped-call]


@pytest.fixture
def fragile() -> Iterator[str]:
    gymnasium.register("Fragile-v0", Fragile)  # type: ignore[arg-type]
    yield "Fragile-v0"
    del gymnasium.registry["Fragile-v0"]


@pytest.mark.parametrize("breaks", [("reset", 1), ("step", 20), ("step", 70), ("reset", 3)])
def test_a_run_whose_environment_breaks_fails_and_the_others_go_on(
    breaks: tuple[str, int],
    fragile: str,
    sessions: Callable[..., list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluation = {"episodes": 1, "every": {"agent_steps": 10}, "epsilon": 0}
    task = {"kind": "gym", "learning_starts": 40, "evaluation": evaluation, "utd": 0.5}
    configs = requests({"task": {**task, "env": fragile}})
    assert {engine_of(config).batch_key(config) for config in configs} != {None}
    alone, together = sessions("alone"), sessions("together")
    Fragile.made = 10
    train(configs, alone, together=False)
    monkeypatch.setattr(Fragile, "breaks", breaks)
    Fragile.made = 0
    ended = train(configs, together)
    assert ended[0] is ended[2] is None
    state, reason = outcome(ended[1])
    assert state == "failed"
    assert "the motor is stuck" in reason
    for own, joint in ((alone[0], together[0]), (alone[2], together[2])):
        assert_alike(joint, own)


def test_an_error_at_step_0_leaves_the_rows_of_the_others_as_they_are(
    sessions: Callable[..., list[Any]],
) -> None:
    configs = requests({})
    alone, together = sessions("alone"), sessions("together")
    train(configs[::2], alone[::2], together=False)

    def emit(rows: Any) -> None:
        raise OSError("no space left")

    together[1].emit = emit
    ended = train(configs, together)
    assert ended[0] is ended[2] is None
    assert isinstance(ended[1], OSError)
    for own, joint in ((alone[0], together[0]), (alone[2], together[2])):
        assert facts(joint.rows) == facts(own.rows)


def test_a_checkpoint_holds_what_the_run_has_and_no_more(
    sessions: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.launch.rllib import lockstep, trial

    monkeypatch.setattr(lockstep, "SLICE_S", 0.0)
    monkeypatch.setattr(trial, "SAVING", 1e9)
    config = requests({"model": {"width": 64}, "metrics": {"names": ["parameter_norm"]}})[0]
    configs = [config.model_copy(update={"seed": seed}) for seed in range(3)]  # of equal rates
    alone, together = (sessions(name, every=30) for name in ("alone", "together"))
    train(configs[:1], alone[:1], together=False)
    train(configs, together)
    sizes = [session.latest() for session in (alone[0], together[0])]
    own, joint = ((folder / "state.pt").stat().st_size for folder in sizes)
    assert joint < 1.1 * own


def test_which_runs_are_joined(fragile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(**changes: Any) -> Any:
        config = RunConfig.from_mapping(merge(BASE, changes))
        return engine_of(config).batch_key(config)

    base = key()
    assert base is not None
    assert key(seed=3) == base
    assert key(optimizer={"lr": 0.5}, schedule={"kind": "warmup_cosine"}) == base
    others: tuple[dict[str, Any], ...] = (
        {"task": {"utd": 2}},
        {"task": {"lanes": 2}},
        {"agent": {"target_every": 8}},
        {"interventions": []},
        {"model": {"width": 9}},
        {"budget": {"agent_steps": 121}},
        {"optimizer": {"beta1": 0.8}},
    )
    for other in others:
        assert key(**other) not in (None, base)
    apart: tuple[dict[str, Any], ...] = (
        {"task": {"runners": 1}},
        {"resources": {"learners": 1}},
        {"resources": {"gpus": 1}},
        {"agent": {"distribution": {}}},
        {"agent": {"dueling": True}},
        {"agent": {"noisy": 0.1}},
        {"agent": {"precision": "bf16"}},
        {"agent": {"compile": True}},
        {"agent": {"replay_capacity": 10_000_000}},
        {"model": {"width": 1024}},
        {"interventions": ["redo"]},
    )
    for alone in apart:
        assert key(**alone) is None, alone
    gym = {"kind": "gym", "learning_starts": 40}
    assert key(task={**gym, "env": "CartPole-v1"}) is not None
    own = {**gym, "env": fragile}
    assert key(task=own) is not None
    monkeypatch.setattr(Fragile, "side_by_side", False)
    assert key(task=own) is None
    config = RunConfig.from_mapping(merge(BASE, {"task": own}))
    assert engine_of(config).parted_by(config) == [fragile]
    arms = [*requests({}), *requests({"task": {"utd": 2}})]
    assert [len(group) for group in chunks(arms, slots=2)] == [3, 3]


def test_acting_after_the_last_update_is_left_to_each_run(
    sessions: Callable[..., list[Any]],
) -> None:
    configs = requests({"task": {"utd": 0.25}, "budget": {"agent_steps": 123}})
    alone, together = sessions("alone"), sessions("together")
    train(configs, alone, together=False)
    train(configs, together)
    for own, joint in zip(alone, together, strict=True):
        assert facts(joint.rows) == facts(own.rows)
        assert joint.rows[-1].frames == 123
