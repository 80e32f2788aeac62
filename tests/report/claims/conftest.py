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

Arms = Mapping[str, Arm] | Mapping[tuple[str, str], Arm]
"""By label, or by task and label."""


def made_up(*seeds: Arms) -> Experiment:
    """Return an experiment with the given arms for each seed; frames are gradient steps."""
    repetitions = []
    for number, arms in enumerate(seeds):
        runs, configs, rows = {}, {}, {}
        for label, (config, metrics) in arms.items():
            key = label if isinstance(label, tuple) else ("task", label)
            run = runs[key] = "/".join(key)
            flat = [(m, k, s, s, v) for (m, k), points in metrics.items() for s, v in points]
            columns = ["metric", "layer", "step", "frames", "value"]
            configs[run], rows[run] = config, pd.DataFrame(flat, columns=columns)
        repetitions.append(Repetition(number, runs, configs, rows))
    return Experiment("made_up", "small", repetitions)


@pytest.fixture
def verdict_of() -> Callable[..., Verdict]:
    """Return a function from a claim's id and the arms of each seed to the verdict."""

    def judged(claim: str, *seeds: Arms) -> Verdict:
        return judge(CLAIMS[claim], made_up(*seeds), "small")

    return judged
