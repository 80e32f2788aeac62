"""Claims of Lyle et al. 2024 on Rainbow with NaP, Figs. 4, 6, 7 and 15.

Scores are human-normalised. A statistic is of one seed, over its games.
"""

from __future__ import annotations

import numpy as np

from suite.atari.scores import human_normalised
from suite.report.claims.base import above, below, between, claim
from suite.report.claims.games import check_game, gain, mean, over, scores
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition, Undetermined

WITHIN = 0.1
"""Share by which areas under the curves of NaP and of fresh networks may differ."""

HALF = 0.5
"""Share of a fresh network's area, and share of the games, that the claim on Rainbow names."""

RAINBOW: Chosen = {"model.norm": "none", "interventions.nap": None}
LAYER_NORM: Chosen = {"model.norm": "layer", "interventions.nap": None}
NAP: Chosen = {"interventions.nap.kind": "nap", "schedule.kind": "constant"}
DECAY: Chosen = {"interventions.nap.kind": "nap", "schedule.kind": "linear"}

FRESH: Chosen = {"task.switch.fresh_network": True}
KEPT: Chosen = {"task.switch.fresh_network": False}
GAINS: Chosen = {"interventions.nap.gains": "decay_to_init"}
FREE_GAINS: Chosen = {"interventions.nap.gains": "free"}

MEAN = "mean over games of the final human-normalised score"
AREA = "mean over the second visit of the human-normalised mean return of 20 games"


@claim(
    "lyle2024.8a",
    experiment="lyle2024_n5",
    says="Rainbow with NaP at a constant rate scores lower than with LayerNorm alone",
    statistic=f"{MEAN}: NaP at a constant rate, less LayerNorm",
    holds=below(0.0),
    source="Lyle et al. 2024, section 4.2 and Fig. 4",
)
def constant_rate_costs(seed: Repetition) -> float:
    """See the claim."""
    return gain(seed, NAP, LAYER_NORM)


@claim(
    "lyle2024.8b",
    experiment="lyle2024_n5",
    says="With NaP and linear decay it scores higher than with LayerNorm alone",
    statistic=f"{MEAN}: NaP with linear decay, less LayerNorm",
    holds=above(0.0),
    source="Lyle et al. 2024, section 4.2 and Fig. 4",
)
def decay_beats_layer_norm(seed: Repetition) -> float:
    """See the claim."""
    return gain(seed, DECAY, LAYER_NORM)


@claim(
    "lyle2024.8c",
    experiment="lyle2024_n5",
    says="With NaP it scores higher with linear decay than at a constant rate",
    statistic=f"{MEAN}: NaP with linear decay, less NaP at a constant rate",
    holds=above(0.0),
    source="Lyle et al. 2024, section 4.2 and Fig. 4",
)
def decay_beats_constant_rate(seed: Repetition) -> float:
    """See the claim."""
    return gain(seed, DECAY, NAP)


@claim(
    "lyle2024.8d",
    experiment="lyle2024_n7",
    says="Over single games NaP with linear decay scores highest",
    statistic=f"{MEAN}: NaP with linear decay, less the highest of plain Rainbow, LayerNorm and "
    "NaP at a constant rate",
    holds=above(0.0),
    source="Lyle et al. 2024, section 5, Figs. 6 right and 15",
)
def decay_is_best(seed: Repetition) -> float:
    """See the claim."""
    others = [mean(scores(seed, settings)) for settings in (RAINBOW, LAYER_NORM, NAP)]
    return mean(scores(seed, DECAY)) - max(others)


def decay_until(share: float) -> Chosen:
    """Return the settings of a linear decay that ends at this share of the run."""
    return DECAY | {"schedule.length.fraction": share}


QUARTER, HALF_WAY, ALL = (decay_until(share) for share in (0.25, 0.5, 1.0))


@claim(
    "lyle2024.9a",
    experiment="lyle2024_n6",
    says="A decay that ends halfway scores higher than one that ends after a quarter",
    statistic=f"{MEAN}: decay over half of the run, less decay over a quarter",
    holds=above(0.0),
    source="Lyle et al. 2024, Fig. 7; a quarter is inferred",
)
def half_beats_quarter(seed: Repetition) -> float:
    """See the claim."""
    return gain(seed, HALF_WAY, QUARTER)


@claim(
    "lyle2024.9b",
    experiment="lyle2024_n6",
    says="A decay that ends halfway scores higher than one over the whole run",
    statistic=f"{MEAN}: decay over half of the run, less decay over all of it",
    holds=above(0.0),
    source="Lyle et al. 2024, Fig. 7",
)
def half_beats_all(seed: Repetition) -> float:
    """See the claim."""
    return gain(seed, HALF_WAY, ALL)


def second_visits(seed: Repetition, settings: Chosen) -> dict[str, float]:
    """Return the area under the curve of an arm's second visit to each game, human-normalised.

    That is the mean over the visit's measurements, which are equally far apart, of the mean return
    of the last 20 games.

    Raises:
        NotMeasured: if there was no second visit, or in one no game was finished.
    """
    arm = seed.arm(settings)
    games = [check_game(str(game)) for game in seed.setting(arm, "task.games")]
    phase = seed.track(arm, "phase")
    found = {}
    for place, game in enumerate(games):
        visit = len(games) + place
        begun = phase.steps[phase.values == visit]
        if not len(begun):
            raise NotMeasured(f"a second visit to {game} of arm {arm!r}")
        after = phase.steps[phase.values == visit + 1]
        returns = seed.track(arm, "mean_return_20", game)
        stop = float(after[0]) if len(after) else float(returns.steps[-1])
        visited = returns.between(float(begun[0]) + 1, stop)
        found[game] = human_normalised(game, float(np.mean(visited.values)))
    return found


@claim(
    "lyle2024.10a",
    experiment="lyle2024_n8",
    says="In a sequence of games NaP learns a game as well as a fresh network when it comes again",
    statistic=f"{AREA}; mean over games: NaP over fresh networks",
    holds=between(1 - WITHIN, 1 + WITHIN),
    source=f"Lyle et al. 2024, Fig. 6 left; {WITHIN:.0%} is ours",
)
def nap_is_as_good_as_fresh(seed: Repetition) -> float:
    """See the claim."""
    return over(*(mean(second_visits(seed, which)) for which in (KEPT | GAINS, FRESH)))


@claim(
    "lyle2024.10b",
    experiment="lyle2024_n8",
    says="Plain Rainbow learns less than half of it on most games",
    statistic=f"{AREA}: share of the games on which plain Rainbow has less than half of a fresh "
    "network's, of those on which that is above random play",
    holds=above(HALF),
    source="Lyle et al. 2024, Fig. 6 left; half is ours",
)
def rainbow_loses_most(seed: Repetition) -> float:
    """See the claim.

    Raises:
        Undetermined: if a fresh network is above random play on no game.
    """
    fresh, plain = second_visits(seed, FRESH), second_visits(seed, KEPT | RAINBOW)
    learnt = [game for game, area in fresh.items() if area > 0]
    if not learnt:
        raise Undetermined("a game on which a fresh network scores above random play")
    return float(np.mean([plain[game] < HALF * fresh[game] for game in learnt]))


@claim(
    "lyle2024.11",
    experiment="lyle2024_n8",
    says="In a sequence of games NaP scores lower if gains and offsets do not decay to their first "
    "values",
    statistic=f"{AREA}; mean over games: NaP with free gains, less NaP with gains that decay",
    holds=below(0.0),
    source="Lyle et al. 2024, section 5",
)
def free_gains_cost(seed: Repetition) -> float:
    """See the claim."""
    free, decayed = (mean(second_visits(seed, KEPT | gains)) for gains in (FREE_GAINS, GAINS))
    return free - decayed
