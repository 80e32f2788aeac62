"""Predicting how long runs and sweeps take and how much memory they need, without running them.

The arithmetic of an update is counted on the meta device and divided by this machine's rate of
matrix products, measured briefly; overheads are rules of thumb. This takes no time and is accurate
to a factor of a few, enough to find the longest run. A plan also times real updates, measurements
and emulator steps of its trials (`suite.launch.engines`), and adds the rest of a sweep: starting
Ray and its workers, and the report.
"""

from __future__ import annotations

import heapq
import json
import statistics
import time
from collections.abc import Collection, Hashable, Sequence
from functools import lru_cache
from typing import Any

from suite.launch.calibrate import LONG_S, Cost
from suite.launch.engines import Engine, engine_of
from suite.launch.engines.arithmetic import forward_cost
from suite.launch.groups import chunks
from suite.run_config import RunConfig
from suite.tasks.base import SupervisedTaskConfig

PROCESS_BYTES = 500 * 2**20
"""Memory of a worker before data and model."""

MEASURED_S = 2.0
"""Seconds of processor time after which a plan stops timing kinds of trials."""

WAITED = 4
"""Times as long on the wall after which it does not either."""

# Seconds on a machine that does `reference_work` in `REFERENCE_S`.
REFERENCE_S = 0.03
REPEATS = 10
START_S = 11.5
"""From the command to the first worker."""
WORKER_S = 4.0
"""Start of a worker with its imports."""
TRIAL_S = 0.3
"""Seconds of a trial of one run outside training: its folder, its provenance, Tune."""
REPORT_S = 4.0
"""A report without figures."""
FIGURES_S = 2.5
"""The figures of a task."""


def pace() -> float:
    """Return the time that Python takes here and now, over that on the machine of the constants."""
    return _reference()[0] / REFERENCE_S


def core_share() -> float:
    """Return how much of a core this process gets when it could use a whole one."""
    wall, spent = _reference()
    return min(spent / wall, 1.0)


@lru_cache(maxsize=1)
def _reference() -> tuple[float, float]:
    """Return the seconds of `reference_work`: on the wall, and of the processor."""
    began, spent = time.perf_counter(), time.process_time()
    for _ in range(REPEATS):
        reference_work()
    wall, processor = time.perf_counter() - began, time.process_time() - spent
    return wall / REPEATS, processor / REPEATS


def reference_work() -> None:
    """Do what starting a process mostly consists of: Python with small objects."""
    table: dict[str, int] = {}
    for number in range(200_000):
        key = str(number % 997)
        table[key] = table.get(key, 0) + len(key)


def estimate_trials(
    configs: Collection[RunConfig], slots: int, measure_s: float = 0.0
) -> list[dict[str, float]]:
    """Return the trials: the predicted seconds of each run by its id, for its part of the updates.

    Args:
        configs: the runs of a sweep.
        slots: how many cores run trials side by side.
        measure_s: seconds for which to measure what trials cost, those first that are the largest
            part of the sweep; 0 does without.
    """
    groups = chunks(list(configs), slots)
    costs = [engine_of(group[0]).arithmetic_cost(group[0], len(group)) for group in groups]
    if measure_s > 0:
        costs = _measured(groups, costs, measure_s)
    return [
        {run.run_id: engine_of(run).run_seconds(run, cost) for run in group}
        for group, cost in zip(groups, costs, strict=True)
    ]


def _measured(
    groups: Sequence[Sequence[RunConfig]], costs: Sequence[Cost], limit_s: float
) -> list[Cost]:
    """Measure what trials cost, a trial of each kind, until the time is over.

    Kinds that are not measured get the arithmetic's answer, times what it was wrong by elsewhere
    with the same engine.
    """
    kinds = [_kind(group) for group in groups]
    weights: dict[Hashable, float] = {}
    for group, cost, kind in zip(groups, costs, kinds, strict=True):
        total = sum(engine_of(run).run_seconds(run, cost) for run in group)
        weights[kind] = weights.get(kind, 0.0) + total
    began, spent = time.perf_counter(), time.process_time()
    known: dict[Hashable, Cost] = {}
    wrong: dict[Engine[Any], list[float]] = {}
    for kind in sorted(weights, key=lambda k: -weights[k]):
        index = kinds.index(kind)
        group = groups[index]
        late = time.process_time() - spent > limit_s
        late = late or time.perf_counter() - began > WAITED * limit_s
        engine = engine_of(group[0])
        if late or not engine.at_hand(group[0]):
            continue
        try:
            known[kind] = engine.measured_cost(group)
            if engine not in wrong and known[kind].setup < LONG_S:  # the first loads libraries, too
                known[kind] = engine.measured_cost(group)
        except Exception:  # the run itself will say what it lacks
            continue
        share = known[kind].update / max(costs[index].update, 1e-9)
        wrong.setdefault(engine, []).append(share)
    found = []
    for group, cost, kind in zip(groups, costs, kinds, strict=True):
        factor = statistics.median(wrong.get(engine_of(group[0]), [1.0]))
        scaled = Cost(*(factor * value for value in vars(cost).values()))
        found.append(known.get(kind, scaled))
    return found


def _kind(group: Sequence[RunConfig]) -> Hashable:
    """Return a key that is equal for trials with equally long updates."""
    run = group[0]
    parts = (run.task, run.model, run.agent, run.metrics)
    texts = [json.dumps(p.canonical() if p else None, sort_keys=True, default=str) for p in parts]
    kinds = (run.optimizer.kind, *sorted(i.kind for i in run.interventions))
    return (*texts, kinds, run.resources.threads, run.precision, len(group))


def side_by_side(configs: Collection[RunConfig], slots: int) -> int:
    """Return how many trials run at a time on `slots` cores."""
    wide = max((sum(b["CPU"] for b in engine_of(c).bundles(c)) for c in configs), default=1.0)
    return max(1, int(slots // max(wide, 1.0)))


def sweep_seconds(
    configs: Collection[RunConfig], trials: Sequence[dict[str, float]], slots: int, tasks: int
) -> float:
    """Return the predicted seconds of a whole sweep from the command to its report.

    Args:
        configs: the runs of a sweep.
        trials: their predicted seconds, from `estimate_trials`.
        slots: how many cores there are.
        tasks: how many tasks the report has.
    """
    by_id = {config.run_id: config for config in configs}
    ends = [(0.0, slot) for slot in range(side_by_side(configs, slots))]
    begun: set[int] = set()  # slots that have a worker
    ready: set[tuple[int, Engine[Any]]] = set()  # and what the engine needs
    for trial in sorted(trials, key=lambda t: -max(t.values())):
        end, slot = heapq.heappop(ends)
        engine = engine_of(by_id[next(iter(trial))])
        extra = TRIAL_S * len(trial) + engine.start_seconds((slot, engine) not in ready, len(trial))
        if slot not in begun:
            extra += WORKER_S
        begun.add(slot)
        ready.add((slot, engine))
        heapq.heappush(ends, (end + sum(trial.values()) + pace() * extra, slot))
    around = START_S + REPORT_S + FIGURES_S * tasks
    return pace() * around + max(ends)[0]


def estimate_bytes(config: RunConfig, at_once: int = 1) -> int:
    """Return the predicted memory of a trial: process, and for each run what it has for itself.

    That is its parameters with Adam's moments and gradients, the inputs that it keeps ready, and
    its replay.

    Args:
        config: one of the runs.
        at_once: how many the trial trains side by side.
    """
    _, parameters = forward_cost(config.model, config.model_spec(), 1)
    value = 8 if config.precision == "float64" else 4
    own = 4 * value * parameters + engine_of(config).replay_bytes(config)
    if isinstance(config.task, SupervisedTaskConfig):
        own += config.task.ready_bytes() * value // 4
    return PROCESS_BYTES + at_once * own
