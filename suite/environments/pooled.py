"""Environments that envpool has (Weng et al. 2022)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from suite.environments.registered import KEPT
from suite.environments.shown import Shown, read_actions
from suite.errors import ConfigError, nearest


def shown(env: str, kwargs: Mapping[str, Any]) -> Shown:
    """Return the spaces and the time limit of an environment, which is not made for this.

    Raises:
        ConfigError: if there is none of that name, its options are not these, or Q-learning cannot
            use it.
    """
    return _shown(env, json.dumps(dict(kwargs), sort_keys=True))


@lru_cache(maxsize=KEPT)
def _shown(env: str, kwargs: str) -> Shown:
    spec = _checked_spec(env, json.loads(kwargs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the precision of bounds, which are not used
        actions = read_actions(env, spec.gymnasium_action_space)
        limit = int(spec.config.max_episode_steps)
        return Shown(spec.gymnasium_observation_space, *actions, limit)


def spaces(env: str, kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the spaces of an observation and an action, of any kind.

    Raises:
        ConfigError: if there is no environment of that name, or its options are not these.
    """
    spec = _checked_spec(env, kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the precision of bounds
        return spec.gymnasium_observation_space, spec.gymnasium_action_space


def _checked_spec(env: str, options: Mapping[str, Any]) -> Any:
    """Return envpool's description of an environment for one player.

    Raises:
        ConfigError: if there is none of that name, its options are not these, or it is for more.
    """
    try:
        import envpool
    except ModuleNotFoundError as error:
        raise ConfigError("task.env", env, f"the package envpool ({error})") from None
    known = envpool.list_all_envs()
    if env not in known:
        raise ConfigError("task.env", env, nearest(env, known))
    spec = _spec(env, {}, ("task.env", env))
    for name, value in options.items():
        if name not in spec.config._fields:
            wanted = f"an option of {env}: {nearest(name, spec.config._fields)}"
            raise ConfigError(f"task.kwargs.{name}", value, wanted)
    if options:
        spec = _spec(env, options, ("task.kwargs", options))
    if spec.config.max_num_players > 1:
        wanted = f"an environment with one player; this one has {spec.config.max_num_players}"
        raise ConfigError("task.env", env, wanted)
    return spec


def _spec(env: str, options: Mapping[str, Any], fault: tuple[str, Any]) -> Any:
    """Return envpool's description of an environment with options.

    Args:
        env: its id.
        options: for it.
        fault: key and value that are to blame if it cannot be had.

    Raises:
        ConfigError: if it cannot be had.
    """
    import envpool

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the precision of bounds, which are not used
            return envpool.make_spec(env, **options)
    except Exception as error:  # of many kinds
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ConfigError(*fault, f"what envpool can make ({said})") from error
