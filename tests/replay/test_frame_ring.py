"""The frame ring against a brute-force oracle that keeps every slot in Python lists."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from traces import Slot, to_block, trace

from suite.replay.frame_ring import Block, FrameRing

DISCOUNT = 0.9


class Oracle:
    """What can be sampled and what it is, slot by slot.

    Lanes keep everything, last observations too; those that follow an action which stops nothing
    are stored as long as that action is.
    """

    def __init__(self, lanes: list[list[Slot]], slots: int, stack: int, n_step: int) -> None:
        self.lanes, self.slots, self.stack, self.n_step = lanes, slots, stack, n_step
        self.forgotten: set[tuple[int, int]] = set()  # slots (lane, t) whose action was

    def rank(self, lane: int, t: int) -> int:
        """Place of a slot in its lane of the ring: the number of actions before it."""
        return sum(slot.acted for slot in self.lanes[lane][:t])

    def stored(self, lane: int, t: int) -> bool:
        slots = self.lanes[lane]
        if not 0 <= t < len(slots):
            return False
        newest = len(slots) - 1
        has_slot = slots[t].acted or (t == newest and (lane, t) in self.forgotten)
        count = self.rank(lane, len(slots)) + ((lane, newest) in self.forgotten)
        return count - self.slots <= self.rank(lane, t) - (not has_slot) and (has_slot or t > 0)

    def cut(self, lane: int) -> None:
        newest = self.lanes[lane][-1]
        if newest.acted and not newest.stops:
            newest.acted = False
            self.forgotten.add((lane, len(self.lanes[lane]) - 1))

    def stack_at(self, lane: int, t: int) -> list[float] | None:
        """Frames of the observation at t, oldest first; None if one of them is gone."""
        frames: list[float] = []
        for _ in range(self.stack):
            if not self.stored(lane, t):
                return None
            slot = self.lanes[lane][t]
            frames.insert(0, slot.frame)
            if not slot.starts:
                t -= 1
        return frames

    def transition(self, lane: int, t: int) -> tuple[Any, ...] | None:
        """(s_tm1, a_tm1, r_t, discount_t, s_t) or None if it cannot be sampled."""
        if not self.stored(lane, t) or not self.lanes[lane][t].acted:
            return None
        s_tm1 = self.stack_at(lane, t)
        if s_tm1 is None:
            return None
        total, m = 0.0, 0
        while m < self.n_step:
            if not self.stored(lane, t + m):
                return None
            slot = self.lanes[lane][t + m]
            if not slot.acted:
                break
            total += DISCOUNT**m * slot.reward
            m += 1
            if slot.stops:
                return s_tm1, self.lanes[lane][t].action, total, 0.0, None
        if not self.stored(lane, t + m):
            return None
        return s_tm1, self.lanes[lane][t].action, total, DISCOUNT**m, self.stack_at(lane, t + m)


def ring_of(
    capacity: int, lanes: int, shape: tuple[int, ...], stack: int, n_step: int, seed: int = 0
) -> FrameRing:
    generator = np.random.default_rng(seed)
    return FrameRing(capacity, lanes, shape, np.float32, stack, n_step, DISCOUNT, generator)


def check_against(ring: FrameRing, oracle: Oracle) -> None:
    found = ring.resolve(np.arange(ring.lanes * ring.slots)).eligible
    expected = {}
    for lane, slots in enumerate(oracle.lanes):
        for t in range(len(slots)):
            transition = oracle.transition(lane, t)
            if transition is not None:
                expected[lane * ring.slots + oracle.rank(lane, t) % ring.slots] = transition
    assert set(np.flatnonzero(found)) == set(expected)
    if not expected:
        return
    chosen = np.array(sorted(expected))
    batch = ring.gather(ring.resolve(chosen))
    size = len(chosen)
    observed: Any = batch.s_tm1.reshape(size, ring.stack, -1)
    after: Any = batch.s_t.reshape(size, ring.stack, -1)
    for row, i in enumerate(chosen):
        s_tm1, a_tm1, r_t, discount_t, s_t = expected[int(i)]
        assert (observed[row] == np.array(s_tm1)[:, None]).all()
        assert batch.a_tm1[row] == a_tm1
        assert batch.r_t[row] == pytest.approx(r_t, abs=1e-5)
        assert batch.discount_t[row] == pytest.approx(discount_t, abs=1e-6)
        if discount_t > 0:
            assert (after[row] == np.array(s_t)[:, None]).all()


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    lanes=st.integers(1, 3),
    capacity=st.integers(1, 40),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 4),
    blocks=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    cut=st.sampled_from([0, 1, 2]),
)
def test_every_slot_equals_the_oracle(
    seed: int, lanes: int, capacity: int, stack: int, n_step: int, blocks: list[int], cut: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (2, 3) if stack > 1 else (4,)
    ring = ring_of(capacity, lanes, shape, stack, n_step)
    total = sum(blocks)
    traces = [trace(rng, total, 1000 * lane) for lane in range(lanes)]
    oracle = Oracle([[] for _ in range(lanes)], ring.slots, stack, n_step)
    t = 0
    for k, steps in enumerate(blocks):
        if cut and k == len(blocks) // 2 and t > 0:
            ring.cut(None if cut == 1 else np.arange(0, lanes, cut))
            for lane in range(0, lanes, cut):
                oracle.cut(lane)
                first = 1000 * lane + 500  # they begin anew
                traces[lane][t:] = trace(rng, total - t, first)
            check_against(ring, oracle)
        index = ring.add(to_block(traces, t, t + steps, shape))
        acted = [sum(slot.acted for slot in slots[t : t + steps]) for slots in traces]
        assert len(np.unique(index)) == index.size == sum(min(n, ring.slots) for n in acted)
        for kept, fresh in zip(oracle.lanes, traces, strict=True):
            kept.extend(fresh[t : t + steps])
        t += steps
        check_against(ring, oracle)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 4),
    cut=st.integers(2, 30),
)
def test_the_smallest_sizes_that_tasks_allow_always_have_something_to_sample(
    seed: int, stack: int, n_step: int, cut: int
) -> None:
    ring = ring_of(1, 1, (3,), stack, n_step)
    slots = trace(np.random.default_rng(seed), 60, 0)
    taken = 0
    for t in range(60):
        if t == cut:
            ring.cut()
            slots[t:] = trace(np.random.default_rng(seed), 60 - t, 100)
        ring.add(to_block([slots], t, t + 1, (3,)))
        taken += slots[t].acted
        if taken > n_step:
            assert ring.resolve(np.arange(len(ring))).eligible.any()


def test_lanes_may_advance_apart() -> None:
    rng = np.random.default_rng(1)
    ring = ring_of(20, 2, (3,), 2, 3)
    traces = [trace(rng, 60, 0), trace(rng, 60, 500)]
    oracle = Oracle([[], []], ring.slots, 2, 3)
    done = [0, 0]
    for k in range(14):
        lane = int(rng.integers(2))
        ring.add(to_block([traces[lane]], done[lane], done[lane] + k % 4 + 1, (3,)), lane)
        oracle.lanes[lane].extend(traces[lane][done[lane] : done[lane] + k % 4 + 1])
        done[lane] += k % 4 + 1
        check_against(ring, oracle)


def test_sampling_is_uniform_over_what_is_eligible() -> None:
    rng = np.random.default_rng(2)
    ring = ring_of(30, 2, (2, 2), 4, 3)
    ring.add(to_block([trace(rng, 57, 0), trace(rng, 57, 500)], 0, 20, (2, 2)))
    eligible = np.flatnonzero(ring.resolve(np.arange(2 * ring.slots)).eligible)
    counts = np.zeros(2 * ring.slots)
    for _ in range(600):
        np.add.at(counts, ring.sample(32).index, 1)
    assert counts.sum() == counts[eligible].sum() == 600 * 32
    assert stats.chisquare(counts[eligible]).pvalue > 1e-3


def test_the_stack_repeats_the_first_frame_of_an_episode() -> None:
    ring = ring_of(8, 1, (1, 1), 4, 1)
    frames = np.arange(1, 4, dtype=np.float32).reshape(3, 1, 1, 1)
    marks = np.array([[False], [False], [False]])
    starts = np.array([[True], [False], [False]])
    ring.add(Block(frames, np.zeros((3, 1), int), np.ones((3, 1)), ~marks, marks, starts))
    batch = ring.gather(ring.resolve(np.array([0, 1])))
    assert batch.s_tm1[:, :, 0, 0].tolist() == [[1, 1, 1, 1], [1, 1, 1, 2]]
    assert batch.s_t[:, :, 0, 0].tolist() == [[1, 1, 1, 2], [1, 1, 2, 3]]


def test_snapshot_continues_with_the_same_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    traces = [trace(rng, 80, 0), trace(rng, 80, 500)]
    for steps in (9, 70):  # before and after the ring is full
        ring = ring_of(40, 2, (3, 3), 4, 3)
        ring.add(to_block(traces, 0, steps % ring.slots, (3, 3)))
        if steps > ring.slots:
            ring.add(to_block(traces, steps % ring.slots, steps, (3, 3)))
        ring.cut(np.array([1]))
        traces[1][steps:] = trace(rng, 80 - steps, 800)
        ring.sample(5)
        state = ring.state_dict()
        ring.save(tmp_path)
        other = ring_of(40, 2, (3, 3), 4, 3, seed=99)
        other.load_state_dict(state)
        other.load(tmp_path)
        for _ in range(3):
            one, two = vars(ring.sample(16)), vars(other.sample(16))
            goes_on = one["discount_t"] > 0
            assert all(np.array_equal(one[n], two[n]) for n in one if n != "s_t")
            assert np.array_equal(one["s_t"][goes_on], two["s_t"][goes_on])
        ring.add(to_block(traces, steps, steps + 5, (3, 3)))
        other.add(to_block(traces, steps, steps + 5, (3, 3)))
        mine: Any
        mine, theirs = ring.sample(64), other.sample(64)
        assert (mine.s_tm1 == theirs.s_tm1).all()
        assert (mine.s_t == theirs.s_t)[mine.discount_t > 0].all()
        assert (mine.discount_t == theirs.discount_t).all()
    assert not list(tmp_path.glob("*.partial"))


def test_a_snapshot_of_another_size_is_refused(tmp_path: Path) -> None:
    ring = ring_of(40, 2, (3, 3), 4, 3)
    other = ring_of(41, 2, (3, 3), 4, 3)
    with pytest.raises(ValueError, match="lanes of"):
        other.load_state_dict(ring_of(90, 2, (3, 3), 4, 3).state_dict())
    ring.add(to_block([trace(np.random.default_rng(0), 20, 0)] * 2, 0, 20, (3, 3)))
    ring.save(tmp_path)
    with pytest.raises(ValueError, match=r"frames\.npy"):
        ring_of(40, 2, (3, 2), 4, 3).load(tmp_path)


def test_an_empty_ring_says_so() -> None:
    ring = ring_of(10, 1, (2,), 1, 1)
    with pytest.raises(RuntimeError, match="empty"):
        ring.sample(4)
    slots = [[Slot(0.0, 0, 0.0, True, False, True)]]
    ring.add(to_block(slots, 0, 1, (2,)))  # its next observation is still to come
    with pytest.raises(RuntimeError, match="nothing that can be sampled"):
        ring.sample(4)


def test_a_slot_of_atari_takes_little_more_than_a_frame() -> None:
    ring = FrameRing(1, 1, (84, 84), np.uint8, 4, 1, 0.99, np.random.default_rng(0))
    assert 84 * 84 <= ring.bytes_per_slot <= 7_100


def test_a_cleared_ring_is_as_new() -> None:
    rng = np.random.default_rng(3)
    old, new = (trace(rng, 40, base) for base in (0, 5000))
    rings = [FrameRing(20, 1, (2, 2), np.float32, 4, 3, 0.9, np.random.default_rng(0))]
    rings.append(FrameRing(20, 1, (2, 2), np.float32, 4, 3, 0.9, np.random.default_rng(0)))
    rings[0].add(to_block([old], 0, 37, (2, 2)))
    rings[0].clear()
    assert len(rings[0]) == 0
    with pytest.raises(RuntimeError):
        rings[0].sample(1)
    for ring in rings:
        ring.add(to_block([new], 0, 15, (2, 2)))
    cleared, fresh = (ring.sample(200) for ring in rings)
    for one, other in zip(vars(cleared).values(), vars(fresh).values(), strict=True):
        assert one is other is None or (one == other)[fresh.discount_t > 0].all()


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    capacity=st.integers(3, 60),
    stack=st.integers(1, 3),
    n_step=st.integers(1, 3),
    size=st.integers(1, 9),
    count=st.integers(1, 6),
)
def test_batches_drawn_at_once_are_those_drawn_one_by_one(
    seed: int, capacity: int, stack: int, n_step: int, size: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    traces = [trace(rng, 40, 1000 * lane) for lane in range(2)]
    once, one_by_one = (ring_of(capacity, 2, (3,), stack, n_step, seed) for _ in range(2))
    for ring in (once, one_by_one):
        ring.add(to_block(traces, 0, 40, (3,)))
    for _ in range(2):  # the generators go on alike
        found = once.samples(size, count).parts(size)
        expected = [one_by_one.sample(size) for _ in range(count)]
        assert len(found) == count
        for mine, theirs in zip(found, expected, strict=True):
            goes_on = theirs.discount_t > 0  # else s_t has no meaning
            for name, value in vars(theirs).items():
                rows = goes_on if name == "s_t" else slice(None)
                if value is not None:
                    assert np.array_equal(getattr(mine, name)[rows], value[rows]), name
