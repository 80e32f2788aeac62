"""Starting Ray on this machine, or joining a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from suite.errors import ConfigError

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "600",
}
"""Environment that keeps Ray's own output and files out of the way of ours."""


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
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        # Read when Ray is first imported: without it Ray takes the machine's outward address for
        # its own even where it is told the loopback one, and listens on all interfaces.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            _node_ip_address="127.0.0.1",
            **quiet,
        )
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError("--address", address, f"the address of a Ray cluster ({said})") from None


def check_resources(needs: Mapping[str, float], elastic: bool) -> None:
    """Check that the largest trial fits on what Ray has.

    Args:
        needs: CPU and GPU of the most demanding trial.
        elastic: whether the cluster may grow, so that nothing can be said yet.

    Raises:
        ConfigError: naming the resource that is short.
    """
    import ray

    if elastic:
        return
    have = ray.cluster_resources()
    for name, key in (("CPU", "resources.cpus"), ("GPU", "resources.gpus")):
        if needs[name] > have.get(name, 0.0):
            raise ConfigError(key, needs[name], f"at most the {have.get(name, 0.0):g} there are")
