"""What claims on several papers read of an arm's config."""

from __future__ import annotations

from suite.report.experiment import NotMeasured, Repetition


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
