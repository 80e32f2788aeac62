"""Every registered task: its smoke run fits together, is paired, repeats itself and resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from examples import (
    Continued,
    Interrupted,
    agents,
    check_or_skip,
    equal,
    every,
    facts,
    tasks,
    units,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.clock import Duration
from suite.config import Config, merge
from suite.errors import ConfigError
from suite.metrics.base import METRICS
from suite.rows import Row
from suite.run_config import RunConfig
from suite.tasks.base import TASKS, SupervisedTask, SupervisedTaskConfig
from suite.training import supervised
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun

Smoke = Callable[..., RunConfig]
CPU = torch.device("cpu")
TASK_KINDS = sorted(TASKS.entries())
SUPERVISED = tasks("supervised")
TRIGGERED = [
    pytest.param({"kind": "triggered", "trigger": t.values[0]}, id=f"triggered-{t.id}")
    for t in every("trigger")
]
CYCLIC = pytest.param({"kind": "cyclic", "period": 5, "warmup": 1}, id="cyclic")
ARMS = [
    *(pytest.param({"interventions": [*i.values]}, id=i.id) for i in every("intervention")),
    *(pytest.param({"optimizer": o.values[0]}, id=o.id) for o in every("optimizer")),
]


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_the_smoke_run_fits_together(kind: str, smoke: Smoke) -> None:
    run = smoke(kind)
    run.check()
    run.task.prepare()
    assert run.task.kind == kind
    assert run.skip_reason() is None
    clock = run.clock()
    assert 2 <= clock.total <= 100
    assert clock.starts[0] == 0
    assert list(clock.starts) == sorted(set(clock.starts))
    assert clock.starts[-1] < clock.total
    assert run.task.label
    assert run.task.seed_key
    assert run.task.primary_unit
    assert run.task.score_unit
    assert set(run.task.default_metrics) <= set(METRICS.entries())


@pytest.mark.parametrize("kind", TASK_KINDS)
@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**53),
    lr=st.floats(1e-9, 1e3),
    schedule=st.sampled_from([p.values[0] for p in every("schedule")]),
    intervention=st.sampled_from([p.values[0] for p in every("intervention")]),
)
def test_a_run_survives_json_and_keeps_its_id(
    kind: str, seed: int, lr: float, schedule: Any, intervention: Any
) -> None:
    overrides = {
        "seed": seed,
        "optimizer": {"kind": "adam", "lr": lr},
        "schedule": schedule,
        "interventions": [intervention],
    }
    run = RunConfig.from_mapping(merge(dict(TASKS[kind].smoke), overrides))
    again = RunConfig.from_mapping(json.loads(json.dumps(run.model_dump(mode="json"))))
    assert again == run
    assert again.run_id == run.run_id
    other = RunConfig.from_mapping({**run.model_dump(mode="json"), "seed": seed + 1})
    assert other.run_id != run.run_id
    elsewhere = {**run.model_dump(mode="json"), "resources": {"cpus": 3.0}}
    assert RunConfig.from_mapping(elsewhere).run_id == run.run_id


def _durations(config: Config) -> Iterator[str]:
    """Yield the key path of every duration in a run, save those of task and budget."""
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        if "Duration" in str(field.annotation):
            yield key
        elif isinstance(value, Config) and key != "task":
            yield from (f"{key}.{rest}" for rest in _durations(value))


@pytest.mark.parametrize(
    ("kind", "agent"),
    [
        *(pytest.param(kind, None, id=kind) for kind in SUPERVISED),
        *(
            pytest.param(k, *a.values, id=f"{k}-{a.id}")
            for engine in ("rl", "rllib")
            for k in tasks(engine)
            for a in agents(engine)
        ),
    ],
)
def test_a_length_in_a_unit_that_the_task_lacks_is_refused_before_anything_is_made(
    kind: str, agent: dict[str, Any] | None, smoke: Smoke
) -> None:
    run = smoke(kind, schedule="warmup_cosine", **({"agent": agent} if agent else {}))
    run.check()
    keys = set(_durations(run)) - {"budget"}
    assert {"schedule.warmup", "metrics.every", "metrics.interval"} <= keys
    lacking = [unit for unit, has in units(run.clock()).items() if not has]
    if not lacking:
        pytest.skip("every unit is there: nothing to refuse")
    for key in keys:
        for unit in lacking:
            length = Duration.from_mapping({unit: 3})
            with pytest.raises(ConfigError) as error:
                _replace(run, key.split("."), length).check()
            assert (error.value.key, error.value.value) == (key, {unit: 3})


def _replace(config: Any, path: list[str], value: Any) -> Any:
    head, *rest = path
    inner = _replace(getattr(config, head), rest, value) if rest else value
    return config.model_copy(update={head: inner})


def _build(run: RunConfig) -> SupervisedTask:
    config: Any = run.task
    task: SupervisedTask = config.build(run.seeds, run.clock(), CPU)
    return task


@pytest.mark.parametrize("kind", SUPERVISED)
@settings(max_examples=20)
@given(data=st.data())
def test_batches_are_a_function_of_step_and_seeds(kind: str, data: st.DataObject) -> None:
    run = RunConfig.from_mapping({**TASKS[kind].smoke, "seed": data.draw(st.integers(0, 3))})
    generator = torch.get_rng_state()
    first, second = _build(run), _build(run)
    steps = list(range(run.clock().total))
    expected = [first.batch(step) for step in steps]
    for step in data.draw(st.permutations(steps)):
        second.splits(step)
        assert equal(second.batch(step), expected[step])
    assert equal(first.probe, second.probe)
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("kind", SUPERVISED)
def test_data_have_the_shapes_that_are_promised(kind: str, smoke: Smoke) -> None:
    run = smoke(kind)
    task, spec, clock = _build(run), run.task.spec(), run.clock()
    ends = (*clock.starts[1:], clock.total)
    sizes = run.task.examples(clock)  # type: ignore[attr-defined]
    for step in range(clock.total + 1):
        batches = dict(task.splits(step))
        assert batches
        assert batches.keys() <= set(run.task.split_names)
        assert run.task.score[0] != "accuracy" or run.task.score[1] in batches
        if step < clock.total:
            batches["batch"] = task.batch(step)
            phase = next(i for i, end in enumerate(ends) if step < end)
            assert len(batches["batch"][1]) == sizes[phase]
        for inputs, targets in batches.values():
            assert inputs.shape == (len(targets), *spec.inputs.shape)
            vectors = targets.is_floating_point() and spec.outputs > 1
            assert targets.shape == (len(inputs), *([spec.outputs] if vectors else []))
            if not targets.is_floating_point():
                classes = getattr(spec.inputs, "below", spec.outputs)
                assert set(targets.tolist()) <= set(range(classes))
            assert inputs.device == targets.device == CPU
    assert task.probe.shape[1:] == spec.inputs.shape
    assert task.source


def _train(run: RunConfig, session: MemorySession | None = None) -> tuple[SupervisedRun, list[Row]]:
    session = session or MemorySession()
    trained = SupervisedRun(run, CPU)
    trained.train(session)
    return trained, session.rows


def _state(run: SupervisedRun) -> dict[str, Any]:
    return {key: value for key, value in run.state_dict().items() if key != "seconds"}


def _drawn(run: SupervisedRun) -> list[Any]:
    batches = [run.task.batch(step) for step in range(run.clock.total)]
    return [run.model.state_dict(), run.task.splits(1), batches, run.task.probe]


@cache
def _drawn_by(kind: str, seed: int) -> tuple[RunConfig, list[Any]]:
    """Return the smoke run of a task with a seed, and what it draws."""
    config = RunConfig.from_mapping({**TASKS[kind].smoke, "seed": seed})
    return config, _drawn(SupervisedRun(config, CPU))


@pytest.mark.parametrize("intervention", every("intervention"))
@pytest.mark.parametrize("kind", SUPERVISED)
def test_arms_are_paired(kind: str, intervention: dict[str, Any], smoke: Smoke) -> None:
    config = smoke(kind, interventions=[intervention], schedule="single_cycle")
    check_or_skip(config)
    plain, expected = _drawn_by(kind, 0)
    assert config.run_id != plain.run_id
    assert equal(_drawn(SupervisedRun(config, CPU)), expected)


@pytest.mark.parametrize("kind", SUPERVISED)
def test_seeds_draw_differently(kind: str) -> None:
    (plain, drawn), (_, seeded) = _drawn_by(kind, 0), _drawn_by(kind, 1)
    of_seed = slice(None if plain.model.random_start else 2, None, 2)
    pairs = zip(seeded[of_seed], drawn[of_seed], strict=True)
    assert not any(equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", SUPERVISED)
def test_two_runs_give_the_same_rows(kind: str, smoke: Smoke) -> None:
    metrics = {"names": sorted(METRICS.entries()), "every": 2}
    (first, rows), (second, again) = (_train(smoke(kind, metrics=metrics)) for _ in range(2))
    assert facts(rows) == facts(again)
    assert equal(_state(first), _state(second))
    assert [row.step for row in rows] == sorted(row.step for row in rows)
    scores = [row for row in rows if (row.metric, row.layer) == first.config.task.primary_metric]
    assert scores[-1].step == first.step == first.clock.total


LOOKS_BACK = frozenset({"update", "initial", "features_then"})
"""Needs of metrics whose values depend on more than the state at a measurement."""

REMEMBERING = [
    name for name, m in METRICS.entries().items() if not m.is_function or m.needs & LOOKS_BACK
]
"""The metrics that an interruption could change although the state of the run is the same."""


ADAPTING = [CYCLIC, *TRIGGERED]
"""Schedules, of which each arm of a task has one: in turn, so that every pair of task and arm, of
task and schedule, and of arm and schedule occurs."""


@pytest.mark.parametrize(
    ("kind", "arm", "schedule", "names"),
    [
        *(
            pytest.param(kind, *a.values, *s.values, REMEMBERING, id=f"{s.id}-{a.id}-{kind}")
            for number, kind in enumerate(SUPERVISED)
            for place, a in enumerate(ARMS)
            for s in [ADAPTING[(number + place) % len(ADAPTING)]]
        ),
        *(
            pytest.param(k, {}, *CYCLIC.values, sorted(METRICS.entries()), id=f"all-metrics-{k}")
            for k in SUPERVISED
        ),
    ],
)
def test_training_resumes_to_the_last_bit(
    kind: str,
    arm: dict[str, Any],
    schedule: dict[str, Any],
    names: list[str],
    smoke: Smoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run without a stop equals one that is saved, and loaded into a new one, at several steps.

    Equal are parameters, optimizer state and rows; the steps are the half and where phases begin.
    A metric that reads the state of the moment alone gives equal rows for equal states, so these
    are measured once per task and the others in every arm.
    """
    monkeypatch.setattr(supervised, "CHECK_EVERY", 1)
    metrics = {"names": names, "every": 4, "interval": 3}
    run = smoke(kind, schedule=schedule, metrics=metrics, **arm)
    check_or_skip(run)
    whole, rows = _train(run)
    clock = run.clock()
    pieces: list[Row] = []
    folder: Path | None = None
    for stop in sorted({*clock.starts[1:], clock.total // 2}):
        piece = Interrupted(tmp_path / str(stop), stop, folder)
        piece.into.mkdir()
        with pytest.raises(KeyboardInterrupt):
            _train(run, piece)
        pieces, folder = pieces + piece.rows, piece.into
    resumed, last = _train(run, Continued(folder))
    assert facts(pieces + last) == facts(rows)
    assert equal(_state(resumed), _state(whole))
    steady = equal(whole.task.batch(0), whole.task.batch(1))  # a loss that falls may never alarm
    if schedule["kind"] == "triggered" and not steady:
        assert any(row.metric == "alarm" for row in rows), "no alarm: give an example that does"


def test_a_task_that_uses_the_old_name_of_the_primary_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Old\.headline: .*the name primary_metric"):

        class Old(SupervisedTaskConfig):
            headline: ClassVar[tuple[str, str]] = ("loss", "test")
