"""What claims on several papers ask of the arms' configs."""

from __future__ import annotations

from typing import Any

from suite.report.experiment import NotMeasured, Repetition

Chosen = dict[str, object]
"""Settings of arms, as `suite.report.arms.Arms.arms_with` takes them."""


def length(seed: Repetition, arm: str) -> float:
    """Return the number of gradient steps that an arm was given, whenever it ended.

    Raises:
        NotMeasured: if its budget is in another unit.
    """
    budget = seed.setting(arm, "budget")
    if not isinstance(budget, int):
        raise NotMeasured(f"a budget in gradient steps of arm {arm!r}")
    return float(budget)


def base_rate(seed: Repetition, arm: str) -> float:
    """Return the learning rate of an arm, without its schedule."""
    return float(seed.setting(arm, "optimizer.lr"))


def extremes(seed: Repetition, path: str) -> tuple[tuple[Any, str], tuple[Any, str]]:
    """Return (value, arm) of the smallest and of the largest value of a setting.

    Raises:
        NotMeasured: if all arms have the same.
    """
    found = seed.arms_by(path)
    if not found or found[0][0] == found[-1][0]:
        raise NotMeasured(f"arms of two values of {path}")
    return found[0], found[-1]
