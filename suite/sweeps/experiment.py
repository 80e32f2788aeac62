"""One experiment of a sweep, as written in YAML; `suite.sweeps.sweep` documents the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any

from pydantic import Field, model_validator

from suite.atari.sets import GAME_SETS
from suite.config import Config
from suite.errors import ConfigError, nearest
from suite.sweeps.labels import MOST_ARMS, MOST_TRIALS, Name, check_apart
from suite.sweeps.search import SearchConfig, number_of_points

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class SkipConfig(Config):
    """A combination that is left out: axis values that must all match, and why."""

    when: dict[str, str]
    reason: Annotated[str, Field(min_length=1)]


class ExperimentConfig(Config):
    """One experiment of a sweep."""

    description: str = ""
    base: dict[str, Any] = Field(default_factory=dict)
    axes: dict[Name, dict[Name, dict[str, Any] | None]] = Field(default_factory=dict)
    games: str | Annotated[tuple[str, ...], Field(strict=False)] | None = None
    seeds: Annotated[tuple[Seed, ...], Field(strict=False)]
    skip: Annotated[tuple[SkipConfig, ...], Field(strict=False)] = ()
    reference: str | dict[str, str] | None = None
    gap_to: str | dict[str, str] | None = None
    search: dict[str, SearchConfig] = Field(default_factory=dict)
    samples: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="before")
    @classmethod
    def _games_are_tasks(cls, data: Any) -> Any:
        """Make the axis "task" of `games`.

        Raises:
            ConfigError: if there is such an axis, or the games are none.
        """
        if not isinstance(data, Mapping) or data.get("games") is None:
            return data
        axes = data.get("axes", {})
        if not isinstance(axes, Mapping):
            raise ConfigError("axes", axes, "a mapping of axes to their values")
        if "task" in axes:
            raise ConfigError(
                "games", data["games"], 'no axis "task", because games make that axis'
            )
        names = _games(data["games"])
        return {**data, "axes": {"task": {name: {"task.game": name} for name in names}, **axes}}

    @model_validator(mode="after")
    def _names_fit(self) -> ExperimentConfig:
        if len(set(self.seeds)) != len(self.seeds):
            raise ConfigError("seeds", list(self.seeds), "each seed once")
        for axis, values in self.axes.items():
            if not values:
                raise ConfigError(f"axes.{axis}", values, "at least one value")
            check_apart(f"axes.{axis}", values)
        for index, rule in enumerate(self.skip):
            self._check_choice(f"skip[{index}].when", rule.when)
        for key in ("reference", "gap_to"):
            self._check_choice(key, self.substitution(key))
        if self.samples > 1 and all(how.grid is not None for how in self.search.values()):
            raise ConfigError("samples", self.samples, "a random search to draw from")
        self._check_number()
        return self

    def _check_number(self) -> None:
        """Check that there are not too many trials, before they are made.

        Raises:
            ConfigError: if there are.
        """
        points = number_of_points(self.search, self.samples)
        numbers = {f"axes.{axis}": len(values) for axis, values in self.axes.items()}
        numbers |= {"points of its search": points, "seeds": len(self.seeds)}
        if prod(numbers.values()) > MOST_TRIALS:
            key = "axes" if points == 1 else "search" if self.samples == 1 else "samples"
            product = " x ".join(f"{n:,} {name}" for name, n in numbers.items() if n > 1)
            raise ConfigError(key, product, f"at most {MOST_TRIALS:,} trials in an experiment")
        arms = prod(len(self.axes[axis]) for axis in self.arm_axes) * points
        if arms > MOST_ARMS:
            raise ConfigError(
                "axes" if points == 1 else "search", arms, f"at most {MOST_ARMS:,} arms"
            )

    def _check_choice(self, key: str, choice: Mapping[str, str]) -> None:
        for axis, value in choice.items():
            if axis not in self.axes:
                raise ConfigError(f"{key}.{axis}", value, f"an axis: {nearest(axis, self.axes)}")
            if value not in self.axes[axis]:
                raise ConfigError(key, value, nearest(value, self.axes[axis]))

    @property
    def arm_axes(self) -> list[str]:
        """The axes whose values name an arm."""
        return [axis for axis in self.axes if axis != "task"]

    def substitution(self, key: str) -> dict[str, str]:
        """Return the axis values that `reference` or `gap_to` puts in place of an arm's own.

        Raises:
            ConfigError: if it is no mapping.
        """
        value = getattr(self, key)
        if not isinstance(value, str):
            return dict(value or {})
        if len(self.arm_axes) != 1:
            raise ConfigError(key, value, "axis values, such as {arm: constant}")
        return {self.arm_axes[0]: value}


def _games(value: Any) -> Sequence[str]:
    """Return the games of a set, or of a list.

    Raises:
        ConfigError: if there is no such set, or the list is none.
    """
    if isinstance(value, str):
        if value not in GAME_SETS:
            raise ConfigError("games", value, f"a set of games: {nearest(value, GAME_SETS)}")
        return GAME_SETS[value]
    known = isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value)
    if not known or len(set(value)) != len(value):
        raise ConfigError("games", value, "the name of a set, or a list of games, each once")
    return list(value)
