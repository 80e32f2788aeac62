"""Plugins: a user's own tasks, models, schedules, interventions and metrics, without a fork.

A plugin is a Python file or an importable module whose import registers its parts, or environments
with Gymnasium. A worker imports its plugins again for every trial, so that state in a plugin's
module does not pass from one run to the next, and runs with parts of plugins are not trained side
by side. Modules that a plugin imports are not imported again.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.environments import registered
from suite.errors import ConfigError
from suite.registry import Registry, within

_LOADED: dict[str, tuple[str, str]] = {}
"""Path and digest of the plugins that are files, by the name of the module made of each."""

_IN_USE: dict[str, str] = {}
"""Sources of all plugins that this process has loaded, by name; empty for modules."""


def read_plugins(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, source) of each plugin; the source of a file travels to the workers.

    Raises:
        ConfigError: if a file cannot be read.
    """  # noqa: DOC501
    found = []
    for name in names:
        path = Path(name)
        if path.suffix == ".py":
            try:
                if path.exists() and not path.is_file():  # a pipe would be waited for
                    raise OSError("it is not a plain file")
                found.append((name, path.read_text(encoding="utf-8")))
            except (OSError, ValueError) as error:
                raise ConfigError("--plugin", name, f"a readable file ({error})") from None
        else:
            found.append((name, ""))
    return found


def digests(plugins: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return a short hash of the source of each plugin that is a file, by its name."""
    return {name: _digest(source) for name, source in plugins if source}


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def load_plugins(plugins: Sequence[Sequence[str]], *, anew: bool = False) -> None:
    """Import plugins, once per process unless `anew`.

    A file that has changed since replaces what it was.

    Args:
        plugins: what `read_plugins` returned.
        anew: import again what has been imported, with all its state as at the first time.

    Raises:
        ConfigError: if one cannot be imported.
    """
    if anew:
        for module in (_module_name(name, source) for name, source in plugins):
            if not within(module, "suite"):
                _unload(module)
    for name, source in plugins:
        try:
            if source:
                _load_source(name, source)
            else:
                importlib.import_module(name)
        except ConfigError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise ConfigError("--plugin", name, f"a module that imports ({said})") from error
        _IN_USE[name] = source


def plugins_in_use() -> list[tuple[str, str]]:
    """Return (name, source) of the plugins of this process, for processes that it starts."""
    return list(_IN_USE.items())


def share_plugins(plugins: Sequence[Sequence[str]]) -> None:
    """Load what `plugins_in_use` returned in the process that asks; nothing if it is this one.

    Raises:
        ConfigError: if one cannot be imported.
    """
    load_plugins([(name, source) for name, source in plugins if _IN_USE.get(name) != source])


def _module_name(name: str, source: str) -> str:
    """Return what a plugin is called in `sys.modules`: a file by its name and its contents."""
    return f"suite_plugin_{Path(name).stem}_{_digest(source)}" if source else name


def _unload(module: str) -> None:
    """Forget a module, those below it, and the parts and environments that they registered."""
    for known in [known for known in sys.modules if within(known, module)]:
        del sys.modules[known]
    Registry.forget(module)
    registered.forget(module)
    _LOADED.pop(module, None)
    for name, source in list(_IN_USE.items()):
        if _module_name(name, source) == module:
            del _IN_USE[name]


def _load_source(name: str, source: str) -> None:
    path, digest = str(Path(name).absolute()), _digest(source)
    module_name = _module_name(name, source)
    if module_name in sys.modules:
        return
    for other, known in list(_LOADED.items()):
        if path == known[0] or digest == known[1]:  # changed since, or the same under two names
            _unload(other)
    spec = importlib.util.spec_from_loader(module_name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = name
    sys.modules[module_name] = module
    _LOADED[module_name] = (path, digest)
    try:
        exec(compile(source, name, "exec"), module.__dict__)
    except BaseException:
        _unload(module_name)
        raise
