from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from suite.clock import Clock, Duration
from suite.errors import ConfigError
from suite.run_config import MetricsConfig
from suite.training.observer import Observer, measuring_steps


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


def test_after_a_restore_nothing_old_is_looked_at() -> None:
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)) for _ in range(2)]
    probe, clock = torch.randn(8, 3), Clock(10)
    names = ("dead_units", "feature_stable_rank")
    config = MetricsConfig(every=Duration(steps=5))
    observers = [Observer(net, names, config, clock, probe) for net in nets]
    rates = {name: 0.1 for name, _ in nets[0].named_parameters()}
    first, other = (observer.measure(5, rates) for observer in observers)
    assert first != other
    nets[0].load_state_dict(nets[1].state_dict())
    observers[0].load_state_dict(observers[1].state_dict())
    assert observers[0].measure(5, rates) == other
