"""What claims on small control problems ask of a repetition: returns as a share of the possible.

Arms are compared within a seed by returns as a share of what is possible, from the lowest (0) to
the highest return (1), averaged over the environments.
"""

from __future__ import annotations

import numpy as np

from suite.report.claims.games import over
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition
from suite.report.statistics.late_scores import (
    EVALUATION,
    FIXED,
    PART,
    RANDOM,
    LateScores,
    late_scores,
)

POSSIBLE = {"Acrobot-v1": (-500.0, 0.0), "CartPole-v1": (0.0, 500.0), "Catch-v0": (-1.0, 1.0)}
"""Lowest and highest return of an episode, by environment."""

MOMENTS = {
    "final": "at the end",
    "fixed": f"mean at {FIXED} fixed times of the last {PART:.0%} of the run",
    "random": f"mean at {RANDOM} random times of the last {PART:.0%} of the run",
}
"""When a run is scored: see `suite.report.statistics.late_scores`."""

SEEN = {"final": "at the end", "fixed": "at fixed times", "random": "at random times"}
"""The same in short."""

SHARE = "return as a share of what is possible, mean over environments"


def share_of(seed: Repetition, settings: Chosen, moment: str) -> float:
    """Return the score of an arm at some moment, 0 to 1, mean over environments.

    Raises:
        NotMeasured: if the possible returns of an environment are not known.
    """
    shares = []
    for task, of in seed.by_task().items():
        arm = of.arm(settings)
        env = str(of.setting(arm, "task.env"))
        if env not in POSSIBLE:
            raise NotMeasured(f"the possible returns of {env} in {task!r}")
        lowest, highest = POSSIBLE[env]
        found: LateScores = late_scores(of.track(arm, EVALUATION, over="frames"), seed.seed)
        shares.append((getattr(found, moment) - lowest) / (highest - lowest))
    return float(np.mean(shares))


def compared(seed: Repetition, settings: Chosen, to: Chosen, moment: str) -> float:
    """Return the score of one arm over that of another."""
    return over(share_of(seed, settings, moment), share_of(seed, to, moment))
