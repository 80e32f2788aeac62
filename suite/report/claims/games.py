"""What claims on Atari ask of a repetition: scores of its games, human-normalised."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suite.atari.scores import REFERENCES, human_normalised
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition, Undetermined
from suite.report.statistics.aggregate import interquartile_mean


def by_game(seed: Repetition) -> dict[str, Repetition]:
    """Return a repetition for each game, in the order of the sweep.

    Raises:
        NotMeasured: if a task is no game with a human score.
    """
    found = {}
    for task, of in seed.by_task().items():
        game = check_game(str(of.setting(of.arms[0], "task.game")))
        if game in found:
            raise NotMeasured(f"a game of its own in {task!r}, not {game} again")
        found[game] = of
    return found


def check_game(game: str) -> str:
    """Return a game as it is.

    Raises:
        NotMeasured: if it has no human score.
    """
    if game not in REFERENCES:
        raise NotMeasured(f"a human score of {game!r}")
    return game


def score(seed: Repetition, arm: str) -> float:
    """Return the score of a run: its last evaluation, without any its last games of training."""
    evaluated = arm not in seed.arms_with({"task.evaluation": None})
    return seed.track(arm, "evaluation_return" if evaluated else "mean_return_20").last


def scores(seed: Repetition, settings: Chosen) -> dict[str, float]:
    """Return the human-normalised score of the one arm with these settings, by game."""
    return {
        game: human_normalised(game, score(of, of.arm(settings)))
        for game, of in by_game(seed).items()
    }


def mean(values: Mapping[str, float]) -> float:
    """Return the mean over games."""
    return float(np.mean(list(values.values())))


def iqm(values: Mapping[str, float]) -> float:
    """Return the interquartile mean over games, see `suite.report.statistics.aggregate`."""
    return float(interquartile_mean(np.array([list(values.values())])))


def over(score: float, other: float) -> float:
    """Return a score over another.

    Raises:
        Undetermined: if the other one is not above zero, where the scale of scores begins. To leave
            such a seed out would favour the arm that is divided by.
    """
    if other <= 0:
        raise Undetermined("a score above zero in the arm that is divided by")
    return score / other


def gain(seed: Repetition, settings: Chosen, than: Chosen) -> float:
    """Return by how much the mean score of one arm is above that of another."""
    return mean(scores(seed, settings)) - mean(scores(seed, than))
