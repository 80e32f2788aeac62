"""Strict JSON: written without NaN and Infinity, read without a risk of crashing.

Files may come from someone else: they may have any size, depth and content.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MOST_BYTES = 256 << 20
"""Largest file of JSON that is read at once; a sweep of 100,000 trials takes a tenth of it."""

MOST_NODES, DEEPEST = 10_000_000, 60
"""Parts of what is read at most, and how deep they may lie in one another."""


def strict(data: Any) -> Any:
    """Return plain data with None in place of every float that is not finite."""
    if isinstance(data, dict):
        return {key: strict(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [strict(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def dumps(data: Any, indent: int | None = None) -> str:
    """Return plain data as strict JSON (RFC 8259); what is not finite is null.

    >>> dumps({"mean": float("inf"), "n": 3})
    '{"mean": null, "n": 3}'
    """
    return json.dumps(strict(data), indent=indent, allow_nan=False)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the contents of a plain file: no device, no pipe, nothing without end.

    Raises:
        FileNotFoundError: if there is none.
        OSError: if it cannot be read.
        ValueError: if it is not a plain file or larger than `most` bytes.
    """
    if not path.is_file() and path.exists():
        raise ValueError("it is not a plain file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return data


def bounded(data: Any, nodes: int = MOST_NODES, depth: int = DEEPEST) -> Any:
    """Return plain data unchanged, if it is neither too large nor too deep.

    What is in several places counts as often, for those who walk through it meet it as often.

    Raises:
        ValueError: if it is larger or deeper.
    """
    level, count = [data], 0
    for _ in range(depth):
        count += len(level)
        if count > nodes:
            raise ValueError(f"it has more than {nodes:,} parts")
        inner: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                inner.extend(part.values())
            elif isinstance(part, list):
                inner.extend(part)
            if len(inner) > nodes:
                raise ValueError(f"it has more than {nodes:,} parts")
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return data
    raise ValueError(f"it is nested more than {depth} deep")


def loads(text: str | bytes) -> Any:
    """Return the data of a JSON text.

    Raises:
        ValueError: if it is not JSON, or nested too deeply to be taken in.
    """
    try:
        return bounded(json.loads(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """Return the data of a JSON file.

    Raises:
        FileNotFoundError: if there is none.
        OSError: if it cannot be read.
        ValueError: if it is not a plain file, too large, no JSON, or nested too deeply.
    """
    return loads(read_bytes(path, most))
