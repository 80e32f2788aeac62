from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import schedules
from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.schedules.base import SCHEDULES

CLOCK = Clock(total=100, starts=(0, 40))


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def test_constant_and_linear() -> None:
    assert [schedules.constant(0.3)(t) for t in (0, 10**9)] == [0.3, 0.3]
    s = schedules.linear(4, 1.0, 0.2)
    assert [s(t) for t in (0, 1, 3, 4, 5)] == pytest.approx([1.0, 0.8, 0.4, 0.2, 0.2])


def test_warmup_cosine_at_its_boundaries() -> None:
    s = schedules.warmup_cosine(length=30, warmup=10, floor=0.1)
    expected = {
        0: 0.1,
        1: 0.1 + 0.9 / 10,
        9: 0.1 + 0.9 * 9 / 10,
        10: 1.0,
        11: 0.1 + 0.9 * _cosine(1 / 20),
        20: 0.55,
        29: 0.1 + 0.9 * _cosine(19 / 20),
        30: 0.1,
        31: 0.1,
    }
    assert {t: s(t) for t in expected} == pytest.approx(expected)
    assert schedules.warmup_cosine(10, 2, 0.1, start=0.0)(0) == 0.0


def test_cyclic_at_its_boundaries() -> None:
    s = schedules.cyclic(period=10, cycles=2, warmup=0, floor=0.2)
    low = 0.2 + 0.8 * _cosine(9 / 10)
    expected = {0: 1.0, 9: low, 10: 1.0, 19: low, 20: 0.2, 21: 0.2, 1000: 0.2}
    assert {t: s(t) for t in expected} == pytest.approx(expected)
    endless = schedules.cyclic(period=10)
    assert [endless(t) for t in (10**6 - 1, 10**6)] == pytest.approx([_cosine(0.9), 1.0])


def test_cyclic_then_anneal_at_its_boundaries() -> None:
    s = schedules.cyclic_then_anneal(period=10, stop=25, floor=0.0, final=0.01)
    expected = {20: 1.0, 24: _cosine(0.4), 25: 0.01, 26: 0.01, 10_000: 0.01}
    assert {t: s(t) for t in expected} == pytest.approx(expected)
    soft = schedules.cyclic_then_anneal(period=10, stop=25, floor=0.0, final=0.0, anneal=4)
    start = _cosine(0.4)
    expected = {24: start, 25: start, 27: start / 2, 29: 0.0, 30: 0.0}
    assert {t: soft(t) for t in expected} == pytest.approx(expected)


def test_delayed_and_join_count_from_their_own_start() -> None:
    s = schedules.delayed(5, 0.02, schedules.linear(10, 1.0, 0.0))
    assert [s(t) for t in (0, 4, 5, 10, 15)] == pytest.approx([0.02, 0.02, 1.0, 0.5, 0.0])
    joined = schedules.join([float, float, float], [3, 7])
    assert [joined(t) for t in (0, 2, 3, 6, 7, 9)] == [0, 2, 0, 3, 0, 2]
    assert schedules.delayed(0, 0.5, schedules.constant())(0) == 1.0


def test_growing_cycles_at_their_boundaries() -> None:
    s = schedules.growing_cycles(10, peaks=[1.0, 10.0], floor=0.5)
    expected = {
        0: 1.0,
        5: 0.75,
        9: 0.5 + 0.5 * _cosine(0.9),
        10: 10.0,
        15: 5.25,
        19: 0.5 + 9.5 * _cosine(0.9),
        20: 0.5,
    }
    assert {t: s(t) for t in expected} == pytest.approx(expected)


def test_task_aligned_restarts_with_each_phase() -> None:
    config = SCHEDULES["task_aligned"].from_mapping({"kind": "task_aligned"})
    s = config.build(CLOCK)
    expected = {0: 1.0, 39: _cosine(39 / 40), 40: 1.0, 41: _cosine(1 / 60), 99: _cosine(59 / 60)}
    assert {t: s(t) for t in expected} == pytest.approx(expected)


def test_single_cycle_spans_the_phases() -> None:
    s = SCHEDULES["single_cycle"].from_mapping({"kind": "single_cycle"}).build(CLOCK)
    assert [s(t) for t in (0, 50, 100)] == pytest.approx([1.0, 0.5, 0.0])


class AlarmAt:
    """A trigger that alarms at given calls."""

    def __init__(self, *calls: int) -> None:
        self.calls, self.count = calls, -1

    def observe(self, loss: float) -> bool:
        self.count += 1
        return self.count in self.calls

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


def test_triggered_restarts_on_the_update_after_an_alarm() -> None:
    s = schedules.Triggered(AlarmAt(3), schedules.linear(10, 1.0, 0.0))
    seen = []
    for step in range(6):
        seen.append(s(step))
        s.observe(step, [0.0])
    assert seen == pytest.approx([1.0, 0.9, 0.8, 0.7, 1.0, 0.9])
    assert s.alarms == [3]


def test_triggered_continues_from_its_state_and_respects_its_limit() -> None:
    first = schedules.Triggered(AlarmAt(1, 2, 4), schedules.linear(10), limit=2)
    for step in range(3):
        first.observe(step, [0.0])
    second = schedules.Triggered(AlarmAt(1, 2, 4), schedules.linear(10), limit=2)
    second.load_state_dict(first.state_dict())
    for step in range(3, 6):
        assert second(step) == first(step)
        assert second.observe(step, [0.0]) == first.observe(step, [0.0])
    assert second.alarms == [1, 2]


def test_a_detector_may_only_watch() -> None:
    config = SCHEDULES["triggered"].from_mapping(
        {
            "kind": "triggered",
            "trigger": {"kind": "cusum", "window": 3, "lag": 1, "h": 2.0},
            "then": "constant",
        }
    )
    s = config.build(CLOCK)
    assert isinstance(s, schedules.Triggered)
    readings = []
    for step, loss in enumerate([0.1] * 8 + [10.0] * 2):
        assert s(step) == 1.0
        s.observe(step, [loss])
        readings.append(s.readings()["cusum_statistic"])
    assert s.alarms == [8]  # z is cut to 4, and 4 - 1 is above 2
    assert readings == [0.0] * 10  # after an alarm it starts again


def test_triggers_need_not_say_where_they_stand() -> None:
    assert schedules.Triggered(AlarmAt(3), schedules.linear(10)).readings() == {}


@given(
    total=st.integers(2, 10_000),
    share=st.floats(0.01, 0.99),
    kind=st.sampled_from(["warmup_cosine", "cyclic", "single_cycle", "task_aligned", "linear"]),
    step=st.integers(0, 20_000),
)
def test_multipliers_stay_between_floor_and_peak(
    total: int, share: float, kind: str, step: int
) -> None:
    clock = Clock(total, starts=(0, max(1, int(share * total))))
    assert 0.0 <= SCHEDULES[kind].from_mapping({"kind": kind}).build(clock)(step) <= 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.cyclic(0), "period: got 0"),
        (lambda: schedules.cyclic(5, 0), "cycles: got 0"),
        (lambda: schedules.warmup_cosine(10, 10), "warmup: got 10"),
        (lambda: schedules.linear(0), "length: got 0"),
        (lambda: schedules.join([float], [3]), "boundaries: got 1"),
        (lambda: schedules.join([float, float, float], [3, 3]), "boundaries: got"),
        (lambda: schedules.cyclic_then_anneal(10, 0), "stop: got 0"),
    ],
)
def test_impossible_lengths_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"kind": "cyclic_then_anneal", "period": 10}, "stop"),
        ({"kind": "cyclic_then_anneal", "period": 10, "stop": 5, "cycles": 1}, "stop"),
        ({"kind": "delayed", "offset": 10, "low": -0.1}, "low"),
        ({"kind": "cyclic", "period": -1}, "period"),  # as it is written
        ({"kind": "cyclic", "period": {"steps": -1}}, "period.steps"),
        ({"kind": "warmup_cosine", "length": {"fraction": 1.5}}, "length.fraction"),
        ({"kind": "growing_cycles", "peaks": []}, "peaks"),
    ],
)
def test_bad_settings_name_their_key(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        SCHEDULES[config["kind"]].from_mapping(config)
    assert error.value.key == key


def test_units_that_a_task_lacks_are_refused() -> None:
    config = SCHEDULES["cyclic"].from_mapping({"kind": "cyclic", "period": {"frames": 100}})
    with pytest.raises(ConfigError, match="period"):
        config.build(CLOCK)
    delayed = SCHEDULES["delayed"].from_mapping({"kind": "delayed", "offset": 100, "low": 0.1})
    with pytest.raises(ConfigError, match="offset"):
        delayed.build(CLOCK)


@pytest.mark.parametrize("total", [113, 100, 7, 1])
@pytest.mark.parametrize("fraction", [0.25, 0.1, 1 / 3])
def test_a_period_that_is_a_fraction_begins_no_cycle_just_before_the_end(
    total: int, fraction: float
) -> None:
    period = Clock(total).period(Duration(fraction=fraction))
    cycles = -(-total // period)
    assert cycles <= round(1 / fraction)
    assert period - 1 < fraction * total <= period + 1e-6


def test_a_fraction_of_the_passage_after_the_cycles_is_of_what_is_left() -> None:
    cycles = {"kind": "cyclic_then_anneal", "period": {"fraction": 0.25}, "floor": 0.5}
    for stop in ({"cycles": 3}, {"stop": {"fraction": 0.75}}):
        for share, end in ((1.0, 200), (0.5, 175)):
            config = SCHEDULES["cyclic_then_anneal"].from_mapping(
                {**cycles, **stop, "final": 0.0, "anneal": {"fraction": share}}
            )
            rate = config.build(Clock(total=200))
            assert rate(150) > rate(end - 1) > rate(end) == 0.0
