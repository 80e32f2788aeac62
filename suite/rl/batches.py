"""Batches of a replay as tensors: of one run, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from suite.replay.frame_ring import Sample
from suite.training.q_gradients import Block

FIELDS = ("s_tm1", "a_tm1", "r_t", "discount_t", "s_t")
"""What a batch consists of, besides the ``weights`` of prioritised replay."""


def to_tensors(sample: Sample, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Return a sample of the replay as tensors, which on the CPU share its memory."""
    values = {name: getattr(sample, name) for name in FIELDS}
    if sample.weights is not None:
        values["weights"] = sample.weights
    return {name: torch.as_tensor(value).to(device) for name, value in values.items()}


def joined_block(samples: Sequence[Sample], size: int) -> Block:
    """Return the batches of `size` of several runs' samples, which are equally large."""
    names = FIELDS if samples[0].weights is None else (*FIELDS, "weights")
    of = {name: np.stack([getattr(sample, name) for sample in samples]) for name in names}
    return Block({name: torch.from_numpy(value) for name, value in of.items()}, size, axis=1)
