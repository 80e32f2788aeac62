"""Frozen benchmarks: sweeps whose runs, and so their ids, never change.

A sweep file with ``benchmark: v1`` is checked against ``benchmark_v1.json``, which holds a digest
of the ids of each of its tasks. Results of two people with the same version are of the same runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from suite.errors import ConfigError

FOLDER = Path(__file__).parent


def versions() -> list[str]:
    """Return the versions that there are."""
    found = (path.stem.removeprefix("benchmark_v") for path in FOLDER.glob("benchmark_v*.json"))
    return [f"v{number}" for number in sorted(map(int, found))]


def digests(runs: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return a digest of the runs of each task, by its label.

    Args:
        runs: of each trial the task, ``arm/seed`` and the id of its run.
    """
    lines: dict[str, list[str]] = {}
    for task, trial, run_id in runs:
        lines.setdefault(task, []).append(f"{trial} {run_id}")
    return {
        task: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]
        for task, found in sorted(lines.items())
    }


def read(version: str, where: str) -> dict[str, str]:
    """Return the digests of a frozen benchmark.

    Args:
        version: of the benchmark.
        where: what the message begins with, such as the name of the file that asks for it.

    Raises:
        ConfigError: if there is no such version.
    """
    if version not in versions():
        known = ", ".join(versions())
        raise ConfigError(f"{where}benchmark", version, f"a frozen version: {known}")
    frozen: dict[str, str] = json.loads((FOLDER / f"benchmark_{version}.json").read_text())
    return frozen


def check(found: Mapping[str, str], frozen: Mapping[str, str], version: str, where: str) -> None:
    """Check that the runs of a file are those of a frozen benchmark.

    Args:
        found: `digests` of the runs that the file asks for.
        frozen: those of the benchmark, see `read`.
        version: of the benchmark.
        where: see `read`.

    Raises:
        ConfigError: if a task differs.
    """
    if differ := sorted(t for t in {**frozen, **found} if frozen.get(t) != found.get(t)):
        named = ", ".join(differ[:3]) + (f" and {len(differ) - 3} more" if differ[3:] else "")
        wanted = f"the runs of {version} (they differ in {named}), or a file without this key"
        raise ConfigError(f"{where}benchmark", version, wanted)


def freeze(found: Mapping[str, str], version: str) -> Path:
    """Write the digests of a new version; return the file.

    Raises:
        ConfigError: if the version is frozen already.
    """
    if version in versions():
        raise ConfigError("benchmark", version, "a version that is not frozen yet")
    path = FOLDER / f"benchmark_{version}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path
