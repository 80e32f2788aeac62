"""Starting Ray on this machine, or joining a cluster."""

from __future__ import annotations

import logging
import os
import resource
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import psutil

from suite.errors import ConfigError
from suite.launch.engines import ENGINES, engine_of
from suite.launch.outage import Outage, explain, within
from suite.launch.outage_watch import kill
from suite.run_config import RunConfig

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # of what dies we say one line, not the tail of its log
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "600",
}
"""Environment that keeps Ray's own output and files out of the way of ours."""

START_LIMIT_S = 120.0
"""Seconds for Ray to start; on a busy machine it takes up to a minute."""

FEW_FILES = 1024
"""Open files with which a small Ray gets along."""

FOR_EVER = threading.Event()
"""Never set: Linux kills Ray's processes together with the thread that started them."""


def start_ray(
    address: str | None, num_cpus: int | None, num_gpus: int | None, dashboard: bool
) -> None:
    """Start Ray on this machine, bound to the loopback interface, or join the cluster at `address`.

    Args:
        address: of a running cluster, such as ``auto``; None starts Ray here.
        num_cpus: cores to use; all by default. Not with an address.
        num_gpus: GPUs to use; all by default. Not with an address.
        dashboard: whether to start Ray's dashboard here.

    Raises:
        ConfigError: if there is no cluster at `address`.
        Outage: if Ray does not start here, or not in time; nothing of it is left running then.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        # Every run of a worker has its own thread: see `keep_freed_memory`.
        os.environ.setdefault("MALLOC_ARENA_MAX", "2")
        # When the GCS dies Ray would end this process after a minute, in the middle of the report.
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "3600")
        # Read when Ray is first imported: without it Ray takes the machine's outward address for
        # its own even if it gets the loopback one, and listens on all interfaces.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    # The error of a trial is in its folder; Tune would print all of it.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Of what ends Ray itself we say one line; it would print its processes' logs as well.
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        options: dict[str, Any] = {
            "address": "local",
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "include_dashboard": dashboard,
            "dashboard_host": "127.0.0.1",
            "_node_ip_address": "127.0.0.1",
            **quiet,
        }
        try:
            _start_here(options)
        except Exception as error:
            if isinstance(error, Outage) or "timed out" not in str(error):
                raise Outage(f"Ray did not start: {_why(error)}") from error
            try:  # on a busy machine its own half minute may be too short for it
                _start_here(options)
            except Exception as again:
                raise Outage(f"Ray did not start, twice: {_why(again)}") from again
        return
    _check_reachable(address)
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError("--address", address, f"the address of a Ray cluster ({said})") from None


def _start_here(options: dict[str, Any]) -> None:
    """Start Ray on this machine; if that fails, nothing of it is left running."""
    import ray

    before = set(_children())
    late = f"it took longer than {START_LIMIT_S:.0f} s; is the machine very busy?"
    try:
        within(START_LIMIT_S, lambda: ray.init(**options), late, stay=FOR_EVER)
    except Exception:
        kill([child for child in _children() if child not in before])
        with suppress(Exception):
            within(5.0, ray.shutdown, "")
        raise


def _why(error: Exception) -> str:
    """Return why Ray did not start, with what is short where Ray does not say so."""
    said = explain(error).removeprefix("Exception: ").rstrip(".")
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < files < FEW_FILES:
        said += f" (`ulimit -n` allows {files} open files; Ray needs {FEW_FILES} or more)"
    return said


def _children() -> list[psutil.Process]:
    """Return the processes below this one."""
    return psutil.Process().children(recursive=True)


def _check_reachable(address: str) -> None:
    """Check in seconds what Ray itself would try for minutes: that something listens there.

    Raises:
        ConfigError: if nothing does, or the address is of a kind that cannot serve.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise ConfigError(
            "--address", address, "auto or HOST:PORT; run this on a machine of the cluster"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        said = f"a Ray cluster that answers ({error})"
        raise ConfigError("--address", address, said) from None


def check_resources(
    configs: Iterable[RunConfig], num_cpus: int | None, num_gpus: int | None
) -> None:
    """Check that every trial fits on this machine.

    Args:
        configs: the runs.
        num_cpus: cores to use; None for all.
        num_gpus: GPUs to use; None for all.

    Raises:
        ConfigError: naming the resource that is short.
    """
    import torch

    have = {
        "cpus": os.cpu_count() or 1 if num_cpus is None else num_cpus,
        "gpus": torch.cuda.device_count() if num_gpus is None else num_gpus,
    }
    configs = list(configs)
    for config in configs:
        for name, there in have.items():
            asked = sum(bundle[name[:-1].upper()] for bundle in engine_of(config).bundles(config))
            if asked > there:
                raise ConfigError(f"resources.{name}", asked, f"at most the {there} available")
    for engine in ENGINES.values():
        own = [config for config in configs if engine_of(config) is engine]
        engine.check_memory(own, int(have["cpus"]))
