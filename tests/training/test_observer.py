from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.clock import Clock
from suite.errors import ConfigError
from suite.run_config import MetricsConfig
from suite.training.observer import measuring_steps


@given(total=st.integers(1, 10**6), every=st.integers(1, 10**6))
def test_linear_measuring_steps(total: int, every: int) -> None:
    every = max(every, total // 1000 + 1)
    steps = measuring_steps(MetricsConfig.from_mapping({"every": every}), Clock(total))
    assert steps[0] == 0
    assert steps[-1] == total
    assert all(b - a == every for a, b in itertools.pairwise(steps[:-1]))


@given(total=st.integers(2, 10**7))
def test_log_measuring_steps(total: int) -> None:
    steps = measuring_steps(MetricsConfig.from_mapping({"spacing": "log"}), Clock(total))
    assert steps[:2] == [0, 1]
    assert steps[-1] == total
    assert steps == sorted(set(steps))
    assert len(steps) <= 101


def test_unknown_metrics_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"names\[1\]: got 'accurcy'; expected 'accuracy'"):
        MetricsConfig.from_mapping({"names": ["loss", "accurcy"]})
