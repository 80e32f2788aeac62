"""Fixed changes of an environment: what is seen, what actions do, and what is paid.

Every change is a function of the config alone, the same in all lanes, in training, in evaluation
and after a restore. In this order, on the flattened entries x of an observation::

    x <- x[p]          permute_observations
    x <- x + shift
    x[m] <- 0          mask

The environment takes action q[a] for the agent's action a (`permute_actions`), and its reward is
multiplied by `reward_factor`. Returns are sums of the changed rewards.

The permutations p and q and the masked places m are draws of numpy's ``Generator.permutation`` from
the streams ``observations``, ``actions`` and ``mask`` of the task ``wrap`` (`suite.seeding`), whose
repetition is the seed in the config. So they are independent of each other and of the seed of the
run, and equal for all runs.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from suite.config import Config
from suite.errors import ConfigError
from suite.ranges import Range
from suite.seeding import Seeds

Array = NDArray[Any]

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Of a draw that is part of a task."""

LARGEST = 1e6
"""Bound on the size of what is added to observations, and on the factor of rewards."""


class MaskConfig(Config):
    """Entries of an observation that are always zero.

    Attributes:
        share: of all entries, rounded to a whole number of them; not all.
        seed: of the draw that picks them.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed = 0

    def count(self, entries: int) -> int:
        """Return how many of the entries are masked.

        Raises:
            ConfigError: if that is none or all of them.
        """
        masked = round(self.share * entries)
        if not 0 < masked < entries:
            wanted = f"a share that masks some, not all, of {entries} entries; this masks {masked}"
            raise ConfigError("task.wrap.mask.share", self.share, wanted)
        return masked


class WrapConfig(Config):
    """How an environment is changed; by default not at all.

    Attributes:
        permute_observations: seed of a permutation of the flattened entries of observations.
        shift: constant that is added to every entry.
        mask: entries that are always zero.
        permute_actions: seed of a permutation of the actions.
        reward_factor: of every reward; -1 switches their sign.
    """

    permute_observations: Seed | None = None
    shift: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 0.0
    mask: MaskConfig | None = None
    permute_actions: Seed | None = None
    reward_factor: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 1.0

    @field_validator("reward_factor")
    @classmethod
    def _pays(cls, value: float) -> float:
        if value == 0:
            raise ConfigError(
                "", value, "a factor other than 0, which would leave nothing to learn"
            )
        return value

    @property
    def changes(self) -> bool:
        """Whether anything is changed."""
        return self != WrapConfig()

    def check(self, shape: tuple[int, ...]) -> None:
        """Check that the changes fit observations of a shape.

        Raises:
            ConfigError: if they do not.
        """
        if self.mask is not None:
            self.mask.count(prod(shape))

    def returns(self, own: Range) -> Range:
        """Return the range of returns, given that of the environment's own.

        >>> WrapConfig(reward_factor=-2.0).returns(Range(0, 500))
        Range(lower=-1000.0, upper=0.0, scale='linear')
        """
        if self.reward_factor == 1:
            return own
        bounds = (own.lower, own.upper) if self.reward_factor > 0 else (own.upper, own.lower)
        lower, upper = (None if b is None else 0.0 + b * self.reward_factor for b in bounds)
        return Range(lower, upper)


class Wrap:
    """The changes, drawn for one environment.

    Args:
        config: what is changed.
        shape: of one observation.
        actions: number of actions.

    Raises:
        ConfigError: if the config does not fit the shape.
    """

    def __init__(self, config: WrapConfig, shape: tuple[int, ...], actions: int) -> None:
        entries = prod(shape)
        self._order = _permutation(config.permute_observations, "observations", entries)
        self._actions = _permutation(config.permute_actions, "actions", actions)
        self._shift, self._factor = np.float32(config.shift), np.float32(config.reward_factor)
        self._masked: Array | None = None
        if (mask := config.mask) is not None:
            places = _permutation(mask.seed, "mask", entries)
            assert places is not None
            self._masked = places[: mask.count(entries)]

    def observations(self, obs: Array) -> Array:
        """Return what is seen of n observations, (n, *shape); they stay as they are."""
        flat = obs.reshape(len(obs), -1)
        seen = flat.copy() if self._order is None else np.take(flat, self._order, axis=1)
        if self._shift:
            seen += self._shift
        if self._masked is not None:
            seen[:, self._masked] = 0
        return seen.reshape(obs.shape)

    def actions(self, actions: Array) -> Array:
        """Return the environment's actions for those of the agent, (n,)."""
        return actions if self._actions is None else np.take(self._actions, actions)

    def rewards(self, rewards: Array) -> Array:
        """Return what is paid for rewards, (n,)."""
        return rewards if self._factor == 1 else rewards * self._factor


def _permutation(seed: int | None, stream: str, size: int) -> NDArray[np.int32] | None:
    """Return a permutation of 0 to size - 1, the same for a seed wherever it is drawn."""
    if seed is None:
        return None
    return Seeds("wrap", seed).numpy(stream).permutation(size).astype(np.int32)
