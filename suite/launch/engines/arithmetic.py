"""The arithmetic of a network, counted without memory, and how fast this machine is at it."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from suite.models.base import ModelConfig, ModelSpec, dry_model, within_sizes

EFFICIENCY = 0.5
"""Share of the matrix-product rate that training reaches."""

UPDATE_OVERHEAD_S = 5e-4
"""Seconds of an update beyond arithmetic."""


@lru_cache(maxsize=1)
def matmul_rate() -> float:
    """Return floating-point operations a second of one thread, from a few matrix products."""
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


def seconds_of(operations: float) -> float:
    """Return the seconds that a number of operations take in training."""
    return operations / (matmul_rate() * EFFICIENCY)


@lru_cache(maxsize=256)
def forward_cost(model: ModelConfig, spec: ModelSpec, batch: int) -> tuple[float, int]:
    """Return the operations of a forward pass of a batch, and the number of parameters."""
    network = dry_model(model, spec)
    shape, dtype = spec.inputs.shape, spec.inputs.dtype
    with within_sizes("model", f"{batch:,} inputs of shape {shape}"):
        inputs = torch.zeros((batch, *shape), dtype=dtype, device="meta")
        with FlopCounterMode(display=False) as counter:
            network(inputs)
    return counter.get_total_flops(), sum(p.numel() for p in network.parameters())
