from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import schedules
from suite.clock import Clock
from suite.errors import ConfigError
from suite.rows import Event
from suite.run_config import RunConfig
from suite.schedules.adaptive_stop import is_worse
from suite.schedules.base import SCHEDULES
from suite.schedules.cusum import Cusum
from suite.training.session import MemorySession
from suite.training.supervised import SupervisedRun


def _stop(**settings: Any) -> schedules.AdaptiveStop:
    """Cycles of four steps, the first three of which are the high part (1, 0.85, 0.5, 0.15)."""
    return schedules.AdaptiveStop(**{"period": 4, "floor": 0.0, "loss_floor": 1e-12, **settings})


def _play(schedule: schedules.AdaptiveStop, losses: Iterable[float], start: int = 0) -> list[Event]:
    return [e for t, loss in enumerate(losses, start) for e in schedule.observe(t, [loss])]


def _cycles(*levels: float) -> list[float]:
    """Return losses whose logarithm is the level throughout a cycle, one cycle per level."""
    return [math.exp(level) for level in levels for _ in range(4)]


def test_until_it_stops_it_is_cyclic() -> None:
    ours = schedules.AdaptiveStop(period=10, warmup=2, floor=0.1)
    theirs = schedules.cyclic(period=10, warmup=2, floor=0.1)
    assert [ours(t) for t in range(50)] == [theirs(t) for t in range(50)]


def test_the_stop_comes_at_the_end_of_the_cycle_and_for_good() -> None:
    s = _stop(final=0.03, patience=1, k=1.0, scale_floor=0.5)
    losses = _cycles(0.0, 0.0, 0.6)
    assert _play(s, losses[:-1]) == []
    assert s.stopped is None
    assert s(12) == 1.0
    assert s.observe(11, losses[-1:]) == [Event(12, "cycling_stopped")]
    assert s.stopped == 12
    assert [s(10), s(11)] == pytest.approx([0.5, 0.5 * (1 + math.cos(0.75 * math.pi))])
    assert [s(t) for t in (12, 13, 16, 10**9)] == [0.03] * 4
    assert _play(s, _cycles(-5.0, 9.0, 9.0, 9.0), start=12) == []
    assert s(100) == 0.03


@pytest.mark.parametrize(("rise", "stops"), [(0.49, False), (0.51, True)])
def test_a_cycle_is_worse_beyond_k_deviations_and_not_below(rise: float, stops: bool) -> None:
    s = _stop(patience=1, k=2.0, scale_floor=0.25)
    _play(s, _cycles(0.0, rise))
    assert (s.stopped == 8) == stops


def test_the_spread_is_that_of_the_best_cycle_s_high_part() -> None:
    """Log-losses -1, 1 and 0 at the high steps: mean 0, deviation 1; the last step is low."""
    first = [math.exp(-1), math.exp(1), 1.0, 1e9]
    for level, stops in ((0.999, False), (1.001, True)):
        s = _stop(patience=1, k=1.0, scale_floor=1e-3)
        _play(s, [*first, *_cycles(level)])
        assert (s.stopped == 8) == stops
    assert not is_worse(1.0, 0.0, 1.0, 1.0, 1e-3)


def test_patience_counts_worse_cycles_in_a_row() -> None:
    settings = {"patience": 2, "k": 1.0, "scale_floor": 0.1}
    s = _stop(**settings)
    assert _play(s, _cycles(0.0, 1.0, 0.0, 1.0, 0.05, 1.0)) == []
    assert _play(s, _cycles(1.0), start=24) == [Event(28, "cycling_stopped")]
    s = _stop(**settings)  # each a little worse than the last, but not than the best: no
    assert _play(s, _cycles(0.0, 0.05, 0.09, 0.05, 0.09)) == []
    s = _stop(**settings)  # creeping up: compared with the best, not with the last
    assert _play(s, _cycles(0.0, 0.05, 0.12, 0.19)) == [Event(16, "cycling_stopped")]
    s = _stop(**settings)  # at the soonest
    assert _play(s, _cycles(0.0, 9.0, 9.0)) == [Event(12, "cycling_stopped")]


def test_the_rise_at_the_head_of_every_cycle_is_no_instability() -> None:
    """Where a change detector on the loss alarms."""
    rng = np.random.default_rng(0)
    s = schedules.AdaptiveStop(period=200, floor=0.01)
    cusum = Cusum()
    alarms = 0
    for t in range(2000):
        loss = float(s(t) * np.exp(-t / 2000 + 0.2 * rng.standard_normal()))
        assert s.observe(t, [loss]) == []
        alarms += cusum.observe(loss)
    assert alarms >= 5


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_stop_it_and_growing_losses_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = 0.5 * rng.standard_normal(4000)
    steady, growing = (schedules.AdaptiveStop(period=100, floor=0.01) for _ in range(2))
    assert _play(steady, np.exp(noise)) == []
    level = np.where(np.arange(4000) < 2000, 0.0, (np.arange(4000) - 2000) / 400)
    ((step, _, _, _),) = _play(growing, np.exp(noise + level))
    assert 2200 <= step <= 2600
    assert step % 100 == 0


def test_losses_that_are_not_finite_are_left_out() -> None:
    a, b = _stop(patience=1), _stop(patience=1)
    _play(a, [1.0, math.nan, 1.0, 1.0, math.inf, 9.0, 1.0, 1.0])
    _play(b, [1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 1.0, 1.0])
    assert a.stopped == b.stopped == 8
    s = _stop(patience=2)  # a cycle without any is neither worse nor better
    _play(s, [*_cycles(0.0, 9.0), *[math.nan] * 4])
    assert s.stopped is None
    _play(s, _cycles(9.0), start=12)
    assert s.stopped == 16


def test_cycles_of_different_phases_are_not_compared() -> None:
    clock = Clock(40, (0, 8))  # the second phase begins with the third cycle
    mapping = {"kind": "adaptive_stop", "period": 4, "patience": 1}
    s: Any = SCHEDULES["adaptive_stop"].from_mapping(mapping).build(clock)
    assert _play(s, _cycles(0.0, 0.0, 5.0, 5.0)) == []
    assert _play(s, _cycles(9.0), start=16) == [Event(20, "cycling_stopped")]
    within: Any = SCHEDULES["adaptive_stop"].from_mapping(mapping).build(Clock(40, (0, 6)))
    assert _play(within, _cycles(0.0, 3.0, 5.0, 5.0)) == []
    assert _play(within, _cycles(9.0), start=16) == [Event(20, "cycling_stopped")]
    first: Any = SCHEDULES["adaptive_stop"].from_mapping(mapping).build(Clock(40, (0, 2)))
    assert _play(first, _cycles(0.0, 5.0, 5.0)) == []


def test_losses_may_come_several_at_a_time() -> None:
    losses = _cycles(0.0, 0.0, 5.0, 5.0)
    one, many = _stop(), _stop()
    assert _play(one, losses) == many.observe(15, losses) == [Event(16, "cycling_stopped")]
    assert one.stopped == many.stopped == 16
    late = _stop(patience=1)  # two steps of the next cycle were made meanwhile: it ends with that
    assert late.observe(13, losses[:14]) == [Event(14, "cycling_stopped")]
    assert late.stopped == 16


@settings(max_examples=50)
@given(
    losses=st.lists(st.floats(0, 1e6) | st.just(math.nan), min_size=1, max_size=60),
    cut=st.integers(0, 60),
)
def test_it_goes_on_from_plain_state_of_a_fixed_size(losses: list[float], cut: int) -> None:
    whole, first, second = (_stop(patience=1, k=0.1) for _ in range(3))
    expected = _play(whole, losses)
    found = _play(first, losses[:cut])
    state = json.loads(json.dumps(first.state_dict()))
    assert len(json.dumps(state)) < 300
    second.load_state_dict(state)
    assert found + _play(second, losses[cut:], start=min(cut, len(losses))) == expected
    assert [second(t) for t in range(80)] == [whole(t) for t in range(80)]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "period"),
        ({"period": 4, "patience": 0}, "patience"),
        ({"period": 4, "k": -1.0}, "k"),
        ({"period": 4, "scale_floor": 0.0}, "scale_floor"),
        ({"period": 4, "final": -0.1}, "final"),
    ],
)
def test_bad_settings_name_their_key(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        SCHEDULES["adaptive_stop"].from_mapping({"kind": "adaptive_stop", **settings})
    assert error.value.key == key


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="period: got 0"):
        schedules.AdaptiveStop(0)
    with pytest.raises(ValueError, match="warmup: got 4"):
        schedules.AdaptiveStop(4, warmup=4)


def test_the_stop_is_a_row_of_the_run(smoke: Callable[..., RunConfig]) -> None:
    stop = {"kind": "adaptive_stop", "period": 2, "floor": 0.5, "final": 0.1, "patience": 1}
    config = smoke(
        schedule={**stop, "k": 0.0, "scale_floor": 1e-3}, metrics={"names": [], "every": 1}
    )
    run, session = SupervisedRun(config), MemorySession()
    schedule: Any = run.schedule
    plain = run.task.loss
    run.task.loss = lambda model, batch: plain(model, batch) * (1.0 + (run.step >= 6))  # type: ignore[method-assign]
    run.train(session)
    stopped = [row for row in session.rows if row.metric == "cycling_stopped"]
    assert [(row.step, row.value) for row in stopped] == [(schedule.stopped, 1.0)]
    assert [row.step for row in session.rows] == sorted(row.step for row in session.rows)
    lr = config.optimizer.lr
    logged = {row.step: row.value / lr for row in session.rows if row.metric == "learning_rate"}
    for t, value in logged.items():  # after t updates: the rate of update t - 1
        final = t - 1 >= schedule.stopped
        assert value == pytest.approx(0.1 if final else [1.0, 0.75][max(t - 1, 0) % 2])
