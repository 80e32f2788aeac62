from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.report.drawing.curves import Curve, align, alike, band, curves, mean_curve, thinned


def curve(x: list[float], y: list[float], seed: int = 0) -> Curve:
    return Curve(seed, "complete", np.array(x, float), np.array(y, float))


def rows(*items: tuple[str, int, int, float]) -> pd.DataFrame:
    table = pd.DataFrame(items, columns=["arm", "seed", "step", "value"])
    return table.assign(metric="m", layer="", state="complete")


def test_curves_are_sorted_finite_and_have_one_value_per_point() -> None:
    table = rows(
        ("a", 0, 2, 5.0), ("a", 0, 0, 1.0), ("a", 0, 1, np.nan), ("a", 0, 2, 6.0), ("a", 1, 0, 9.0)
    )
    found = curves(table, "m", "", "step")
    assert [c.seed for c in found["a"]] == [0, 1]
    assert found["a"][0].x.tolist() == [0.0, 2.0]
    assert found["a"][0].y.tolist() == [1.0, 6.0]  # of two values at step 2, the latest
    assert curves(table, "other", "", "step") == {}


def test_runs_measured_together_keep_their_points() -> None:
    x, values = align([curve([0, 1, 5], [1, 2, 3]), curve([0, 1, 5], [4, 5, 6])])
    assert x.tolist() == [0, 1, 5]
    assert values.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_runs_measured_apart_carry_their_latest_value_over_the_range_of_all() -> None:
    x, values = align([curve([0, 4, 8], [1, 2, 3]), curve([1, 4, 6], [10, 20, 30])])
    assert x.tolist() == [1, 4, 6]
    assert values.tolist() == [[1, 2, 2], [10, 20, 30]]


def test_runs_measured_almost_together_keep_all_their_values() -> None:
    x, values = align([curve([1002, 2000, 3001], [1, 2, 3]), curve([1000, 2001, 3000], [4, 5, 6])])
    assert x.tolist() == [1002, 2001, 3001]
    assert values.tolist() == [[1, 2, 3], [4, 5, 6]]
    x, values = align([curve([3001], [3]), curve([3000], [6])])
    assert (x.tolist(), values.tolist()) == ([3001], [[3], [6]])
    assert len(align([curve([1], [3]), curve([2], [6])])[0]) == 0


def test_runs_without_a_common_range_have_no_mean() -> None:
    apart = [curve([0, 1], [1, 1]), curve([5, 6], [1, 1]), curve([0, 6], [1, 1])]
    assert len(align(apart)[0]) == 0
    assert band(apart) is None


@given(st.integers(1, 2000), st.integers(2, 500))
def test_thinning_keeps_both_ends(size: int, points: int) -> None:
    kept = thinned(curve(list(range(size)), list(range(size))), points)
    assert len(kept.x) <= points
    assert len(kept.x) == size or len(kept.x) == points
    assert (kept.x[0], kept.x[-1]) == (0, size - 1)
    assert (np.diff(kept.x) > 0).all()


def test_a_band_needs_three_runs() -> None:
    runs = [curve([0, 1], [0, s], s) for s in (1, 2, 3)]
    assert band(runs[:2]) is None
    found = band(runs)
    assert found is not None
    assert found.mean.tolist() == [0, 2]
    assert found.lo[1] == pytest.approx(-0.484, abs=1e-3)


def test_geometric_mean_leaves_out_what_has_no_logarithm() -> None:
    found = mean_curve([curve([0, 1, 2], [0, 1, 4]), curve([0, 1, 2], [1, 100, 1])], log=True)
    assert found is not None
    assert found.x.tolist() == [1, 2]
    assert found.mean == pytest.approx([10, 2])
    assert np.isnan(found.lo).all()  # two runs
    assert mean_curve([curve([0, 1], [0, -1])], log=True) is None
    assert mean_curve([]) is None


def test_alike() -> None:
    assert alike([curve([0, 1], [1, 2]), curve([0, 1], [1, 2 + 1e-9])])
    assert not alike([curve([0, 1], [1, 2]), curve([0, 1], [1, 2.1])])
    assert not alike([curve([0, 1], [1, 2]), curve([0, 2], [1, 2])])
