"""Triggers: change detectors on the stream of training losses that ask for a re-warm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import SerializeAsAny

from suite.config import Component, one_of
from suite.registry import Registry


class Trigger(Protocol):
    """Sees one loss per update and says when the problem has changed."""

    def observe(self, loss: float) -> bool:
        """Take in the loss of one update; return whether this is an alarm."""

    def state_dict(self) -> dict[str, Any]:
        """Return all state, as plain data."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""


@runtime_checkable
class Readable(Protocol):
    """A trigger that also says where it stands; not all do."""

    def readings(self) -> Mapping[str, float]:
        """Return numbers for the rows, by name."""


class TriggerConfig(Component):
    """Base of every trigger's config."""

    def build(self) -> Trigger:
        """Return a new trigger."""
        raise NotImplementedError


TRIGGERS: Registry[type[TriggerConfig]] = Registry("trigger", "suite.schedules")

AnyTrigger = Annotated[SerializeAsAny[TriggerConfig], one_of(TRIGGERS, shorthand=True)]
"""A field that holds any registered trigger."""
