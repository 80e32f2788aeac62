"""Prioritised sampling against the formula, with priorities kept by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from traces import to_block, trace

from suite.replay.prioritized import PrioritizedRing

LANES, LARGEST = 3, 4.0


def ring_of(
    capacity: int = 60, exponent: float = 0.7, uniform_share: float = 0.1, seed: int = 0
) -> PrioritizedRing:
    return PrioritizedRing(
        capacity,
        LANES,
        (2, 2),
        np.float32,
        4,
        3,
        0.9,
        np.random.default_rng(seed),
        exponent=exponent,
        uniform_share=uniform_share,
        largest=LARGEST,
    )


class Steps:
    """Feeds a ring and keeps the sizes of errors by hand, slot by slot."""

    def __init__(self, ring: PrioritizedRing, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.traces = [trace(self.rng, 500, 1000 * lane) for lane in range(LANES)]
        self.ring, self.t, self.largest = ring, 0, 1.0
        self.sizes = np.full(LANES * ring.slots, np.nan)  # not a number: no action

    def add(self, steps: int) -> None:
        self.ring.add(to_block(self.traces, self.t, self.t + steps, (2, 2)))
        for lane, slots in enumerate(self.traces):
            place = sum(slot.acted for slot in slots[: self.t])
            for slot in slots[self.t : self.t + steps]:
                if slot.acted:
                    self.sizes[lane * self.ring.slots + place % self.ring.slots] = self.largest
                    place += 1
        self.t += steps

    def update(self, size: int, scale: float = 1.0) -> None:
        index = self.ring.sample(size).index
        errors = scale * self.rng.normal(size=size)
        self.ring.update(index, errors.astype(np.float32))
        for i, error in zip(index, errors, strict=True):
            self.sizes[i] = min(abs(error), LARGEST)
            self.largest = max(self.largest, self.sizes[i])

    def probabilities(self) -> NDArray[Any]:
        """P(i) of every slot, 0 where nothing is filled."""
        ring = self.ring
        priorities = np.nan_to_num(self.sizes**ring.exponent)
        uniform = ~np.isnan(self.sizes) / np.count_nonzero(~np.isnan(self.sizes))
        u = ring.uniform_share
        shares: NDArray[Any] = u * uniform + (1 - u) * priorities / priorities.sum()
        return shares


@pytest.mark.parametrize("exponent", [0.0, 0.7])
@pytest.mark.parametrize("uniform_share", [0.0, 0.1])
@pytest.mark.parametrize("steps", [9, 40])  # before and after the lanes are full
def test_draws_and_weights_follow_the_formula(
    exponent: float, uniform_share: float, steps: int
) -> None:
    ring = ring_of(exponent=exponent, uniform_share=uniform_share)
    made = Steps(ring)
    made.add(steps)
    made.update(40, scale=3.0)
    made.update(20)
    made.add(5)
    assert ring.largest_seen == pytest.approx(made.largest)
    assert 1 < made.largest <= LARGEST
    expected = made.probabilities()
    eligible = np.flatnonzero(ring.resolve(np.arange(len(expected))).eligible)
    assert 0 < len(eligible) < np.count_nonzero(~np.isnan(made.sizes)) == len(ring)
    counts = np.zeros(len(expected))
    for k in range(150):
        beta = k % 3 / 2
        sample = ring.sample(256, beta=beta)
        np.add.at(counts, sample.index, 1)
        weights = expected[sample.index] ** -beta
        assert sample.weights == pytest.approx(weights / weights.max(), rel=1e-5)
        assert sample.weights.dtype == np.float32
    assert counts.sum() == counts[eligible].sum()
    share = expected[eligible] / expected[eligible].sum()
    assert stats.chisquare(counts[eligible], share * counts.sum()).pvalue > 1e-3
    if exponent == 0:
        assert share == pytest.approx(1 / len(eligible))
        assert np.all(ring.sample(32).weights == 1)


def test_forgotten_actions_have_no_priority() -> None:
    ring = ring_of(exponent=0.0)
    made = Steps(ring)
    made.add(37)
    before = ring.tree.values.copy()
    forgotten = ring.cut()
    assert len(forgotten) > 0
    assert (before[forgotten] == 1).any()
    assert np.flatnonzero(ring.tree.values != before).tolist() == sorted(
        forgotten[before[forgotten] == 1]
    )
    ring.update(forgotten, np.ones(len(forgotten)))  # sampled before, known only now
    assert (ring.tree[forgotten] == 0).all()


def test_sizes_are_bounded_and_what_is_not_a_number_counts_as_the_largest() -> None:
    ring = ring_of(exponent=0.5)
    Steps(ring).add(20)
    index = np.flatnonzero(ring.tree.values)[:3]
    ring.update(index, np.array([-0.25, 0.0, 0.5]))
    assert ring.tree[index] == pytest.approx([0.5, 0.0, 0.5**0.5])
    assert ring.largest_seen == 1
    ring.update(index, np.array([-900.0, np.nan, 2.0], np.float32))
    assert ring.tree[index] == pytest.approx([2.0, 2.0, 2**0.5])
    assert ring.largest_seen == LARGEST


def test_without_any_error_the_draws_are_uniform() -> None:
    ring = ring_of(uniform_share=0.0)
    with pytest.raises(RuntimeError, match="empty"):
        ring.sample(4)
    Steps(ring).add(40)
    ring.update(np.arange(LANES * ring.slots), np.zeros(LANES * ring.slots))
    sample = ring.sample(500)
    assert len(np.unique(sample.index)) > 20
    assert np.all(sample.weights == 1)


def test_other_draws_have_no_weights() -> None:
    ring = ring_of()
    Steps(ring).add(40)
    generator = np.random.default_rng(1)
    sample = ring.sample(8, lambda size: ring.uniform(size, generator))
    assert sample.weights is None


@pytest.mark.parametrize("steps", [9, 40])
def test_snapshot_continues_with_the_same_samples(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suite.replay.sum_tree.TOP", 8)  # two levels
    made = Steps(ring_of())
    made.add(steps)
    made.update(30, scale=2.0)
    state = made.ring.state_dict()
    made.ring.save(tmp_path)
    other = Steps(ring_of(seed=99))
    other.add(60)  # all of which has to go
    other.update(30, scale=0.1)
    other.ring.sample(4)
    other.ring.load_state_dict(state)
    other.ring.load(tmp_path)
    assert other.ring.tree.total == made.ring.tree.total
    other.t, other.rng = made.t, np.random.default_rng(5)
    made.rng = np.random.default_rng(5)
    for _ in range(4):
        mine, theirs = vars(made.ring.sample(16)), vars(other.ring.sample(16))
        assert mine["weights"].min() < 1
        for name in set(mine) - {"s_t"}:
            assert np.array_equal(mine[name], theirs[name])
        goes_on = mine["discount_t"] > 0
        assert np.array_equal(mine["s_t"][goes_on], theirs["s_t"][goes_on])
        for steps_ in (made, other):
            steps_.update(16)
            steps_.add(3)


def test_a_stored_transition_of_atari_takes_at_most_7600_bytes() -> None:
    ring = PrioritizedRing(
        10_000,
        8,
        (84, 84),
        np.uint8,
        4,
        3,
        0.99,
        np.random.default_rng(0),
        limit=27_000,
        exponent=0.5,
        uniform_share=0.0,
        largest=100.0,
    )
    every = sum(array.nbytes for array in ring._arrays().values()) + ring.tree.nbytes
    every -= ring.tree.values.nbytes  # which are in both
    assert every <= 8 * ring.slots * ring.bytes_per_slot
    assert every + ring._last_frames().nbytes <= 10_000 * 7_600
