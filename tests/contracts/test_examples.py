"""Every registered part can be made: by its defaults, or as an example says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from examples import EXAMPLES, REGISTRIES, every

from suite.errors import ConfigError

PARTS = [
    pytest.param(noun, *example.values, id=f"{noun}-{example.id}")
    for noun in REGISTRIES
    if noun != "task"  # these say themselves how they are made: see test_tasks.py
    for example in every(noun)
]


@pytest.mark.parametrize(("noun", "example"), PARTS)
def test_it_can_be_made_and_survives_json(noun: str, example: dict[str, Any]) -> None:
    cls = REGISTRIES[noun][example["kind"]]
    try:
        config = cls.from_mapping(example)
    except ConfigError as error:
        pytest.fail(
            f"no example of the {noun} {example['kind']!r}: add one to EXAMPLES[{noun!r}] in "
            f"tests/contracts/examples.py ({error})"
        )
    again = cls.from_mapping(json.loads(config.canonical()))
    assert again == config
    assert again.canonical() == config.canonical()
    if noun in ("model", "intervention"):  # checks of whole runs are remembered by these
        assert hash(again) == hash(config)


@pytest.mark.parametrize("noun", EXAMPLES)
def test_examples_are_of_registered_parts(noun: str) -> None:
    assert set(EXAMPLES[noun]) <= set(REGISTRIES[noun].entries())


@pytest.mark.parametrize("noun", REGISTRIES)
def test_a_part_is_registered_by_the_name_of_its_kind_and_says_what_it_is(noun: str) -> None:
    entries = REGISTRIES[noun].entries()
    assert entries
    for name, cls in entries.items():
        assert cls.model_fields["kind"].default == name
        assert (cls.__doc__ or "").strip()
        with pytest.raises(ConfigError, match="no such key"):
            cls.from_mapping({**_required(cls), "kind": name, "no_such_key": 1})


def _required(cls: Any) -> dict[str, Any]:
    """Return the first example's settings, or a task's, so that only the extra key is wrong."""
    if hasattr(cls, "smoke"):
        return dict(cls.smoke["task"])
    kind = cls.model_fields["kind"].default
    for noun, registry in REGISTRIES.items():
        if registry.entries().get(kind) is cls:
            return EXAMPLES.get(noun, {}).get(kind, [{}])[0]
    raise AssertionError(f"{cls} is registered")
