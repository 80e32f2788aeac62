"""The driver's state of a running sweep; the source for the progress display and MLflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from suite.sweeps.sweep import Sweep


@dataclass
class LiveRun:
    """What the driver knows of one run.

    Attributes:
        state: waiting, running, complete, diverged or failed.
        cost: predicted seconds of the whole run.
        done: share of the run that is done.
        primary: latest value of the primary metric.
    """

    state: str = "waiting"
    reason: str = ""
    cost: float = 1.0
    done: float = 0.0
    primary: float | None = None


@dataclass
class Live:
    """All runs of a sweep, by id."""

    sweep: Sweep
    runs: dict[str, LiveRun]
    slots: int
    started: float = field(default_factory=time.monotonic)
    done_before: float = 0.0

    def counts(self) -> dict[str, int]:
        """Return the number of runs in each state."""
        counts: dict[str, int] = {}
        for run in self.runs.values():
            counts[run.state] = counts.get(run.state, 0) + 1
        return counts

    def unfinished(self) -> bool:
        """Return whether runs are still to begin or to end."""
        return any(run.state in ("waiting", "running") for run in self.runs.values())

    def failures(self) -> list[tuple[str, str]]:
        """Return (label, reason) of every run that failed or diverged."""
        bad = {i: r for i, r in self.runs.items() if r.state in ("failed", "diverged")}
        return [
            (t.label, f"{bad[t.run_id].state}: {bad[t.run_id].reason}")
            for t in self.sweep.trials
            if t.skip is None and t.run_id in bad
        ]

    def eta_s(self) -> float | None:
        """Return the predicted seconds to go, from the pace so far; None before there is one."""
        work = sum(r.cost for r in self.runs.values())
        done = sum(r.cost * r.done for r in self.runs.values()) - self.done_before
        elapsed = time.monotonic() - self.started
        if done < 0.01 * work or elapsed < 5:
            return None
        left = work - done - self.done_before
        return left * elapsed / done
