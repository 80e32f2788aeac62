"""What strangers' ``config.yaml`` and ``provenance.json`` must look like before a report uses them.

A report reads them as plain data. What it looks at has to be what the suite writes; the rest of a
file may be anything that is neither endless nor dangerous to read.
"""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from suite.records.json_file import DEEPEST, bounded

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_NODES = 100_000

Number = Annotated[float, Field(allow_inf_nan=False)]
Length = int | Number | dict[str, int | Number] | None


class _Shape(BaseModel):
    """Base: other keys are let through."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Part(_Shape):
    kind: str = ""


class _Task(_Part):
    game: str | None = None
    games: list[Any] = []
    visit_length: Length = None
    phases: list[Any] | None = None


class _Stop(_Shape):
    metric: str
    layer: str = ""
    above: int | Number | None = None
    below: int | Number | None = None
    hold: int = 1


class ConfigShape(_Shape):
    """What a report looks at in a config."""

    task: _Task = _Task()
    model: _Part = _Part()
    optimizer: _Part = _Part()
    schedule: _Part = _Part()
    interventions: list[_Part] = []
    metrics: _Shape = _Shape()
    budget: Length = None
    stop: _Stop | None = None


class ProvenanceShape(_Shape):
    """What a report looks at in a run's origins."""

    versions: dict[str, str | None] | None = None
    plugins: dict[str, str | None] | None = None
    hardware: dict[str, Any] | str | None = None


def parse_config(text: str) -> Any:
    """Return the data of a config's YAML.

    The suite writes no aliases. They are refused, for a few lines of them stand for more than any
    memory holds; so is what is nested so deeply that the parser itself would crash.

    Raises:
        ValueError: if it cannot be read, or is no config.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                raise ValueError("a config without aliases, and not nested deeply")
        return bounded(yaml.load(text, Loader=_LOADER), _MOST_NODES)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
