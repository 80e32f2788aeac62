"""Watches a running sweep: checks that Ray and the results folder are still there.

When Ray's own processes die, Tune waits for ever, and no call to Ray returns. So Tune runs in a
thread, and the waiting thread checks here every second.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from suite.launch.outage import Outage, within

LOOK_EVERY_S = 1.0
"""Seconds between looks."""

REMEMBER_EVERY_S = 10.0
"""Seconds between looks at who belongs to Ray, each of which goes through all processes."""

PATIENCE_S = 30.0
"""Seconds for which a cluster may not answer: its head may be starting again."""

END_LIMIT_S = 15.0
"""Seconds for Ray to end cleanly."""

VITAL = ("gcs_server", "raylet")
"""Ray's processes without which it does nothing; the object store is part of the latter."""


class Watch:
    """Looks at this process's Ray and at the results folder.

    Args:
        folder: the results folder, which must stay what it is.
        own: whether this process started Ray, rather than joined a cluster.
    """

    def __init__(self, folder: Path, own: bool) -> None:
        import ray

        self._folder, self._identity = folder, _identity(folder)
        self.node: Any = ray._private.worker._global_node
        self._own = own
        self._family: dict[int, psutil.Process] = {}
        self._silent_since: float | None = None
        self._remembered: float | None = None

    def trouble(self) -> str | None:
        """Return what has gone, in words; None if all is well."""
        if (identity := _identity(self._folder)) != self._identity:
            what = "replaced by another" if identity else "removed, or cannot be reached"
            return f"the results folder {self._folder} was {what}"
        return self._ray_gone() if self._own else self._cluster_silent()

    def check(self) -> None:
        """Look.

        Raises:
            Outage: if something has gone.
        """
        if (reason := self.trouble()) is not None:
            raise Outage(reason)

    def _ray_gone(self) -> str | None:
        """Return which of Ray's processes has died."""
        for name in VITAL:
            for started in self.node.all_processes.get(name, []):
                if (code := started.process.poll()) is not None:
                    return f"Ray's process {name} has died ({_how(code)})"
        self._remember()
        return None

    def _remember(self) -> None:
        """Note the processes of our Ray now and then: workers lose their parent with the raylet."""
        now = time.monotonic()
        if self._remembered is not None and now - self._remembered < REMEMBER_EVERY_S:
            return
        self._remembered = now
        for name, listed in self.node.all_processes.items():
            for started in listed:
                with suppress(psutil.Error):
                    parent = psutil.Process(started.process.pid)
                    workers = parent.children(recursive=True) if name == "raylet" else []
                    self._family.update({p.pid: p for p in (parent, *workers)})

    def _cluster_silent(self) -> str | None:
        """Return what of a joined cluster has not answered for a while."""
        silent = None
        if not answers(self.node.gcs_address):
            silent = f"the Ray cluster at {self.node.gcs_address} does not answer"
        elif (path := self.node.raylet_socket_name) and not answers(path):
            silent = "the Ray node on this machine has died"
        if silent is None:
            self._silent_since = None
            return None
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        return silent if now - self._silent_since >= PATIENCE_S else None

    def end(self) -> bool:
        """End our part in Ray; return whether it ended cleanly.

        The rest of a Ray that this process started is killed; a cluster is not touched.
        """
        import ray

        if self._own:
            self._remembered = None
            self._remember()
        try:
            with _no_garbage():
                within(END_LIMIT_S, ray.shutdown, "Ray did not end")
            orderly = True
        except Exception:
            orderly = False
        if self._own:
            kill(list(self._family.values()))
        return orderly


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Collect garbage before, and none meanwhile.

    What Tune leaves in cycles are handles of actors. When one of them is freed while Ray ends, in
    whatever thread, Ray ends this process at once.
    """
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes that still run; those that took over the numbers of others are left alone."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()  # psutil compares the time of the start first


def answers(address: str) -> bool:
    """Return whether something listens at ``HOST:PORT`` or at the path of a socket."""
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        else:
            with socket.socket(socket.AF_UNIX) as local:
                local.settimeout(5)
                local.connect(address)
    except OSError:
        return False
    return True


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _how(code: int) -> str:
    """Say how a process ended.

    >>> _how(-9), _how(1)
    ('SIGKILL, as when memory runs out', 'exit code 1')
    """
    if code == -signal.SIGKILL:
        return "SIGKILL, as when memory runs out"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def supervise(
    work: Callable[[], None], trouble: Callable[[], str | None], every_s: float = LOOK_EVERY_S
) -> None:
    """Do work in a thread, and check at intervals whether it can still end.

    Args:
        work: what to do.
        trouble: says what has gone, or None.
        every_s: seconds between looks.

    Raises:
        Outage: if something has gone; the thread is left to itself then. What `work` raises is
            passed on.
    """
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="tune", daemon=True).start()
    while not done.wait(every_s):
        if (reason := trouble()) is not None:
            raise Outage(reason)
    if errors:
        raise errors[0]
