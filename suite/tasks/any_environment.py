"""Base of the tasks that are one environment of a library, named by its id there."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field, JsonValue, field_validator

from suite.environments.shown import Shown
from suite.environments.view import View, ViewOptions
from suite.errors import ConfigError
from suite.models.base import ModelSpec
from suite.models.inputs import Floats
from suite.tasks.one_environment import OneEnvironmentConfig

MOST_CHANNELS = 10_000
"""Of an image."""


class AnyEnvironmentConfig(OneEnvironmentConfig):
    """One environment of a library, with discrete actions.

    Attributes:
        fixed: options of the library that `kwargs` must leave alone, and what to use instead.
        kwargs: options of the environment.
        observation: key or keys of a `Dict` of observations; all by default.
        flatten: whether observations become one vector, all parts joined.
        scale: factor of observations, such as 1/255 of bytes.
        channels_last: whether observations are images (height, width, channels).
        pad_channels: channels that images get, the added ones zero; their own by default. Games
            with different numbers of channels can then follow each other.
    """

    later: ClassVar[frozenset[str]] = frozenset({"pad_channels"})

    fixed: ClassVar[dict[str, str]] = {
        "seed": "seeds",
        "num_envs": "task.lanes",
        "max_episode_steps": "task.max_episode_steps",
    }

    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    observation: str | Annotated[tuple[str, ...], Field(strict=False)] = ()
    flatten: bool = False
    scale: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    channels_last: bool = False
    pad_channels: Annotated[int, Field(ge=0, le=MOST_CHANNELS)] = 0

    @field_validator("kwargs")
    @classmethod
    def _not_ours(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for key in value:
            if key in cls.fixed:
                wanted = f"no such key: {cls.fixed[key]} says it"
                raise ConfigError(key, value[key], wanted)
        return value

    def pool_options(self) -> dict[str, Any]:
        """Return the options of the environment."""
        return dict(self.kwargs)

    def shown(self) -> Shown:
        """Return what the environment shows and takes.

        Raises:
            ConfigError: if there is none, or Q-learning cannot use it.
        """
        raise NotImplementedError

    def view_options(self) -> ViewOptions:
        """Return what is made of observations."""
        keys = (self.observation,) if isinstance(self.observation, str) else self.observation
        return ViewOptions(keys, self.flatten, self.scale, self.channels_last, self.pad_channels)

    @cached_property
    def view(self) -> View:
        """What the network sees of an observation.

        Raises:
            ConfigError: if that is not an array.
        """
        return View(self.shown().observations, self.view_options())

    def spec(self) -> ModelSpec:
        """Return the shape of observations and the number of actions.

        Raises:
            ConfigError: if there is no such environment, or Q-learning cannot use it.
        """
        return ModelSpec(inputs=Floats(self.view.shape), outputs=self.shown().actions)

    @property
    def time_limit(self) -> int | None:
        """Agent steps after which an episode is cut: as configured, or the environment's own."""
        return self.max_episode_steps or self.shown().time_limit
