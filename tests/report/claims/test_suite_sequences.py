"""Our own claims on permuted Catch, on made-up returns of visits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suite.report.claims.base import Verdict

Judge = Callable[..., Verdict]
NOISE = (-0.01, 0.0, 0.01)
ARMS: dict[str, dict[str, Any]] = {
    "constant": {"schedule": {"kind": "constant", "value": 1.0}},
    "constant_low": {"schedule": {"kind": "constant", "value": 0.016}},
    "aligned": {"schedule": {"kind": "task_aligned"}},
    "misaligned": {"schedule": {"kind": "cyclic", "period": 4900}},
    "cusum": {"schedule": {"kind": "triggered", "trigger": {"kind": "cusum"}}},
    "fresh": {"schedule": {"kind": "constant", "value": 1.0}},
}


def seed_of(noise: float = 0.0, **scores: float) -> dict[str, Any]:
    """Return all arms of a seed, with a score of a half if none is given.

    Args:
        noise: added to the scores that are given.
        scores: by norms and arm, such as ``nap_constant``.
    """
    found = {}
    for norms in ("nap", "free"):
        for arm, of in ARMS.items():
            key = f"{norms}_{arm}"
            score = scores[key] + noise if key in scores else 0.5
            config = {
                "task": {"kind": "sequential", "switch": {"fresh_network": arm == "fresh"}},
                "interventions": [{"kind": "nap"}] if norms == "nap" else [],
                **of,
            }
            # Early visits, and single ones, do not count.
            points = {("visit_return", ""): [(4, -9.0), (8, score)]}
            points["visit_return", "7"] = [(8, 99.0)]
            found[f"{norms},{arm}"] = (config, points)
    return found


@pytest.mark.parametrize(
    ("claim", "better", "worse"),
    [
        ("1a", "nap_fresh", "nap_constant"),
        ("1b", "free_fresh", "free_constant"),
        ("2a", "nap_aligned", "nap_constant"),
        ("2b", "nap_misaligned", "nap_constant"),
        ("2c", "nap_cusum", "nap_constant"),
        ("2d", "free_aligned", "free_constant"),
    ],
)
def test_the_difference_decides(verdict_of: Judge, claim: str, better: str, worse: str) -> None:
    name = f"suite.sequences.{claim}"
    holds = verdict_of(name, *(seed_of(n, **{better: 0.9}) for n in NOISE))
    assert holds.verdict == "holds"
    assert holds.effect == pytest.approx(0.4)
    fails = verdict_of(name, *(seed_of(n, **{worse: 0.9}) for n in NOISE))
    assert fails.verdict == "fails"
    assert fails.effect == pytest.approx(-0.4)
    noisy = verdict_of(name, *(seed_of(n, **{better: 0.5}) for n in (-0.3, 0.0, 0.3)))
    assert noisy.verdict == "inconclusive"
