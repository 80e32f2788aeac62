"""From rows to MLflow's metrics: key and time stamp of each row, always the same.

A row's time stamp depends only on the row and the rows before it. A row that is sent twice is
therefore the same metric twice, and MLflow keeps it once. Rows of one key and step have different
time stamps, because two equal values are two games with the same return, not one row sent twice.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from suite.launch.keys import LIVE_LAYERS, is_live, metric_key
from suite.records.row_line import row_of

MAX_KEYS = 60  # of a run: MLflow's pages grow slow with more
MAX_BY_GAME = 40  # of them taken by then: a long sequence leaves room for means over its games
MAX_WALL_S = 1e10
"""Seconds of training from which on a row's time is taken for damaged."""


class LiveRow(NamedTuple):
    """What live displays get of a row."""

    step: int
    frames: int
    metric: str
    layer: str
    value: float
    wall_s: float = 0.0


class Point(NamedTuple):
    """A row as MLflow has it.

    Attributes:
        x: gradient step, or frame for reinforcement learning.
        step: gradient step.
        stamp: milliseconds since 1970.
    """

    key: str
    x: int
    value: float
    stamp: int
    step: int


class Chooser:
    """Turns the rows of a run into points, in their order.

    Args:
        by_frames: whether x counts frames.
        start: when the run began, in milliseconds since 1970.
    """

    def __init__(self, by_frames: bool, start: int) -> None:
        self._by_frames, self._start = by_frames, start
        self._latest: dict[str, tuple[int, int]] = {}  # x and stamp of a key's last point

    def __call__(self, rows: Iterable[LiveRow]) -> Iterator[Point]:
        """Yield the points of the rows that follow those seen before.

        Values that are no number, and keys over the limit, are left out.
        """
        for step, frames, metric, layer, value, wall_s in rows:
            if not math.isfinite(value):
                continue
            key = metric_key(metric, layer)
            limit = MAX_KEYS if layer in LIVE_LAYERS else MAX_BY_GAME
            if key not in self._latest and len(self._latest) >= limit:
                continue
            x = frames if self._by_frames else step
            stamp = self._start + int(1000 * wall_s)
            before, latest = self._latest.get(key, (x, -1))
            if before == x:
                stamp = max(stamp, latest + 1)
            self._latest[key] = x, stamp
            yield Point(key, x, value, stamp, step)


def read_rows(path: Path, last: int | None = None) -> tuple[list[LiveRow], str]:
    """Read the rows of a run that live displays get.

    Args:
        path: ``rows.jsonl`` in the folder of its run; lines that are no row, or torn, are left out.
        last: gradient step up to which rows are wanted; None for all.

    Returns:
        The rows, and a digest of the whole file.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    rows, digest = [], hashlib.sha256()
    with path.open("rb") as file:
        for line in file:
            digest.update(line)
            row = _live(line, path.parent.name) if line.endswith(b"\n") else None
            if row is not None and (last is None or row.step <= last):
                rows.append(row)
    return rows, digest.hexdigest()[:16]


def digest_of(path: Path) -> str:
    """Return the digest of a run's rows, "" if there are none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return ""


def _live(line: bytes, run_id: str) -> LiveRow | None:
    """Return the row of a line if live displays get it, None if not or if it is no row."""
    try:
        row = row_of(line, run_id)
    except ValueError:
        return None
    if not is_live(row.metric, row.layer):
        return None
    wall_s = row.wall_s if 0 <= row.wall_s < MAX_WALL_S else 0.0
    return LiveRow(row.step, row.frames, row.metric, row.layer, row.value, wall_s)


def differences(wanted: Sequence[Point], found: Iterable[Point]) -> tuple[list[Point], bool]:
    """Compare what MLflow should have with what it has.

    Rows that a run repeated after it started again from a checkpoint have other stamps than those
    sent before; they count as the same.

    Returns:
        What is missing, and whether there is anything that should not be there.
    """
    there = Counter((p.key, p.x, p.value) for p in found)
    stamps = {(p.key, p.x, p.value, p.stamp) for p in found}
    missing, others = [], []
    for point in wanted:
        if (point.key, point.x, point.value, point.stamp) in stamps:
            there[point.key, point.x, point.value] -= 1
        else:
            others.append(point)
    for point in others:
        name = point.key, point.x, point.value
        if there[name] > 0:
            there[name] -= 1
        else:
            missing.append(point)
    return missing, any(count > 0 for count in there.values())
