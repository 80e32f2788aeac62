"""Experiments made up in memory, for the claims' functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from suite.report.claims.base import CLAIMS, Verdict, judge
from suite.report.experiment import Experiment, Repetition

Points = Sequence[tuple[float, float]]
"""Steps and values."""

Arm = tuple[Mapping[str, Any], Mapping[tuple[str, str], Points]]
"""Config, and points by (metric, layer)."""


def made_up(*seeds: Mapping[str, Arm]) -> Experiment:
    """Return an experiment with the given arms for each seed."""
    repetitions = []
    for number, arms in enumerate(seeds):
        rows = {}
        for arm, (_, metrics) in arms.items():
            flat = [(m, k, s, v) for (m, k), points in metrics.items() for s, v in points]
            rows[arm] = pd.DataFrame(flat, columns=["metric", "layer", "step", "value"])
        runs = {("task", arm): arm for arm in arms}
        configs = {arm: config for arm, (config, _) in arms.items()}
        repetitions.append(Repetition(number, runs, configs, rows))
    return Experiment("made_up", "small", repetitions)


@pytest.fixture
def verdict_of() -> Callable[..., Verdict]:
    """Return a function from a claim's id and the arms of each seed to the verdict."""

    def judged(claim: str, *seeds: Mapping[str, Arm]) -> Verdict:
        return judge(CLAIMS[claim], made_up(*seeds), "small")

    return judged
