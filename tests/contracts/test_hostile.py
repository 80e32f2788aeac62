"""Every key of every part, taken to hostile values: what cannot be planned is refused by name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from examples import EXAMPLES, REGISTRIES

from suite.config import merge
from suite.errors import ConfigError
from suite.launch.engines import engine_of
from suite.launch.estimate import estimate_bytes, estimate_trials
from suite.run_config import RunConfig
from suite.tasks.base import TASKS

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**6, 10**9, 10**12, 2**63 - 1, 0.5, 1e300, float("nan"), "x", "²"),
    *([], [None], [[1]], [2**62] * 3, {}, {"kind": ["a"]}, {"steps": None}, {"epochs": 1e300}),
)
"""What each value is replaced by."""

PLACES = {"schedule": "schedule", "intervention": "interventions", "optimizer": "optimizer"}
PLACES |= {"trigger": "schedule", "agent": "agent", "model": "model"}


def planned(mapping: dict[str, Any]) -> None:
    """Do what a plan does to a run."""
    run = RunConfig.from_mapping(mapping)
    run.check()
    engine_of(run).bundles(run)
    if run.skip_reason() is None:
        estimate_trials([run], 2)
        estimate_bytes(run)


def _parts() -> list[Any]:
    found = [pytest.param("task", {"kind": kind}, id=f"task-{kind}") for kind in TASKS.entries()]
    for noun, place in PLACES.items():
        assert place in RunConfig.model_fields
        for kind in REGISTRIES[noun].entries():
            part = {"kind": kind, **EXAMPLES.get(noun, {}).get(kind, [{}])[0]}
            found.append(pytest.param(noun, part, id=f"{noun}-{kind}"))
    return found


def _run_with(noun: str, part: dict[str, Any]) -> dict[str, Any]:
    """Return the smoke run of the first task that a part goes with, as plain data."""
    tasks = [part["kind"]] if noun == "task" else list(TASKS.entries())
    for task in sorted(tasks, key=lambda kind: kind != "modular_addition"):
        run = merge(dict(TASKS[task].smoke), {})
        if noun == "intervention":
            run["interventions"] = [part]
        elif noun == "trigger":
            run["schedule"] = {"kind": "triggered", "trigger": part}
        elif noun == "agent" and run.get(noun, {}).get("kind") == part["kind"]:
            run[noun] |= part
        elif noun != "task":
            run[noun] = part
        try:
            planned(run)
        except ConfigError:
            continue
        data = RunConfig.from_mapping(run).model_dump(mode="json")
        return {key: value for key, value in data.items() if value is not None}
    raise AssertionError("no task for it")


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*above, key)
        if isinstance(item, dict | list):
            yield from _paths(item, (*above, key))


@pytest.mark.parametrize(("noun", "part"), _parts())
def test_a_hostile_value_is_planned_or_refused(noun: str, part: dict[str, Any]) -> None:
    whole = _run_with(noun, part)
    place = PLACES.get(noun)
    said = []
    for path in _paths(whole):
        if place is not None and path[0] != place:
            continue
        for value in VALUES:
            mutant = copy.deepcopy(whole)
            holder: Any = mutant
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
            try:
                planned(mutant)
            except ConfigError as error:
                said.append(str(error))
    assert said
    assert not any("\n" in message for message in said)
