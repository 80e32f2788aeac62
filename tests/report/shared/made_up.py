"""Experiments of made-up rows, for the data of published figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from suite.report.experiment import Experiment, Repetition


def experiment(
    arms: Mapping[str, Mapping[str, Any]], rows: Callable[[int, int], pd.DataFrame], seeds: int = 3
) -> Experiment:
    """Return an experiment with these arms.

    Args:
        arms: their configs, by name.
        rows: returns the rows of a seed and the place of an arm among the arms.
        seeds: how many there are.
    """
    repetitions = [
        Repetition(
            seed,
            {("task", arm): arm for arm in arms},
            arms,
            {arm: rows(seed, place) for place, arm in enumerate(arms)},
        )
        for seed in range(seeds)
    ]
    return Experiment("made_up", "small", repetitions)
