"""Gymnasium environments in processes of their own.

Processes are not forked from this one, which has threads, but from a small server, or started anew
where there is none. So they import what they need; what cannot be imported there, such as a class
of a plugin that is a file, travels by value.
"""

from __future__ import annotations

import importlib.machinery
import multiprocessing
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import cloudpickle
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from suite.environments.failure import EnvironmentFailed

PRELOADED = ["__main__", "suite.rl.watched"]
"""Modules that the server imports once, for all processes."""

DIED = (EOFError, OSError)
"""What is raised where a process is gone."""


class ProcessPool(AsyncVectorEnv):
    """Gymnasium's environments in processes, which end even if one of them has died."""

    _broken = False

    def reset(self, **kwargs: Any) -> Any:
        """Begin an episode in all environments.

        Raises:
            EnvironmentFailed: if the process of one has died.
        """
        return self._alive(partial(super().reset, **kwargs))

    def step(self, actions: Any) -> Any:
        """Step all environments.

        Raises:
            EnvironmentFailed: if the process of one has died.
        """
        return self._alive(partial(super().step, actions))

    def _alive(self, act: Callable[[], Any]) -> Any:
        """Return what `act` returns.

        Raises:
            EnvironmentFailed: if the process of an environment has died.
        """
        try:
            return act()
        except DIED as error:
            self._broken = True
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise EnvironmentFailed(f"the process of an environment died ({said})") from error

    def close(self, **kwargs: Any) -> None:
        """End all processes: by asking them, or at once if one has died."""
        if self.closed:
            return
        if not self._broken:
            with suppress(*DIED):
                super().close(**kwargs)
                return
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join()
        self.closed = True


def in_processes(make: Callable[[], Any], lanes: int, entry: Any) -> ProcessPool:
    """Return environments that are stepped together, each in a process.

    Args:
        make: makes one.
        lanes: number of environments.
        entry: of Gymnasium's registry, that they are made of.
    """
    _send_by_value(entry.entry_point)
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    if method == "forkserver":
        multiprocessing.get_context(method).set_forkserver_preload(PRELOADED)
    return ProcessPool(
        [make] * lanes, copy=False, context=method, autoreset_mode=AutoresetMode.NEXT_STEP
    )


def _send_by_value(entry_point: Any) -> None:
    """Let an entry point travel with its code if its module is not on the path."""
    module = sys.modules.get(getattr(entry_point, "__module__", ""))
    if module is None or module.__name__ in cloudpickle.list_registry_pickle_by_value():
        return
    top = module.__name__.partition(".")[0]
    if top != "__main__" and importlib.machinery.PathFinder.find_spec(top) is None:
        cloudpickle.register_pickle_by_value(module)
