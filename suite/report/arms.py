"""Arms of an experiment, asked for by the settings in their configs.

::

    seed.arm({"model.alpha": 0.5, "interventions.weight_decay.coefficient": 1.0})
    seed.grid("optimizer.lr", "schedule.offset")

A setting is a dotted path. Within a list an entry is named by its ``kind``, or by its place, from 0
on. Of several entries of a kind only that is known in which they agree.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

Settings = tuple[Any, ...]
"""Values of some settings."""

_MISSING, _UNCLEAR = object(), object()


class NotMeasured(Exception):
    """A repetition lacks an arm or a metric that is asked for, which the message names."""


class Undetermined(NotMeasured):
    """A repetition was run and does not tell what is asked for: nothing is said of the others."""


class Ambiguous(Exception):
    """Several arms have the settings by which one is asked for; the message names them."""


class Arms(ABC):
    """Arms that are known by the settings in their configs.

    A setting is a dotted path, such as ``model.alpha`` or, within a list, with the ``kind`` of the
    entry, ``interventions.weight_decay.coefficient``.
    """

    @property
    @abstractmethod
    def arms(self) -> list[str]:
        """Labels of the arms, in the order of the sweep."""

    @abstractmethod
    def config(self, arm: str, task: str | None = None) -> Mapping[str, Any]:
        """Return the config of an arm.

        Args:
            arm: its label.
            task: its task, where several have such an arm.

        Raises:
            NotMeasured: if no run of it is complete, or it is not clear which one is meant.
        """

    def setting(self, arm: str, path: str, task: str | None = None) -> Any:
        """Return a setting of an arm.

        Raises:
            NotMeasured: if there is no such key, or entries of that kind differ in it.
        """
        value = _look_up(self.config(arm, task), path)
        if value is _MISSING or value is _UNCLEAR:
            raise NotMeasured(f"{path} of arm {arm!r}")
        return value

    def arms_by(self, path: str) -> list[tuple[Any, str]]:
        """Return (value, arm) of all arms, in the order of a setting.

        Raises:
            NotMeasured: if an arm lacks it.
        """
        return sorted((self.setting(arm, path), arm) for arm in self.arms)

    def arms_with(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the arms that have these settings, in the order of the sweep.

        Numbers are equal if they are but for rounding, whole or not. None stands for a setting that
        an arm lacks or that is null: ``{"interventions.nap": None}`` has the arms without NaP.
        """
        configs = {arm: self.config(arm) for arm in self.arms}
        return [
            arm
            for arm, config in configs.items()
            if all(_alike(_look_up(config, path), value) for path, value in settings.items())
        ]

    def arm(self, settings: Mapping[str, Any]) -> str:
        """Return the one arm that has these settings, see `arms_with`; with ``{}`` the only arm.

        Raises:
            NotMeasured: if none has. It may not be complete.
            Ambiguous: if several have.
        """
        found = self.arms_with(settings)
        if not found:
            raise NotMeasured(f"an arm{_in_words(settings)}")
        if len(found) > 1:
            raise Ambiguous(f"several arms{_in_words(settings)}: {', '.join(found)}")
        return found[0]

    def grid(self, *paths: str, where: Mapping[str, Any] | None = None) -> dict[Settings, str]:
        """Return the arms by their values of some settings, in the order of these.

        Args:
            paths: the settings, single values; arms that lack one or have null are left out.
            where: settings that the arms have besides, see `arms_with`.

        Returns:
            Arm by values, one value for each path.

        Raises:
            NotMeasured: if no arm is left.
            Ambiguous: if two arms have the same values.
        """
        found: dict[Settings, str] = {}
        for arm in self.arms_with(where or {}):
            values = tuple(_look_up(self.config(arm), path) for path in paths)
            if any(value in (_MISSING, _UNCLEAR, None) for value in values):
                continue
            if values in found:
                alike = _in_words(dict(zip(paths, values, strict=True)))
                raise Ambiguous(f"several arms{alike}: {found[values]}, {arm}")
            found[values] = arm
        if not found:
            raise NotMeasured(f"arms with {' and '.join(paths)}")
        return dict(sorted(found.items()))


def _look_up(config: Any, path: str) -> Any:
    """Return what is under a dotted path, see `Arms`.

    `_MISSING` if nothing is, `_UNCLEAR` if the entries of a kind differ there.
    """
    part, _, rest = path.partition(".")
    try:
        if not isinstance(config, list):
            found = [config[part]]
        elif part.isdecimal():
            found = [config[int(part)]]
        else:
            found = [m for m in config if isinstance(m, Mapping) and m.get("kind") == part]
    except (LookupError, TypeError):
        return _MISSING
    values = [_look_up(entry, rest) for entry in found] if rest else found
    if not values:
        return _MISSING
    return values[0] if all(value == values[0] for value in values) else _UNCLEAR


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_words(settings: Mapping[str, Any]) -> str:
    """Return for instance `` with model.alpha = 0.5 and no interventions.nap``."""
    words = [f"{path} = {_short(value)}" for path, value in settings.items() if value is not None]
    words += [f"no {path}" for path, value in settings.items() if value is None]
    return f" with {' and '.join(words)}" if words else ""


def _alike(found: Any, wanted: Any) -> bool:
    """Return whether a value of a config is the one that is wanted; numbers but for rounding."""
    if wanted is None:
        return found is None or found is _MISSING
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted)
    return bool(found == wanted)
