"""Every registered schedule and trigger: a function of the step, with lengths in any unit."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from examples import equal, every, units
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.clock import Clock
from suite.errors import ConfigError
from suite.schedules.base import SCHEDULES, AdaptiveSchedule, ScheduleConfig
from suite.schedules.trigger import TRIGGERS

RICH = Clock(
    120, (0, 60), steps_per_epoch=(10, 10), agent_steps_per_step=2.0, frames_per_agent_step=4
)
BARE = Clock(120, (0, 60))
TRIGGERED = [
    pytest.param({"kind": "triggered", "trigger": p.values[0], "then": "linear"}, id=p.id)
    for p in every("trigger")
]
STEPS = st.lists(st.integers(0, 400) | st.integers(0, 10**9), min_size=1, max_size=30)
LOSSES = st.lists(st.floats(0, 1e6) | st.just(math.nan), min_size=2, max_size=40)


def _config(example: dict[str, Any]) -> ScheduleConfig:
    return SCHEDULES[example["kind"]].from_mapping(example)


def _adaptive(example: dict[str, Any]) -> bool:
    with contextlib.suppress(ConfigError):  # no example: test_examples.py says so
        return isinstance(_config(example).build(RICH), AdaptiveSchedule)
    return False


ADAPTIVE = [*TRIGGERED, *(p for p in every("schedule") if _adaptive(p.values[0]))]
PURE = [p for p in every("schedule") if not _adaptive(p.values[0])]


@pytest.mark.parametrize("example", PURE)
@settings(max_examples=40)
@given(steps=STEPS, order=st.randoms(use_true_random=False), total=st.integers(24, 10**6))
def test_values_are_a_function_of_the_step(
    example: dict[str, Any], steps: list[int], order: Any, total: int
) -> None:
    clock = Clock(total, (0, total // 3))
    schedule = _config(example).build(clock)
    values = {step: schedule(step) for step in steps}
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    shuffled = copy.copy(steps)
    order.shuffle(shuffled)
    assert {step: schedule(step) for step in shuffled} == values
    again = _config(json.loads(_config(example).canonical())).build(clock)
    assert {step: again(step) for step in steps} == values


def _durations(config: ScheduleConfig) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that holds a duration, those of wrapped schedules too."""
    for key, field in type(config).model_fields.items():
        value = getattr(config, key)
        if isinstance(value, ScheduleConfig):
            yield from ((key, *rest) for rest in _durations(value))
        elif "Duration" in str(field.annotation):
            yield (key,)


def _with(config: ScheduleConfig, path: tuple[str, ...], value: Any) -> ScheduleConfig:
    mapping = config.model_dump(mode="json")
    place = mapping
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return type(config).from_mapping(mapping)


def _all_durations() -> list[tuple[str, tuple[str, ...], list[dict[str, Any]]]]:
    """Return kind, path and the examples that have it."""
    found: dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]] = {}
    for parameter in every("schedule"):
        (example,) = parameter.values
        with contextlib.suppress(ConfigError):  # no example: test_examples.py says so
            for path in _durations(_config(example)):
                found.setdefault((example["kind"], path), []).append(example)
    return [(*key, examples) for key, examples in found.items()]


@pytest.mark.parametrize(
    ("kind", "path", "examples"),
    [pytest.param(*d, id=f"{d[0]}-{'.'.join(d[1])}") for d in _all_durations()],
)
def test_a_length_is_taken_in_every_unit_of_the_clock_and_in_no_other(
    kind: str, path: tuple[str, ...], examples: list[dict[str, Any]]
) -> None:
    """All units of one length give the same schedule; a unit that is not there names its key."""
    tested = 0
    for example in examples:
        config = _config(example)
        given_here: Any = config
        for key in path:
            given_here = getattr(given_here, key)
        steps = (RICH.steps(given_here) if given_here is not None else 0) or 2
        try:
            expected = _with(config, path, steps).build(RICH)
        except ConfigError:  # of two keys that exclude each other
            continue
        tested += 1
        lengths = {"epochs": steps / 10, "frames": 8 * steps, "agent_steps": 2 * steps}
        if len(path) == 1:  # elsewhere a fraction is of a part of the run
            lengths["fraction"] = steps / RICH.total
        for unit, value in lengths.items():
            other = _with(config, path, {unit: value})
            built = other.build(RICH)
            assert [built(t) for t in range(150)] == [expected(t) for t in range(150)], unit
            if not units(BARE)[unit]:
                with pytest.raises(ConfigError) as error:
                    other.build(BARE)
                assert error.value.key == ".".join(path)
                assert error.value.value == {unit: value}
    assert tested, f"no example of {kind} takes {'.'.join(path)}: add one to examples.py"


def test_durations_are_found() -> None:
    """Guards the search above: a schedule in a schedule, and a key without a value."""
    nested = _config({"kind": "delayed", "offset": 1, "low": 0.0, "then": {"kind": "cyclic"}})
    assert list(_durations(nested)) == [("offset",), ("then", "period"), ("then", "warmup")]


def _through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("example", every("trigger"))
@settings(max_examples=40)
@given(losses=LOSSES, cut=st.integers(0, 40))
def test_a_trigger_is_a_function_of_the_losses_and_of_its_state(
    example: dict[str, Any], losses: list[float], cut: int
) -> None:
    config = TRIGGERS[example["kind"]].from_mapping(example)
    whole, first, second = config.build(), config.build(), config.build()
    expected = [whole.observe(loss) for loss in losses]
    found = [first.observe(loss) for loss in losses[:cut]]
    second.load_state_dict(_through_a_file(first.state_dict()))
    found += [second.observe(loss) for loss in losses[cut:]]
    assert found == expected
    assert equal(second.state_dict(), whole.state_dict())


@pytest.mark.parametrize("example", ADAPTIVE)
@settings(max_examples=40)
@given(losses=LOSSES, cut=st.integers(0, 40))
def test_an_adaptive_schedule_continues_from_its_state(
    example: dict[str, Any], losses: list[float], cut: int
) -> None:
    """Its rates and events are a function of the losses so far, and of nothing else."""
    config = _config(example)

    def play(schedule: Any, start: int, end: int) -> list[Any]:
        seen: list[Any] = []
        for step in range(start, min(end, len(losses))):
            rate = schedule(step)
            assert math.isfinite(rate)
            assert rate >= 0
            seen += [rate, *schedule.observe(step, [losses[step]])]
        return seen

    first: Any
    second: Any
    whole: Any
    whole, first, second = (config.build(RICH) for _ in range(3))
    expected = play(whole, 0, len(losses))
    found = play(first, 0, cut)
    second.load_state_dict(_through_a_file(first.state_dict()))
    assert found + play(second, cut, len(losses)) == expected
    assert equal(second.state_dict(), whole.state_dict())


@pytest.mark.parametrize("example", ADAPTIVE)
@pytest.mark.parametrize("outer", [{"kind": "delayed", "offset": 3, "low": 0.1}, "task_aligned"])
def test_an_adaptive_schedule_inside_another_is_refused(
    example: dict[str, Any], outer: dict[str, Any] | str
) -> None:
    """Nobody would show it the losses."""
    mapping = {"kind": outer} if isinstance(outer, str) else outer
    with pytest.raises(ConfigError) as error:
        _config({**mapping, "then": example}).build(RICH)
    assert error.value.key == "then.kind"
    assert error.value.value == example["kind"]
