"""A full replay holds the transitions that it is asked for, however short its episodes are."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from suite.replay.blocks import Block
from suite.replay.frame_ring import FrameRing
from suite.replay.prioritized import PrioritizedRing

CAPACITY = 240


def ring_of(
    lanes: int = 1,
    stack: int = 1,
    n_step: int = 1,
    limit: int | None = None,
    prioritized: bool = False,
    device: torch.device | None = None,
) -> Any:
    settings = (CAPACITY, lanes, (1,), np.float32, stack, n_step, 0.9, np.random.default_rng(0))
    if not prioritized:
        return FrameRing(*settings, device, limit)
    of_priorities = {"exponent": 0.5, "uniform_share": 0.1, "largest": 9.0}
    return PrioritizedRing(*settings, device, limit, **cast(Any, of_priorities))


def episodes(lengths: list[int], stops: bool) -> Block:
    """Whole episodes of one lane as `Lanes` reports them, each frame its number."""
    rows = [
        (k < n, stops and k == n - 1, k == 0)  # acted, stops, starts
        for n in lengths
        for k in range(n + 1)
    ]
    acted, stopping, starts = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    frames = np.arange(len(rows), dtype=np.float32).reshape(-1, 1, 1)
    actions, rewards = np.zeros(acted.shape, int), np.ones(acted.shape, np.float32)
    return Block(frames, actions, rewards, acted, stopping, starts)


def part(block: Block, begin: int, end: int, lanes: int = 1) -> Block:
    rows = {name: np.repeat(field[begin:end], lanes, axis=1) for name, field in vars(block).items()}
    return Block(**rows)


def eligible(ring: FrameRing) -> int:
    return int(ring.resolve(np.arange(ring.lanes * ring.slots)).eligible.sum())


@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(("lanes", "stack", "n_step"), [(1, 1, 1), (1, 4, 3), (7, 2, 5)])
@pytest.mark.parametrize("prioritized", [False, True])
def test_a_full_replay_holds_its_capacity(
    stops: bool, length: int, lanes: int, stack: int, n_step: int, prioritized: bool
) -> None:
    ring = ring_of(lanes, stack, n_step, None if stops else length, prioritized)
    block = episodes([length] * (3 * ring.slots // length + 2), stops)
    for begin in range(0, len(block.frames), 5):  # episodes end anywhere in a block
        ring.add(part(block, begin, begin + 5, lanes))
        held = eligible(ring)
        if begin > 2 * ring.slots + 10:
            assert CAPACITY <= held <= ring.lanes * ring.slots
            assert len(ring) == lanes * ring.slots
    sample = ring.sample(200)
    frames, n = sample.s_tm1.reshape(200, -1)[:, -1], sample.discount_t
    after = sample.s_t.reshape(200, -1)[:, -1]
    steps = np.round(np.log(n[n > 0]) / np.log(0.9))
    assert (after[n > 0] == frames[n > 0] + steps).all()  # no window leaves its episode
    place = frames % (length + 1)
    assert (place < length).all()
    assert (n[place + n_step > length - 1 + (not stops)] > 0).all() == (not stops)
    if prioritized:
        assert np.count_nonzero(ring.tree.values) == ring.lanes * ring.slots


def test_lanes_that_are_cut_again_and_again_hold_it_too() -> None:
    """Restarts and lost blocks: the observation of the action that is forgotten takes no slot."""
    ring = ring_of(limit=500)
    block = episodes([4] * 400, stops=True)
    for k in range(200):
        ring.add(part(block, 5 * k, 5 * k + 3))  # no end, no last observation
        if k % 40 == 39:
            ring.cut()
        else:
            ring.add(part(block, 5 * k + 3, 5 * k + 5))
        if k > 100:
            assert eligible(ring) >= CAPACITY


def test_last_observations_that_are_gone_are_not_sampled() -> None:
    """More episodes are cut than the time limit allows: room for eight of them, and for one."""
    ring = ring_of(limit=10_000)
    block = episodes([2] * 150, stops=False)
    ring.add(block)
    assert ring.lasts == 9
    index = np.arange(len(ring))
    window = ring.resolve(index)
    kept = index[window.eligible]
    gone = len(index) - ring.lasts
    assert not window.eligible[window.cut].all()
    batch = ring.gather(window.at(kept))
    assert (batch.s_t[batch.discount_t > 0] == batch.s_tm1[batch.discount_t > 0] + 1).all()
    assert gone > 0


def test_the_room_for_last_observations_is_bounded_by_the_time_limit() -> None:
    assert ring_of(limit=None).lasts == ring_of().slots
    assert ring_of(limit=1).lasts == ring_of().slots
    assert ring_of(limit=100).lasts == 3 + 8
    assert ring_of(limit=2**31 - 1).lasts == 1 + 8
