"""An environment changed as a config says: one lane at a time, one number at a time, in Python.

Nothing here is of the suite: seeds are hashed and permutations drawn anew.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def drawn(seed: int, stream: str, size: int) -> list[int]:
    """Return the permutation of a stream."""
    digest = hashlib.sha256(f"wrap\x1f{seed}\x1f{stream}".encode()).digest()
    number = int.from_bytes(digest[:8], "big") >> 1
    return [int(place) for place in np.random.default_rng(number).permutation(size)]


def seen(config: dict[str, Any], observation: Any) -> Any:
    """Return what is seen of one observation, in double precision."""
    numbers = [float(x) for x in np.asarray(observation, np.float64).ravel()]
    if config.get("permute_observations") is not None:
        order = drawn(config["permute_observations"], "observations", len(numbers))
        numbers = [numbers[place] for place in order]
    numbers = [x + config.get("shift", 0.0) for x in numbers]
    if config.get("mask") is not None:
        count = round(config["mask"]["share"] * len(numbers))
        for place in drawn(config["mask"].get("seed", 0), "mask", len(numbers))[:count]:
            numbers[place] = 0.0
    return np.array(numbers).reshape(np.shape(observation))


def taken(config: dict[str, Any], action: int, actions: int) -> int:
    """Return the environment's action for one of the agent's."""
    if config.get("permute_actions") is None:
        return action
    return drawn(config["permute_actions"], "actions", actions)[action]


def paid(config: dict[str, Any], reward: float) -> float:
    """Return what is paid for one reward."""
    return reward * float(config.get("reward_factor", 1.0))
