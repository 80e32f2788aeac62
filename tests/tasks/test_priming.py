"""Priming in the config of a task: when updates are due, its clock, its plan, what is refused."""

from fractions import Fraction
from typing import Any

import pytest

from suite.clock import Clock, Duration
from suite.config import merge
from suite.errors import ConfigError
from suite.interventions.timing import TimedConfig
from suite.run_config import RunConfig
from suite.tasks.atari import AtariConfig
from suite.tasks.classic_control import ClassicControlConfig

STARTS = 20
CARTPOLE: dict[str, Any] = {
    "task": {"kind": "classic_control", "learning_starts": STARTS},
    "model": {"kind": "mlp", "width": 8, "norm": "layer"},
    "agent": {"kind": "dqn", "batch_size": 4, "replay_capacity": 100},
    "budget": {"agent_steps": 120},
}
ALL_RATIOS = pytest.mark.parametrize("utd", [0.25, 0.3, 1.0, 4.0])
ALL_PRIMINGS = pytest.mark.parametrize("primed", [0, 1, 37])


def primed_run(primed: int, utd: float = 1.0, **changes: Any) -> Any:
    task = {"utd": utd, "priming": {"updates": primed}}
    return RunConfig.from_mapping(merge(merge(CARTPOLE, {"task": task}), changes))


def one_by_one(utd: float, primed: int, agent_steps: int) -> list[int]:
    """Return the agent steps taken at each update, counted step by step."""
    ratio, credit, made = Fraction(utd).limit_denominator(1000), Fraction(0), []
    for taken in range(1, agent_steps + 1):
        if taken == STARTS:
            made += [taken] * primed
        if taken > STARTS:
            credit += ratio
        while credit >= 1:
            made.append(taken)
            credit -= 1
    return made


@ALL_RATIOS
@ALL_PRIMINGS
def test_updates_are_due_as_counted_one_by_one(utd: float, primed: int) -> None:
    task = primed_run(primed, utd).task
    made = one_by_one(utd, primed, 120)
    assert [task.due(update + 1) for update in range(len(made))] == made
    for taken in range(121):
        assert task.updates(taken) == sum(at <= taken for at in made)


@ALL_RATIOS
@ALL_PRIMINGS
def test_the_clock_has_the_priming_as_its_first_phase(utd: float, primed: int) -> None:
    task = AtariConfig(game="pong", utd=utd, learning_starts=STARTS, priming={"updates": primed})  # type: ignore[arg-type]
    clock = task.clock(Duration(agent_steps=120))
    made = one_by_one(utd, primed, 120)
    assert clock.total == len(made)
    assert clock.starts == ((0, primed) if primed else (0,))
    for taken in range(121):
        updates = sum(at <= taken for at in made)
        assert clock.moment(Duration(agent_steps=taken)) == updates
        assert clock.moment(Duration(frames=4 * taken + taken % 4)) == updates
    assert clock.steps(Duration(agent_steps=40)) == round(40 * utd), "a length, as unprimed"
    assert clock.moment(Duration(fraction=1.0)) == clock.total


def test_within_a_phase_times_count_from_where_it_begins() -> None:
    clock = primed_run(37, utd=0.5).clock()
    priming, acting = clock.phase(0), clock.phase(1)
    assert (priming.total, acting.total) == (37, 50)
    assert acting == Clock(50, agent_steps_per_step=Fraction(2), frames_per_agent_step=1)
    assert acting.moment(Duration(agent_steps=7)) == 3
    assert priming.moment(Duration(agent_steps=STARTS - 1)) == 0
    # What is left within the priming begins where acting has paused.
    assert clock.after(30).moment(Duration(agent_steps=7)) == 7 + 3


def test_schedules_and_resets_take_its_end_as_a_boundary() -> None:
    run = primed_run(
        10,
        schedule={"kind": "task_aligned", "then": {"kind": "linear", "end": 0.5}},
        interventions=[{"kind": "reset", "layers": "all", "at_phases": True}],
    )
    rate = run.build_schedule()
    assert [rate(step) for step in (0, 5, 9, 10, 60)] == pytest.approx([1.0, 0.75, 0.55, 1.0, 0.75])
    (reset,) = run.interventions
    assert isinstance(reset, TimedConfig)
    timing = reset.timing(run.clock())
    assert [done for done in range(run.clock().total) if timing.begins(done)] == [10]
    later = {"kind": "reset", "layers": "all", "every": 5, "start": {"agent_steps": STARTS}}
    (reset,) = primed_run(11, interventions=[later]).interventions
    timing = reset.timing(primed_run(11).clock())
    assert [done for done in range(30) if timing.due(done)] == [15, 20, 25]
    unprimed = primed_run(0, interventions=[{"kind": "reset", "layers": "all", "at_phases": True}])
    with pytest.raises(ConfigError, match="more than one phase"):
        unprimed.check()


def test_the_pace_of_acting_is_that_of_the_unprimed_run() -> None:
    evaluation = {"every": {"fraction": 0.25}}
    runs = [primed_run(n, 4.0, task={"evaluation": evaluation}) for n in (0, 37)]
    for run in runs:
        half, steps = Duration(fraction=0.5), Duration(steps=200)
        assert run.task.evaluations(run.budget) == [30, 60, 90, 120]
        assert run.task.epsilon_length(half, run.budget) == 50
        assert run.task.epsilon_length(steps, run.budget) == 50
    assert runs[0].task.seed_key == runs[1].task.seed_key


def test_no_priming_is_the_request_that_it_was() -> None:
    plain, none = RunConfig.from_mapping(CARTPOLE), primed_run(0)
    assert plain.run_id == none.model_copy(update={"task": plain.task}).run_id == none.run_id
    assert "priming" not in plain.canonical()
    assert '"priming":{"updates":37}' in primed_run(37).canonical()
    assert primed_run(37).run_id != plain.run_id


def test_plans_count_its_updates() -> None:
    from suite.launch.calibrate import Cost
    from suite.launch.engines import engine_of

    cost = Cost(setup=100.0, update=1.0, measure=0.0, act=0.0)
    seconds = [
        engine_of(run).run_seconds(run, cost) for run in (primed_run(n, 4.0) for n in (0, 37))
    ]
    assert seconds == [100.0 + 400, 100.0 + 437]


@pytest.mark.parametrize(
    ("changes", "key", "value", "said"),
    [
        ({"task": {"priming": {"updates": -1}}}, "task.priming.updates", -1, "greater than"),
        ({"task": {"priming": {"updates": 1.5}}}, "task.priming.updates", 1.5, "integer"),
        ({"task": {"priming": 37}}, "task.priming", 37, "a mapping of updates"),
        ({"task": {"priming": {"steps": 37}}}, "task.priming.steps", 37, "no such key"),
        ({"budget": {"agent_steps": STARTS}}, "budget", {"agent_steps": STARTS}, "one update"),
        ({"agent": {"replay_capacity": 19}}, "agent.replay_capacity", 19, "at least task.learning"),
        ({"task": {"runners": 1, "overlap": True}}, "task.overlap", True, "false with task.prim"),
        ({"task": {"priming": {"updates": 10**10}}}, "task.priming.updates", 10**10, "less than"),
    ],
)
def test_bad_requests_are_refused(
    changes: dict[str, Any], key: str, value: object, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        primed_run(37, **changes).check()
    assert (error.value.key, error.value.value) == (key, value)
    assert said in error.value.expected


def test_a_sequence_cannot_be_primed(smoke: Any) -> None:
    task = {"priming": {"updates": 0}}
    assert smoke("sequential_atari", task=task).run_id == smoke("sequential_atari").run_id
    with pytest.raises(ConfigError) as error:
        smoke("sequential_atari", task={"priming": {"updates": 37}})
    assert (error.value.key, error.value.value) == ("task.priming.updates", 37)
    assert "sequence" in error.value.expected


def test_it_does_not_depend_on_the_kind_of_task() -> None:
    task = ClassicControlConfig(learning_starts=STARTS, priming={"updates": 3})  # type: ignore[arg-type]
    assert (task.updates(STARTS - 1), task.updates(STARTS), task.updates(STARTS + 1)) == (0, 3, 4)
