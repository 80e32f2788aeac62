"""Timing side by side: segments of each contender in turn, medians of paired ratios."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.records.provenance import provenance


@dataclass(frozen=True)
class Contender:
    """A call to time.

    Attributes:
        call: does the work once.
        work: units of work in it, such as agent steps.
        close: frees what it holds.
    """

    call: Callable[[], object]
    work: int = 1
    close: Callable[[], object] = lambda: None


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    seconds: float,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return seconds per call of each contender, one value per round.

    Args:
        contenders: calls to time, by name.
        seconds: how long each segment lasts, to the end of its last call.
        rounds: how often every contender has its turn.
        clock: what is timed by; ``time.process_time`` counts this process's work alone, in all of
            its threads, so that other processes disturb it little.
    """
    for call in contenders.values():
        call()
        call()
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            calls, start = 0, clock()
            while (elapsed := clock() - start) < seconds:
                call()
                calls += 1
            found[name].append(elapsed / calls)
    return found


def ratio(a: list[float], b: list[float]) -> float:
    """Return the median of a / b, pair by pair."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def arguments(description: str) -> argparse.Namespace:
    """Parse the options that every benchmark has."""
    return parser(description).parse_args()


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: all cores")
    parser.add_argument("--rounds", type=int, default=7, help="segments per contender")
    return parser


def publish(figures: Mapping[str, float], settings: Mapping[str, Any], path: Path | None) -> None:
    """Print the figures as a table and write them as JSON."""
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:.4g}")
    if path is not None:
        content = {
            "figures": dict(figures),
            "settings": dict(settings),
            "provenance": provenance(" ".join(sys.argv)),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
