"""Losses since the last measurement."""

import math

import pytest
import torch

from suite.errors import DivergedError
from suite.training.loss_log import JOIN, LossLog


def test_scalars_and_runs_of_steps_have_one_mean() -> None:
    log = LossLog()
    assert not log
    log.add(torch.tensor(1.0))
    log.add(torch.tensor([2.0, 6.0]))
    assert log.values().tolist() == [1.0, 2.0, 6.0]
    again = LossLog()
    again.load(log.values())
    assert log.mean() == again.mean() == 3.0
    assert not log
    assert log.values().tolist() == []


def test_the_first_step_from_which_on_no_loss_is_finite_is_named() -> None:
    log = LossLog("TD loss")
    log.check(0)
    log.add(torch.tensor([1.0, math.nan, 2.0]))
    log.check(13)  # it came back
    log.add(torch.tensor([math.inf, math.nan]))
    with pytest.raises(DivergedError, match="the TD loss is nan at gradient step 13"):
        log.check(15)


def test_all_lost() -> None:
    log = LossLog()
    log.add(torch.tensor([math.nan, math.nan]))
    with pytest.raises(DivergedError, match="training loss is nan at gradient step 5"):
        log.check(7)


def test_many_losses_are_few_tensors_with_the_same_values() -> None:
    log, values = LossLog(), torch.randn(3 * JOIN + 5)
    for step, value in enumerate(values.tolist()):
        log.add(torch.tensor(value))
        log.check(step + 1)
    assert len(log._parts) + len(log._joined) <= JOIN + 3
    assert torch.equal(log.values(), values)
    assert log.mean() == values.mean().item()
    assert not log
    log.add(torch.tensor(2.0))
    assert log.mean() == 2.0
