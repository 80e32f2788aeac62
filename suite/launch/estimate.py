"""Predicting how long a run will take and how much memory it needs, without running it.

The arithmetic of an update is counted on the meta device and divided by the matrix-product rate of
this machine, measured for a moment; overheads are rules of thumb. Good to a factor of two or so.
"""

from __future__ import annotations

import time
from functools import lru_cache

from suite.run_config import RunConfig

EFFICIENCY = 0.5
"""Share of the matrix-product rate that training reaches."""

UPDATE_OVERHEAD_S = 5e-4
"""Seconds of an update beyond arithmetic."""

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
def _forward_cost(model_key: str, run: _Hashed) -> tuple[float, int]:
    """Return the operations of a forward pass per example, and the number of parameters."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    spec = run.config.task.spec()
    batch = 8
    with torch.device("meta"):
        model = run.config.model.build(spec)
        dtype = torch.int64 if spec.modulus else torch.float32
        inputs = torch.zeros((batch, *spec.inputs), dtype=dtype)
    with FlopCounterMode(display=False) as counter:
        model(inputs)
    parameters = sum(p.numel() for p in model.parameters())
    return counter.get_total_flops() / batch, parameters


class _Hashed:
    """A config that compares by what its network costs, for the cache."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.key = config.model.canonical() + repr(config.task.spec())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other.key == self.key


def forward_cost(config: RunConfig) -> tuple[float, int]:
    """Return the operations of a forward pass per example, and the number of parameters."""
    hashed = _Hashed(config)
    return _forward_cost(hashed.key, hashed)


def estimate_seconds(config: RunConfig) -> float:
    """Return the predicted seconds of a run on one thread of this machine."""
    forward, _ = forward_cost(config)
    clock = config.clock()
    rate = matmul_rate() * EFFICIENCY
    if config.task.engine == "rl":
        # Learning: forward and backward of the network, forward of its target; acting: forward.
        batch = getattr(config.agent, "batch_size", 32)
        update = UPDATE_OVERHEAD_S + 4 * batch * forward / rate
        acting = (1.5e-4 + forward / rate) * (clock.agent_steps_per_step or 1.0)
        return clock.total * (update + acting)
    ends = (*clock.starts[1:], clock.total)
    examples = config.task.examples(clock)
    return sum(
        (end - start) * (UPDATE_OVERHEAD_S + 3 * count * forward / rate)
        for start, end, count in zip(clock.starts, ends, examples, strict=True)
    )


def estimate_bytes(config: RunConfig) -> int:
    """Return the predicted memory of a run: process, parameters with Adam's moments, replay."""
    _, parameters = forward_cost(config)
    replay = config.task.replay_bytes(config.agent) if config.task.engine == "rl" else 0
    return PROCESS_BYTES + 16 * parameters + replay
