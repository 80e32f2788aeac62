"""Plugins: a user's own tasks, models, schedules, interventions and metrics, without a fork.

A plugin is a Python file or an importable module whose import registers its parts.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.errors import ConfigError


def read_plugins(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, source) of each plugin; the source of a file travels to the workers.

    Raises:
        ConfigError: if a file cannot be read.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.suffix == ".py":
            try:
                found.append((name, path.read_text(encoding="utf-8")))
            except OSError as error:
                raise ConfigError("--plugin", name, f"a readable file ({error})") from None
        else:
            found.append((name, ""))
    return found


def digests(plugins: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return a short hash of the source of each plugin that is a file, by its name."""
    return {name: _digest(source) for name, source in plugins if source}


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def load_plugins(plugins: Sequence[Sequence[str]]) -> None:
    """Import plugins, once per process.

    Args:
        plugins: what `read_plugins` returned.

    Raises:
        ConfigError: if one cannot be imported.
    """
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


def _load_source(name: str, source: str) -> None:
    module_name = f"suite_plugin_{Path(name).stem}_{_digest(source)}"
    if module_name in sys.modules:
        return
    spec = importlib.util.spec_from_loader(module_name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = name
    sys.modules[module_name] = module
    try:
        exec(compile(source, name, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module_name]
        raise
