"""Spaces of an environment with actions of any kind, for agents that are not Q-learners."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Literal

from suite.environments import pooled, registered
from suite.environments.registered import KEPT
from suite.errors import ConfigError

Backend = Literal["gymnasium", "envpool"]
"""Libraries that environments are of."""


@dataclass(frozen=True)
class Spaces:
    """Spaces of one environment.

    Attributes:
        observations: Gymnasium's space of one observation, a vector.
        actions: of one action: ``Discrete``, or a vector of numbers within bounds.
    """

    observations: Any
    actions: Any

    @property
    def inputs(self) -> int:
        """Numbers in an observation."""
        return int(self.observations.shape[0])

    @property
    def outputs(self) -> int:
        """Outputs of a policy: one per action, or mean and spread of each number of an action."""
        actions = getattr(self.actions, "n", None)
        return 2 * prod(self.actions.shape) if actions is None else int(actions)


def spaces_of(backend: Backend, env: str, kwargs: Mapping[str, Any]) -> Spaces:
    """Return the spaces of an environment.

    Raises:
        ConfigError: if there is none of that name, it cannot be made, its observations are no
            vectors, or its actions neither discrete nor vectors within bounds.
    """
    text = json.dumps(dict(kwargs), sort_keys=True)
    if backend == "envpool":
        return _checked(env, *_pooled(env, text))
    entry = registered.find(env)
    return _checked(env, *_registered(entry.id, entry.entry_point, text))


@lru_cache(maxsize=KEPT)
def _pooled(env: str, kwargs: str) -> tuple[Any, Any]:
    return pooled.spaces(env, json.loads(kwargs))


@lru_cache(maxsize=KEPT)
def _registered(name: str, entry_point: Any, kwargs: str) -> tuple[Any, Any]:
    """Make an environment and read it; a plugin that is imported again has a new entry point."""
    env = registered.make(registered.find(name), json.loads(kwargs), None)
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()


def _checked(env: str, observations: Any, actions: Any) -> Spaces:
    """Return the spaces if they are of a kind that can be learnt from.

    Raises:
        ConfigError: if they are not.
    """
    import numpy as np
    from gymnasium.spaces import Box, Discrete

    if not (isinstance(observations, Box) and len(observations.shape) == 1):
        wanted = f"an environment whose observations are vectors; this one shows {observations}"
        raise ConfigError("task.env", env, wanted)
    vector = isinstance(actions, Box) and len(actions.shape) == 1
    if vector and np.issubdtype(actions.dtype, np.floating) and actions.is_bounded():
        return Spaces(observations, actions)
    if isinstance(actions, Discrete):
        return Spaces(observations, actions)
    wanted = f"discrete actions, or vectors within bounds; this environment takes {actions}"
    raise ConfigError("task.env", env, wanted)
