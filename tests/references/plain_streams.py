"""A slow reader of the streams: one example at a time, numpy only, from what the docs promise.

It knows the names of the random streams, for two readers cannot agree on draws otherwise, and
nothing else of `suite.streams`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from suite.seeding import seed_for

Example = tuple[NDArray[np.float64], int]


def order(key: str, seed: int, stream: str, count: int) -> list[int]:
    """Return a random order of the numbers below `count`."""
    generator = torch.Generator().manual_seed(seed_for(key, seed, stream))
    return [int(i) for i in torch.randperm(count, generator=generator)]


@dataclass
class PlainPhase:
    """One phase: examples by number in the data set, what is done to each, and its updates."""

    examples: list[int]
    steps: int
    stream: str
    label: Callable[[int, int], int] = lambda place, own: own
    permutation: list[int] | None = None
    change: Callable[[float], float] = lambda value: value


@dataclass
class PlainStream:
    """Images (n, h, w, c) of bytes with labels, standardised by channel, in phases."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    key: str
    seed: int
    batch_size: int
    phases: Sequence[PlainPhase]
    flat: list[NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        pixels = self.images.astype(np.float64) / 255
        mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2), ddof=1)
        self.flat = [((p - mean) / std).transpose(2, 0, 1).ravel() for p in pixels]

    def batches(self) -> list[list[Example]]:
        """Return every batch of the run, each a list of flat inputs and labels."""
        found = []
        for phase in self.phases:
            made, epoch = 0, 0
            while made < phase.steps:
                places = order(self.key, self.seed, f"{phase.stream}/{epoch}", len(phase.examples))
                size = min(self.batch_size, len(places))
                for start in range(0, len(places) - size + 1, size):
                    if made == phase.steps:
                        break
                    found.append([self._example(phase, i) for i in places[start : start + size]])
                    made += 1
                epoch += 1
        return found

    def _example(self, phase: PlainPhase, place: int) -> Example:
        number = phase.examples[place]
        inputs = self.flat[number]
        if phase.permutation is not None:
            inputs = np.array([inputs[j] for j in phase.permutation])
        inputs = np.array([phase.change(value) for value in inputs])
        return inputs, phase.label(place, int(self.labels[number]))
