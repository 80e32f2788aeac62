"""Provenance: which code, on which machine, asked by which command."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "rewarm-suite",
    "torch",
    "ray",
    "numpy",
    "envpool",
    "ale-py",
    "gymnasium",
    "mlflow",
    "scikit-learn",
)
"""Distributions whose versions are recorded."""


def now() -> str:
    """Return the time in ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """Return the commit of the source tree and whether it had changes; null outside a checkout."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return {"commit": None, "dirty": None}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


@lru_cache(maxsize=1)
def hardware() -> dict[str, Any]:
    """Return processor, its instructions as torch uses them, cores, memory in GiB, GPUs, system.

    Results repeat to the last digit only where the instructions are the same.
    """
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": gpus,
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the recorded distributions."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance(command: str) -> dict[str, Any]:
    """Return all of it, for ``provenance.json``.

    Args:
        command: what the user typed.
    """
    return {
        **code_version(),
        "versions": versions(),
        "hardware": hardware(),
        "command": command,
        "started": now(),
    }
