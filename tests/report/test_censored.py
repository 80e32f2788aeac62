"""Arithmetic on bounds: whatever the numbers are, the result lies within its bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.report.statistics.censored import Censored, largest, mean, slope, smallest, weighted

NUMBER = st.floats(0.1, 1e4)
ENDS = st.tuples(st.sampled_from(["known", "at least", "at most"]), st.floats(0, 1e3))


def around(value: float, ends: tuple[str, float]) -> Censored:
    """Return bounds that hold the value: itself, up to infinity or down to minus infinity."""
    kind, apart = ends
    if kind == "at least":
        return Censored(value / (1 + apart), math.inf)
    return Censored(0.0, value + apart) if kind == "at most" else Censored.exactly(value)


def holds(found: Censored, value: float) -> bool:
    slack = 1e-9 * (1 + abs(value))
    return found.lo - slack <= value <= found.hi + slack


@given(NUMBER, NUMBER, ENDS, st.tuples(st.sampled_from(["known", "at least"]), st.floats(0, 1e3)))
def test_results_of_two_numbers_lie_within(a: float, b: float, one: object, two: object) -> None:
    x, y = around(a, one), around(b, two)  # type: ignore[arg-type]
    assert holds(x + y, a + b)
    assert holds(x - y, a - b)
    assert holds(abs(x - y), abs(a - b))
    assert holds(x / y, a / b)
    assert holds(x * -2.5, -2.5 * a)
    assert holds((x / y).log(), math.log2(a / b))
    assert holds(smallest([x, y]), min(a, b))
    assert holds(largest([x, y]), max(a, b))


@given(st.lists(st.tuples(NUMBER, ENDS), min_size=2, max_size=6), st.randoms())
def test_results_of_many_numbers_lie_within(found: list[Any], random: Any) -> None:
    values = [a for a, _ in found]
    numbers = [around(a, ends) for a, ends in found]
    weights = [random.uniform(-1, 1) for _ in values]
    assert holds(weighted(numbers, weights), float(np.dot(values, weights)))
    assert holds(mean(numbers), float(np.mean(values)))
    x = list(range(len(values)))
    assert holds(slope(x, numbers), float(np.polyfit(x, values, 1)[0]))


def test_two_times_that_were_not_reached_do_not_cancel() -> None:
    late = Censored(100.0, math.inf)
    assert late - late == Censored(-math.inf, math.inf)
    assert (late / late).log() == Censored(-math.inf, math.inf)
    assert slope([0, 1, 2], [late] * 3) == Censored(-math.inf, math.inf)


def test_what_is_known_is_told_exactly() -> None:
    one, two = Censored.exactly(8.0), Censored.exactly(2.0)
    assert ((one / two).log(), one - two, one / two) == tuple(
        map(Censored.exactly, (2.0, 6.0, 4.0))
    )
    assert slope([1.0, 2.0, 4.0], [one, two, two]).lo == pytest.approx(-12 / 7)
