"""The sum tree against running sums over all priorities."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from suite.replay.sum_tree import FAN_OUT, TOP, SumTree, level_widths, tree_bytes

# One level, two with and without padding, three, four.
SIZES = st.sampled_from([1, 7, TOP, TOP + 1, TOP * FAN_OUT, TOP * FAN_OUT + 1, 140_000])


def masses_of(ends: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Anywhere, and where it is close: at every kind of running sum and beside it."""
    edges = rng.choice(ends, 100)
    masses: NDArray[Any] = np.concatenate(
        [
            rng.random(100) * ends[-1],
            edges,
            np.nextafter(edges, 0),
            [0.0, np.nextafter(ends[-1], 0)],
        ]
    )
    found: NDArray[Any] = masses[masses < ends[-1]]
    return found


@settings(max_examples=60)
@given(size=SIZES, seed=st.integers(0, 2**32), counts=st.lists(st.integers(0, 900), max_size=6))
def test_whole_numbers_are_found_exactly(size: int, seed: int, counts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    tree, oracle = SumTree(size), np.zeros(size)
    for count in counts:
        index = (
            rng.integers(min(size, 3 * count + 1), size=count)
            if seed % 2
            else rng.integers(size, size=count)
        )
        values = rng.integers(4, size=count).astype(float)
        tree.set(index, values)
        for i, value in zip(index, values, strict=True):
            oracle[i] = value
        assert (tree[np.arange(size)] == oracle).all()
        ends = oracle.cumsum()
        assert tree.total == ends[-1]
        if ends[-1] > 0:
            masses = masses_of(ends, rng)
            assert (tree.find(masses) == ends.searchsorted(masses, side="right")).all()


@settings(max_examples=60)
@given(size=SIZES, seed=st.integers(0, 2**32), decades=st.sampled_from([0.1, 20, 300]))
def test_rounding_never_leads_to_a_priority_of_zero(size: int, seed: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    values = 10 ** rng.uniform(-decades, decades, size) * (rng.random(size) < 0.3)
    values[rng.integers(size)] = 1.0
    tree = SumTree(size)
    tree.set(np.arange(size), values)
    assert (tree[tree.find(masses_of(values.cumsum().clip(max=tree.total), rng))] > 0).all()


def test_sums_do_not_drift() -> None:
    rng = np.random.default_rng(0)
    tree, fresh = SumTree(20_000), SumTree(20_000)
    for _ in range(3000):
        tree.set(rng.integers(20_000, size=32), 10 ** rng.uniform(-12, 12, 32))
    tree.set(np.arange(0, 20_000, 2), rng.random(10_000))
    for i in range(1, 20_000, 50):
        tree.set(np.arange(i, i + 50, 2), rng.random(25))
    fresh.values[:] = tree.values
    fresh.refresh()
    assert tree.total == fresh.total == pytest.approx(tree.values.sum(), rel=1e-12)
    masses = rng.random(1000) * tree.total
    assert (tree.find(masses) == fresh.find(masses)).all()


def test_draws_are_in_proportion() -> None:
    rng = np.random.default_rng(1)
    tree = SumTree(50_000)
    tree.set(np.array([3, 900, 49_999, 3]), np.array([100.0, 2.0, 5.0, 1.0]))
    found = tree.find(rng.random(80_000) * tree.total)
    index, counts = np.unique(found, return_counts=True)
    assert index.tolist() == [3, 900, 49_999]
    assert counts / 80_000 == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.01)


def test_what_cannot_be_a_priority_is_refused() -> None:
    tree = SumTree(10)
    with pytest.raises(ValueError, match="sum of 0"):
        tree.find(np.zeros(1))
    for wrong in (-1.0, np.nan):
        with pytest.raises(ValueError, match="priorities: got"):
            tree.set(np.array([1, 2]), np.array([1.0, wrong]))
    tree.set(np.array([1]), np.array([np.inf]))
    with pytest.raises(ValueError, match="sum of inf"):
        tree.find(np.zeros(1))


@pytest.mark.parametrize("size", [1, TOP + 1, 140_000])
def test_memory_is_known_beforehand(size: int) -> None:
    assert SumTree(size).nbytes == tree_bytes(size)
    assert len(level_widths(size)) == 1 + (size > TOP) + 2 * (size > TOP * FAN_OUT**2)
