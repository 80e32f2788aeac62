"""The view of an environment: its observations, of any of Gymnasium's spaces, as one array.

Numbers become single precision. A whole number that names one of n things (`Discrete`) becomes a
vector of n entries, one of which is 1. Several parts are joined to one vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.environments.failure import EnvironmentFailed
from suite.errors import ConfigError, nearest

Floats = NDArray[np.float32]

IMAGE = 3
"""Axes of an image."""


@dataclass(frozen=True)
class ViewOptions:
    """What is made of observations.

    Attributes:
        keys: parts of a `Dict` that are used, in this order; all if there are none.
        flatten: whether all that is used is joined to one vector.
        scale: factor of all numbers, but not of the vectors of `Discrete`.
        channels_last: whether it is an image (height, width, channels), which becomes (channels,
            height, width) as networks for images take it.
        pad_channels: number of channels that an image gets, the added ones zero; 0 for its own.
    """

    keys: tuple[str, ...] = ()
    flatten: bool = False
    scale: float = 1.0
    channels_last: bool = False
    pad_channels: int = 0


class View:
    """Turns observations into arrays of one shape.

    Args:
        space: of the observations of one environment, of Gymnasium.
        options: what is made of them.

    Attributes:
        shape: of one observation.

    Raises:
        ConfigError: if the options do not fit the space, or no array can be made of it.
    """

    def __init__(self, space: Any, options: ViewOptions) -> None:
        self._parts = [_Part(path, leaf, options.scale) for path, leaf in _used(space, options)]
        self._joined = options.flatten
        self._channels_last = options.channels_last
        if self._joined:
            self.shape: tuple[int, ...] = (sum(prod(part.shape) for part in self._parts),)
        else:
            self.shape = self._parts[0].shape
        if self._channels_last:
            if len(self.shape) != IMAGE:
                wanted = f"false for observations of shape {self.shape}"
                raise ConfigError("task.channels_last", True, wanted)
            self.shape = (self.shape[-1], *self.shape[:-1])
        self._padding = 0
        if options.pad_channels:
            if len(self.shape) != IMAGE or options.pad_channels < self.shape[0]:
                wanted = f"no such key, or enough for images, for observations of {self.shape}"
                raise ConfigError("task.pad_channels", options.pad_channels, wanted)
            self._padding = options.pad_channels - self.shape[0]
            self.shape = (options.pad_channels, *self.shape[1:])
        if not prod(self.shape):
            raise ConfigError("task.env", str(space), "observations with at least one number")

    def batch(self, obs: Any) -> Floats:
        """Return the arrays of n environments, (n, *shape).

        Args:
            obs: of all of them, each part with the axis of environments in front.

        Raises:
            EnvironmentFailed: if it is not in the space.
        """
        return self._look([part.read(part.find(obs)) for part in self._parts])

    def one(self, obs: Any) -> Floats:
        """Return the array of one environment, of `shape`.

        Raises:
            EnvironmentFailed: if the observation is not in the space.
        """
        seen: Floats = self._look([part.read_one(part.find(obs)) for part in self._parts])[0]
        return seen

    def _look(self, parts: list[Floats]) -> Floats:
        if self._joined:
            return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
        (seen,) = parts
        if self._channels_last:
            seen = np.moveaxis(seen, -1, 1)
        if self._padding:
            return np.pad(seen, ((0, 0), (0, self._padding), (0, 0), (0, 0)))
        return np.ascontiguousarray(seen)


class _Part:
    """One leaf of a space."""

    def __init__(self, path: tuple[str | int, ...], space: Any, scale: float) -> None:
        from gymnasium import spaces

        self.path, self.scale = path, np.float32(scale)
        self.names = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
        self.start = self.counts = np.zeros(0, np.int64)  # of whole numbers that name things
        if isinstance(space, spaces.Discrete):
            self.start, self.counts = np.array([space.start]), np.array([space.n])
        elif isinstance(space, spaces.MultiDiscrete):
            self.start, self.counts = space.start.reshape(-1), space.nvec.reshape(-1)
        elif not isinstance(space, spaces.Box | spaces.MultiBinary):
            wanted = "observations of numbers: Box, Discrete, MultiBinary, MultiDiscrete, Dict"
            raise ConfigError("task.env", f"observations {space}", f"{wanted} or Tuple of them")
        self.raw: tuple[int, ...] = tuple(space.shape or ())
        self.shape = self.raw or (1,)
        if self.names:
            self.shape = (int(self.counts.sum()),)
            self._first = np.cumsum(self.counts) - self.counts  # of each block of entries

    def find(self, obs: Any) -> Any:
        """Return this part of an observation.

        Raises:
            EnvironmentFailed: if it is missing.
        """
        try:
            for step in self.path:
                obs = obs[step]
        except (KeyError, IndexError, TypeError) as error:
            name = ".".join(map(str, self.path))
            raise EnvironmentFailed(f"an observation has no part {name!r}") from error
        return obs

    def read(self, found: Any) -> Floats:
        """Return a part of n observations, (n, *raw), as numbers, (n, *shape).

        Raises:
            EnvironmentFailed: if it has another shape, or is not in the space.
        """
        try:
            numbers = np.asarray(found)
            if numbers.shape[1:] != self.raw:
                raise EnvironmentFailed(
                    f"an observation has shape {numbers.shape[1:]}, and the observation space says "
                    f"{self.raw}: it must not change"
                )
            if self.names:
                return self._named(numbers.reshape(len(numbers), -1))
            floats = numbers.astype(np.float32).reshape(len(numbers), *self.shape)
        except (TypeError, ValueError) as error:
            raise EnvironmentFailed(f"an observation is no array of numbers ({error})") from error
        return floats if self.scale == 1 else floats * self.scale

    def read_one(self, found: Any) -> Floats:
        """Return a part of one observation as numbers, (1, *shape).

        Raises:
            EnvironmentFailed: if it has another shape, or is not in the space.
        """
        try:
            numbers = np.asarray(found)
        except ValueError as error:  # lists of unequal lengths
            raise EnvironmentFailed(f"an observation is no array of numbers ({error})") from error
        return self.read(numbers[None])

    def _named(self, numbers: NDArray[Any]) -> Floats:
        """Return a 1 at the place of each whole number (n, numbers), and 0 elsewhere.

        Raises:
            EnvironmentFailed: if there is no such place.
        """
        places = numbers.astype(np.int64) - self.start
        if ((places < 0) | (places >= self.counts)).any():
            raise EnvironmentFailed(f"an observation has a number out of its space: {numbers}")
        seen = np.zeros((len(numbers), *self.shape), np.float32)
        np.put_along_axis(seen, places + self._first, 1.0, axis=1)
        return seen


def _used(space: Any, options: ViewOptions) -> list[tuple[tuple[str | int, ...], Any]]:
    """Return paths and spaces of the parts that are used.

    Raises:
        ConfigError: if a key is not there, or there are several parts and they are not joined.
    """
    from gymnasium import spaces

    known = list(space.spaces) if isinstance(space, spaces.Dict) else []
    for key in options.keys:
        if key not in known:
            wanted = nearest(key, known) if known else f"no such key: observations are {space}"
            raise ConfigError("task.observation", key, wanted)
    tops: list[tuple[tuple[str | int, ...], Any]] = [((), space)]
    if options.keys:
        tops = [((key,), space.spaces[key]) for key in options.keys]
    found = [leaf for path, top in tops for leaf in _leaves(path, top)]
    if len(found) > 1 and not options.flatten:
        names = ", ".join(".".join(map(str, path)) for path, _ in found)
        wanted = f"one part of the observations ({names}), or flatten: true to join several"
        raise ConfigError("task.observation", list(options.keys) or None, wanted)
    if not found:
        raise ConfigError("task.env", f"observations {space}", "observations with a part")
    return found


def _leaves(path: tuple[str | int, ...], space: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves((*path, key), part)
    elif isinstance(space, spaces.Tuple):
        for index, part in enumerate(space.spaces):
            yield from _leaves((*path, index), part)
    else:
        yield path, space
