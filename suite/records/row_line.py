"""Reads one line of ``rows.jsonl``: the only place that defines a row."""

from __future__ import annotations

import math

from suite.records.json_file import loads
from suite.rows import COLUMNS, Row

LARGEST = 2**63 - 1
"""Of a count, as tables hold it."""


def row_of(line: bytes, run_id: str) -> Row:
    """Return the row that a line holds; a value that is null is nan.

    Args:
        line: of ``rows.jsonl``.
        run_id: the run of its folder.

    Raises:
        ValueError: if it is no row of that run.
    """
    given = loads(line)
    if not isinstance(given, dict) or not given.keys() >= set(COLUMNS):
        raise ValueError(f"it lacks some of {', '.join(COLUMNS)}")
    owner, step, frames, wall_s, metric, layer, value = (given[name] for name in COLUMNS)
    if owner != run_id:
        raise ValueError(f"it belongs to the run {owner!r}")
    if not all(type(n) is int and 0 <= n <= LARGEST for n in (step, frames)):
        raise ValueError("step and frames are counts")
    if not all(isinstance(name, str) and _is_text(name) for name in (metric, layer)):
        raise ValueError("metric and layer are names")
    if type(wall_s) not in (int, float) or type(value) not in (int, float, type(None)):
        raise ValueError("wall_s and value are numbers")
    try:
        wall_s, value = float(wall_s), math.nan if value is None else float(value)
    except OverflowError:
        raise ValueError("wall_s and value are numbers of 64 bits") from None
    if not math.isfinite(wall_s):
        raise ValueError("wall_s is finite")
    return Row(step, frames, wall_s, metric, layer, value)


def _is_text(name: str) -> bool:
    """Return whether a string can be written: half of a surrogate pair cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
