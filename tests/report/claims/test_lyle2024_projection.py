"""Claims on how projection is done, on made-up accuracies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
NOISE = (-0.0002, 0.0, 0.0002)


def arm(nap: dict[str, Any], mean: float, tasks: tuple[float, ...]) -> Any:
    """Return an arm of four tasks of 100 updates."""
    config = {"interventions": [{"kind": "nap", "every": 1, "which": "invariant", **nap}]}
    ends = [100, 200, 300, 400]
    points = {
        ("phase", ""): [(0, 0), (100, 1), (200, 2), (300, 3)],
        ("average_online_accuracy", ""): list(zip(ends, (0.1, 0.2, 0.3, mean), strict=True)),
        **by_task(tasks),
    }
    return config, points


def by_task(accuracies: Iterable[float]) -> dict[tuple[str, str], Any]:
    """Return the rows that a stream writes: the number of a task is the layer."""
    return {
        ("task_online_accuracy", str(k)): [(100 * (k + 1), value)]
        for k, value in enumerate(accuracies)
    }


TASKS = (0.50, 0.52, 0.51, 0.53)
"""Beside ``FLAT``, differences of 2, -1 and 2 hundredths from task to task: variance 1.5e-4.

That is (4 + 1 + 4) / 6 hundredths squared; a mean over four tasks has a fourth of it.
"""

FLAT = (0.5,) * 4
ERROR = 3.75e-5**0.5


@pytest.mark.parametrize(
    ("claim", "key", "values", "gap", "verdict"),
    [
        ("7", "every", (1, 100, 1000), 0.01, "holds"),
        ("7", "every", (1, 100, 1000), -0.02, "fails"),
        ("12", "which", ("invariant", "matrices"), -0.02, "holds"),
        ("12", "which", ("invariant", "matrices"), 0.01, "fails"),
    ],
)
def test_differences_are_measured_in_standard_errors_of_paired_means_over_tasks(
    verdict_of: Judge, claim: str, key: str, values: tuple[Any, ...], gap: float, verdict: str
) -> None:
    def seed(noise: float) -> dict[str, Any]:
        arms = {str(v): arm({key: v}, 0.9, (0.1, 0.9, 0.1, 0.9)) for v in values}
        arms[str(values[0])] = arm({key: values[0]}, 0.515, TASKS)
        arms[str(values[-1])] = arm({key: values[-1]}, 0.515 + gap + noise, FLAT)
        return arms

    found = verdict_of(f"lyle2024.{claim}", *map(seed, NOISE))
    assert found.effect == pytest.approx(abs(gap) / ERROR)
    assert found.verdict == verdict


def test_more_tasks_measure_a_difference_more_finely(verdict_of: Judge) -> None:
    """Without a difference the statistic stays of one size, and with one it grows as sqrt(n)."""
    draws = np.random.default_rng(0)

    def effect(tasks: int, gap: float) -> float:
        seeds = []
        for _ in range(200):
            one, other = draws.normal([[0.5], [0.5 + gap]], 0.01, (2, tasks))
            seeds.append({"a": stream({"every": 1}, one), "b": stream({"every": 10}, other)})
        found = verdict_of("lyle2024.7", *seeds).effect
        assert found is not None
        return found

    usual = math.sqrt(2 / math.pi)  # mean of |z| of a standard normal
    assert effect(25, 0.0) == pytest.approx(usual, rel=0.2)
    assert effect(100, 0.0) == pytest.approx(usual, rel=0.2)
    assert effect(25, 0.03) == pytest.approx(3 * math.sqrt(25 / 2), rel=0.1)
    assert effect(100, 0.03) == pytest.approx(3 * math.sqrt(100 / 2), rel=0.1)


def stream(nap: dict[str, Any], accuracies: np.ndarray[Any, Any]) -> Any:
    """Return an arm with these accuracies on its tasks, of 100 updates each."""
    config = {"interventions": [{"kind": "nap", **nap}]}
    ends = [100 * (k + 1) for k in range(len(accuracies))]
    points = {
        ("phase", ""): [(end - 100, k) for k, end in enumerate(ends)],
        ("average_online_accuracy", ""): [(ends[-1], accuracies.mean())],
        **by_task(accuracies),
    }
    return config, points


@pytest.mark.parametrize("claim", ["7", "12"])
def test_a_seed_without_the_arms_or_without_scatter_is_not_counted(
    verdict_of: Judge, claim: str
) -> None:
    alone = {"a": arm({}, 0.5, TASKS)}
    assert verdict_of(f"lyle2024.{claim}", alone).verdict == "not run"
    changes = {"every": 10, "which": "matrices"}
    pair = {"a": arm({}, 0.5, TASKS), "b": arm(changes, 0.6, TASKS)}
    found = verdict_of(f"lyle2024.{claim}", pair)
    assert found.verdict == "not run"
    assert "vary from task to task" in found.why
    pair["b"] = arm(changes, 0.6, TASKS[:3])
    assert "the same tasks" in verdict_of(f"lyle2024.{claim}", pair).why
