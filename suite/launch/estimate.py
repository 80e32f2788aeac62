"""Predicting how long a run will take and how much memory it needs, without running it.

The arithmetic of an update is counted on the meta device and divided by the matrix-product rate of
this machine, measured for a moment; overheads are rules of thumb. Good to a factor of two or so.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import lru_cache

from suite.models.base import ModelConfig, ModelSpec, dry_model, within_sizes
from suite.run_config import RunConfig
from suite.training.batched import chunks

EFFICIENCY = 0.5
"""Share of the matrix-product rate that training reaches."""

UPDATE_OVERHEAD_S = 5e-4
"""Seconds of an update beyond arithmetic."""

ACT_OVERHEAD_S = 2e-4
"""Seconds of a decision of an agent beyond arithmetic: emulator, replay, bookkeeping."""

PROCESS_BYTES = 500 * 2**20
"""Memory of a worker before data and model."""


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


def estimate_seconds(config: RunConfig, at_once: int = 1) -> float:
    """Return the predicted seconds of a run on one thread of this machine.

    Args:
        config: the run.
        at_once: how many runs share each update (`suite.training.batched`), and its overhead.
    """
    clock, spec = config.clock(), config.model_spec()
    rate = matmul_rate() * EFFICIENCY
    if config.task.engine == "rl":
        # Learning: forward and backward of the network, forward of its target; acting: forward.
        learning, _ = _forward_cost(config.model, spec, getattr(config.agent, "batch_size", 32))
        acting, _ = _forward_cost(config.model, spec, 1)
        per_update = UPDATE_OVERHEAD_S + 4 * learning / rate
        per_update += (ACT_OVERHEAD_S + acting / rate) * (clock.agent_steps_per_step or 1.0)
        return clock.total * per_update
    overhead = UPDATE_OVERHEAD_S / at_once
    ends = (*clock.starts[1:], clock.total)
    return sum(
        (end - start) * (overhead + 3 * _forward_cost(config.model, spec, count)[0] / rate)
        for start, end, count in zip(clock.starts, ends, config.task.examples(clock), strict=True)
    )


def estimate_trials(configs: Collection[RunConfig], slots: int) -> list[dict[str, float]]:
    """Return the trials: the predicted seconds of each run by its id, for its part of the updates.

    Args:
        configs: the runs of a sweep.
        slots: how many cores run trials side by side.
    """
    return [
        {run.run_id: estimate_seconds(run, len(group)) for run in group}
        for group in chunks(list(configs), slots)
    ]


def estimate_bytes(config: RunConfig) -> int:
    """Return the predicted memory of a run: process, parameters with Adam's moments, replay."""
    _, parameters = _forward_cost(config.model, config.model_spec(), 1)
    replay = config.task.replay_bytes(config.agent) if config.task.engine == "rl" else 0
    return PROCESS_BYTES + 16 * parameters + replay
