from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.atari.scores import REFERENCES, human_normalised, normalised_range, score_range
from suite.ranges import ANY, COSINE, MAGNITUDE, SHARE, SIZE, Range, hull
from suite.records.reader import TaskRecord

bounds = st.none() | st.floats(-1e6, 1e6)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    lower, upper = draw(bounds), draw(bounds)
    if lower is not None and upper is not None and lower > upper:
        lower, upper = upper, lower
    log = lower is not None and lower >= 0 and draw(st.booleans())
    return Range(lower, upper, "log" if log else "linear")


@pytest.mark.parametrize(
    "fields",
    [(1, 0), (math.nan, 1), (0, math.inf), (None, None, "log"), (-1, 1, "log"), (0, 1, "root")],
)
def test_what_is_no_range_is_refused(fields: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"range|scale"):
        Range(*fields)  # type: ignore[arg-type]


@given(ranges())
def test_a_range_survives_the_record_of_the_sweep(possible: Range) -> None:
    text = json.dumps(
        {"primary_metric": ["m", ""], "arms": [], "ranges": {"m": possible.as_json()}}
    )
    assert TaskRecord.model_validate(json.loads(text)).range_of("m") == possible


@given(ranges(), ranges(), st.floats(-1e7, 1e7))
def test_a_hull_holds_what_either_holds(a: Range, b: Range, value: float) -> None:
    if not a.outside([value]) or not b.outside([value]):
        assert not hull([a, b]).outside([value])
    assert hull([a, a]) == a


@given(ranges(), st.lists(st.floats(-1e7, 1e7), min_size=1))
def test_a_range_that_holds_values_holds_them(possible: Range, values: list[float]) -> None:
    held = possible.holding(min(values), max(values))
    assert held.low <= min(values) <= max(values) <= held.high
    if not possible.outside(values):
        assert held.low == min(possible.low, *values)
        assert held.high == max(possible.high, *values)


def test_differences() -> None:
    assert SHARE.difference() == COSINE
    assert Range(-21, 21).difference() == Range(-42, 42)
    assert SIZE.difference() == ANY == MAGNITUDE.difference()


def test_records_of_earlier_versions_know_shares_and_what_engines_write() -> None:
    old = TaskRecord(primary_metric=("accuracy", "test"), unit="share", arms=())
    assert old.range_of("accuracy") == SHARE
    assert old.range_of("learning_rate") == MAGNITUDE
    assert old.range_of("loss") == old.range_of("mean_return_20") == ANY
    told = TaskRecord(primary_metric=("m", ""), unit="share", arms=(), ranges={"m": ANY})
    assert told.range_of("m") == ANY


def test_scores_of_games_lie_in_the_range_of_the_game() -> None:
    for game, scores in REFERENCES.items():
        assert not score_range(game).outside(scores)
        assert not normalised_range(game).outside([0, 1])
    assert normalised_range("pong").upper == human_normalised("pong", 21)
    assert score_range("air_raid") == ANY
