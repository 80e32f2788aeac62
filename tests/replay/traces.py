"""Steps as environments make them, for whatever is to be added to a ring."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from suite.replay.frame_ring import Block


@dataclass
class Slot:
    frame: float
    action: int
    reward: float
    acted: bool
    stops: bool
    starts: bool


def trace(rng: np.random.Generator, length: int, first_frame: int) -> list[Slot]:
    """One lane of slots as an environment makes them: lives, game overs, time limits."""
    slots: list[Slot] = []
    starts = True
    while len(slots) < length:
        frame = first_frame + len(slots)
        action, reward = int(rng.integers(5)), float(rng.integers(-3, 4))
        fate = rng.random()
        stops = fate < 0.25  # a life or the game
        over = fate < 0.1 or fate > 0.9  # the game or the time limit
        slots.append(Slot(frame, action, reward, True, stops, starts))
        starts = False
        if over:
            slots.append(Slot(frame + 1, int(rng.integers(5)), 0.0, False, False, False))
            starts = True
    return slots[:length]


def to_block(lanes: list[list[Slot]], begin: int, end: int, shape: tuple[int, ...]) -> Block:
    def column(name: str, dtype: DTypeLike | None) -> NDArray[Any]:
        rows = [[getattr(lane[t], name) for lane in lanes] for t in range(begin, end)]
        return np.array(rows).astype(dtype)

    frames = column("frame", None).astype(np.float32)
    frames = np.broadcast_to(
        frames.reshape(*frames.shape, *(1 for _ in shape)), frames.shape + shape
    )
    return Block(
        frames,
        column("action", None),
        column("reward", None).astype(np.float32),
        column("acted", None).astype(bool),
        column("stops", None).astype(bool),
        column("starts", None).astype(bool),
    )
