"""Predicting how long runs and sweeps take and how much memory they need, without running them.

The arithmetic of an update is counted on the meta device and divided by the matrix-product rate
of this machine, measured for a moment; overheads are rules of thumb. That takes no time and is good
to a factor of a few, enough to say which run is the longest. A plan also measures what the updates,
measurements and emulator steps of its trials really take (`suite.launch.calibrate`), and counts
what else a sweep consists of: starting Ray and its workers, and the report.
"""

from __future__ import annotations

import heapq
import json
import statistics
import time
from collections.abc import Collection, Hashable, Sequence
from functools import lru_cache

from suite.launch.calibrate import LONG_S, Cost, measured_cost
from suite.launch.cluster import bundles
from suite.models.base import ModelConfig, ModelSpec, dry_model, within_sizes
from suite.run_config import RunConfig
from suite.tasks.rl import RLTaskConfig
from suite.training.batched import chunks
from suite.training.observer import measuring_steps

EFFICIENCY = 0.5
"""Share of the matrix-product rate that training reaches."""

UPDATE_OVERHEAD_S = 5e-4
"""Seconds of an update beyond arithmetic."""

ACT_OVERHEAD_S = 2e-4
"""Seconds of a step of the lanes beyond arithmetic: emulator, replay, bookkeeping."""

EPISODE = 500
"""Steps of an episode of an evaluation, where its time limit allows as many."""

EVALUATED_AT_ONCE = 10
"""Episodes of an evaluation that are played side by side."""

PROCESS_BYTES = 500 * 2**20
"""Memory of a worker before data and model."""

MEASURED_S = 2.0
"""Seconds of its own processor time after which a plan measures no further kind of trial."""

WAITED = 4
"""Times as long on the wall after which it does not either."""

# Seconds on a machine that does `reference_work` in `REFERENCE_S`.
REFERENCE_S = 0.03
REPEATS = 10
START_S = 11.5
"""From the command to the first worker."""
WORKER_S = 4.0
"""Start of a worker with its imports."""
RL_WORKER_S = 1.5
"""Importing RLlib besides."""
TRIAL_S = 0.3
"""What a trial of one run takes besides training: its folder, its provenance, Tune."""
RL_TRIAL_S = 0.7
"""Building and closing an algorithm besides."""
REPORT_S = 4.0
"""A report without figures."""
FIGURES_S = 2.5
"""The figures of a task."""


@lru_cache(maxsize=1)
def matmul_rate() -> float:
    """Return floating-point operations a second of one thread, from a few matrix products."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a, b = torch.randn(512, 512), torch.randn(512, 512)
        for _ in range(3):
            a @ b
        start = time.perf_counter()
        for _ in range(20):
            a @ b
        return 20 * 2 * 512**3 / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)


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


@lru_cache(maxsize=256)
def _forward_cost(model: ModelConfig, spec: ModelSpec, batch: int) -> tuple[float, int]:
    """Return the operations of a forward pass of a batch, and the number of parameters."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = dry_model(model, spec)
    dtype = torch.int64 if spec.modulus or spec.entries else torch.float32
    with within_sizes("model", f"{batch:,} inputs of shape {spec.inputs}"):
        inputs = torch.zeros((batch, *spec.inputs), dtype=dtype, device="meta")
        with FlopCounterMode(display=False) as counter:
            network(inputs)
    return counter.get_total_flops(), sum(p.numel() for p in network.parameters())


def arithmetic_cost(config: RunConfig, at_once: int = 1) -> Cost:
    """Return what a run costs by its arithmetic and rules of thumb.

    Args:
        config: the run; if its phases differ in their batches, the updates are of the first.
        at_once: how many runs share each update (`suite.training.batched`), and its overhead.
    """
    spec, rate = config.model_spec(), matmul_rate() * EFFICIENCY
    if isinstance(config.task, RLTaskConfig):
        # Learning: forward and backward of the network, forward of its target; acting: forward.
        learning, _ = _forward_cost(config.model, spec, getattr(config.agent, "batch_size", 32))
        acting, _ = _forward_cost(config.model, spec, config.task.lanes)
        update = UPDATE_OVERHEAD_S + 4 * learning / rate
        return Cost(0.0, update, update, ACT_OVERHEAD_S + acting / rate)
    batch = config.task.examples(config.clock())[0]
    update = UPDATE_OVERHEAD_S / at_once + 3 * _forward_cost(config.model, spec, batch)[0] / rate
    return Cost(0.0, update, 0.0)


def run_seconds(config: RunConfig, cost: Cost) -> float:
    """Return the predicted seconds of a run, on one thread of this machine."""
    clock = config.clock()
    seconds = cost.setup + cost.measure * len(measuring_steps(config.metrics, clock))
    if isinstance(task := config.task, RLTaskConfig):
        acting = task.agent_steps(config.budget) / task.all_lanes
        if task.evaluation is not None:
            longest = task.played(0).time_limit or EPISODE
            rounds = -(-task.evaluation.episodes // EVALUATED_AT_ONCE)
            acting += len(task.evaluations(config.budget)) * rounds * min(EPISODE, longest)
        return seconds + cost.update * clock.total + cost.act * acting
    rate, spec = matmul_rate() * EFFICIENCY, config.model_spec()
    work = [3 * _forward_cost(config.model, spec, n)[0] / rate for n in config.task.examples(clock)]
    ends = (*clock.starts[1:], clock.total)
    return seconds + sum(
        (end - start) * (cost.update + more - work[0])
        for start, end, more in zip(clock.starts, ends, work, strict=True)
    )


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
    costs = [arithmetic_cost(group[0], len(group)) for group in groups]
    if measure_s > 0:
        costs = _measured(groups, costs, measure_s)
    return [
        {run.run_id: run_seconds(run, cost) for run in group}
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
        total = sum(run_seconds(run, cost) for run in group)
        weights[kind] = weights.get(kind, 0.0) + total
    began, spent = time.perf_counter(), time.process_time()
    known: dict[Hashable, Cost] = {}
    wrong: dict[str, list[float]] = {}
    for kind in sorted(weights, key=lambda k: -weights[k]):
        index = kinds.index(kind)
        group = groups[index]
        late = time.process_time() - spent > limit_s
        late = late or time.perf_counter() - began > WAITED * limit_s
        if late or not _at_hand(group[0]):
            continue
        try:
            known[kind] = measured_cost(group)
            if group[0].task.engine not in wrong:  # the first of its kind also loads libraries
                known[kind] = measured_cost(group) if known[kind].setup < LONG_S else known[kind]
        except Exception:  # the run itself will say what it lacks
            continue
        share = known[kind].update / max(costs[index].update, 1e-9)
        wrong.setdefault(group[0].task.engine, []).append(share)
    found = []
    for group, cost, kind in zip(groups, costs, kinds, strict=True):
        factor = statistics.median(wrong.get(group[0].task.engine, [1.0]))
        scaled = Cost(*(factor * value for value in vars(cost).values()))
        found.append(known.get(kind, scaled))
    return found


def _kind(group: Sequence[RunConfig]) -> Hashable:
    """Return what trials have in common whose updates take equally long."""
    run = group[0]
    parts = (run.task, run.model, run.agent, run.metrics)
    texts = [json.dumps(p.canonical() if p else None, sort_keys=True, default=str) for p in parts]
    kinds = (run.optimizer.kind, *sorted(i.kind for i in run.interventions))
    return (*texts, kinds, run.resources.threads, run.precision, len(group))


def _at_hand(config: RunConfig) -> bool:
    """Return whether the run can be built in a moment: no large data set to load or download."""
    return getattr(config.task, "dataset", "digits") == "digits"


def side_by_side(configs: Collection[RunConfig], slots: int) -> int:
    """Return how many trials run at a time on `slots` cores."""
    wide = max((sum(b["CPU"] for b in bundles(c)) for c in configs), default=1.0)
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
    rl: set[int] = set()  # of them those whose worker has imported RLlib
    for trial in sorted(trials, key=lambda t: -max(t.values())):
        end, slot = heapq.heappop(ends)
        extra = TRIAL_S * len(trial)
        if slot not in begun:
            begun.add(slot)
            extra += WORKER_S
        if isinstance(by_id[next(iter(trial))].task, RLTaskConfig):
            extra += RL_TRIAL_S + (0.0 if slot in rl else RL_WORKER_S)
            rl.add(slot)
        heapq.heappush(ends, (end + sum(trial.values()) + pace() * extra, slot))
    around = START_S + REPORT_S + FIGURES_S * tasks
    return pace() * around + max(ends)[0]


def estimate_bytes(config: RunConfig) -> int:
    """Return the predicted memory of a run: process, parameters with Adam's moments, replay."""
    _, parameters = _forward_cost(config.model, config.model_spec(), 1)
    replay = config.task.replay_bytes(config.agent) if config.task.engine == "rl" else 0
    return PROCESS_BYTES + 16 * parameters + replay
