"""Environments that are registered with Gymnasium: by itself, by a package, or by a plugin."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from suite.environments.packages import register
from suite.environments.shown import Shown, read_actions
from suite.errors import ConfigError, nearest
from suite.registry import within

KEPT = 64
"""Environments whose spaces are remembered."""


def find(env: str) -> Any:
    """Return Gymnasium's entry of an environment.

    Args:
        env: its id, such as ``CartPole-v1``; ``module:Id-v0`` imports the module first.

    Raises:
        ConfigError: if there is none, its module cannot be imported, or its package is missing.
    """
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise ConfigError("task.env", env, f"the package gymnasium ({error})") from None
    module, colon, name = env.rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever the module does
            said = f"{type(error).__name__}: {error}"
            wanted = f"a module before the colon that can be imported ({said})"
            raise ConfigError("task.env", env, wanted) from error
    if name not in gymnasium.registry:
        register(name, gymnasium.registry)
    if name not in gymnasium.registry:
        wanted = f"{nearest(name, gymnasium.registry)}; one of your own needs --plugin FILE"
        raise ConfigError("task.env", env, wanted)
    return gymnasium.registry[name]


def make(entry: Any, kwargs: Mapping[str, Any], limit: int | None) -> Any:
    """Return a new environment.

    Args:
        entry: from `find`.
        kwargs: for its constructor.
        limit: steps after which an episode is cut; None for the registered number.

    Raises:
        ConfigError: if it cannot be made.
    """
    import gymnasium

    try:
        return gymnasium.make(
            entry, max_episode_steps=limit, disable_env_checker=True, **dict(kwargs)
        )
    except Exception as error:  # of any kind: the constructor is the user's
        said = f"{type(error).__name__}: {error}"
        if kwargs and isinstance(error, TypeError):
            wanted = f"arguments of {entry.id} ({said})"
            raise ConfigError("task.kwargs", dict(kwargs), wanted) from error
        raise ConfigError("task.env", entry.id, f"one that can be made ({said})") from error


def shown(env: str, kwargs: Mapping[str, Any]) -> Shown:
    """Return the spaces of an environment, which is made for this once in a process.

    Raises:
        ConfigError: if there is none of that name, it cannot be made, or Q-learning cannot use it.
    """
    entry = find(env)
    text = json.dumps(dict(kwargs), sort_keys=True)
    return _shown(entry.id, entry.entry_point, entry.max_episode_steps, text)


@lru_cache(maxsize=KEPT)
def _shown(name: str, entry_point: Any, limit: int | None, kwargs: str) -> Shown:
    """Make an environment and read it; a plugin that is imported again has a new entry point."""
    env = make(find(name), json.loads(kwargs), None)
    try:
        return Shown(env.observation_space, *read_actions(name, env.action_space), limit)
    finally:
        env.close()


PURE = ("gymnasium", "minatar")
"""Packages whose environments keep all state in themselves."""


def shares_state(env: str) -> bool:
    """Return whether environments of one process may have state in common.

    So it is assumed of those of packages that are not known here and of a user's own, unless their
    class has ``side_by_side: ClassVar[bool] = True``.

    Raises:
        ConfigError: if there is none of that name.
    """
    entry = find(env)
    made_by = entry.entry_point
    name = made_by if isinstance(made_by, str) else str(getattr(made_by, "__module__", ""))
    pure = any(within(name.partition(":")[0], package) for package in PURE)
    if pure and not entry.additional_wrappers:
        return False
    if isinstance(made_by, str):
        module, _, attribute = made_by.partition(":")
        made_by = getattr(importlib.import_module(module), attribute, None)
    return not getattr(made_by, "side_by_side", False)


def forget(module: str) -> None:
    """Remove the environments that a module has registered, which may then do so again."""
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is None:
        return
    for name, entry in list(gymnasium.registry.items()):
        made_by = entry.entry_point
        if not isinstance(made_by, str):
            made_by = str(getattr(made_by, "__module__", ""))
        if within(made_by.partition(":")[0], module):
            del gymnasium.registry[name]
