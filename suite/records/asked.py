"""Checks untrusted ``config.yaml`` and ``provenance.json`` before a report uses them.

A report reads them as plain data. The parts that it uses must have the suite's form; the rest may
be anything that is safe to read.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

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
