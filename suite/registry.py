"""Registries: one named collection of components per folder, discovered, never listed by hand.

A component is a frozen pydantic model (a subclass of the folder's base config) whose field ``kind``
names it. To add one, put a file with a registered component into the folder.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakSet

from suite.errors import ConfigError, nearest

T = TypeVar("T")


def _home(entry: object) -> tuple[object, object]:
    """Return module and name of what an entry is made from, the same when it is imported again."""
    made_from = getattr(entry, "function", entry)
    return getattr(made_from, "__module__", None), getattr(made_from, "__qualname__", None)


def within(name: str, module: str) -> bool:
    """Return whether a dotted name is that of a module or of one below it."""
    return name == module or name.startswith(f"{module}.")


class Registry(Generic[T]):
    """Named components of one kind.

    Args:
        noun: what an entry is called in messages, for instance ``schedule``.
        package: dotted name of the folder (or module) whose parts register themselves on import.
    """

    _all: ClassVar[WeakSet[Registry[Any]]] = WeakSet()

    def __init__(self, noun: str, package: str) -> None:
        Registry._all.add(self)
        self.noun = noun
        self.package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument under `name`.

        Raises:
            ConfigError: if the name is taken by another component.
        """

        def add(entry: T) -> T:
            known = self._entries.get(name)
            if known is not None and _home(known) != _home(entry):
                homes = " and ".join(".".join(map(str, _home(e))) for e in (known, entry))
                wanted = f"a name that is not taken; it is registered twice, by {homes}"
                raise ConfigError(self.noun, name, wanted)
            self._entries[name] = entry
            return entry

        return add

    @staticmethod
    def forget(module: str) -> None:
        """Take out of all registries what a module, and those below it, put there."""
        for registry in Registry._all:
            for name, entry in list(registry._entries.items()):
                if within(str(_home(entry)[0]), module):
                    del registry._entries[name]

    def entries(self) -> Mapping[str, T]:
        """Return all components by name, sorted, after importing the folder once."""
        if not self._discovered:
            self._discovered = True
            folder = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(getattr(folder, "__path__", [])):
                importlib.import_module(f"{self.package}.{module.name}")
        return dict(sorted(self._entries.items()))

    def __getitem__(self, name: Any) -> T:
        """Return the component called `name`.

        Raises:
            KeyError: for an unknown name; the message lists close matches.
        """
        entries = self.entries()
        if not isinstance(name, str) or name not in entries:
            raise KeyError(f"no {self.noun} {name!r}; expected {nearest(str(name), entries)}")
        return entries[name]
