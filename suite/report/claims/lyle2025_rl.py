"""Claims of Lyle et al. 2025, section 6: cycles and resets in deep Q-learning, Figs. 6, 7 and 12.

Scores are human-normalised. The paper aggregates over all runs and games at once; a statistic here
is of one seed, over its games.
"""

from __future__ import annotations

import numpy as np

from suite.report.claims.base import above, below, between, claim
from suite.report.claims.games import by_game, gain, iqm, over, scores
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition, Track

ONE_CYCLE = 1.15
"""Least ratio of one cycle to the constant rate: lower end of its interval, 3.50, over the upper
end of the other's, 3.04, in Fig. 6 left. The ratio of the points is 1.32."""

FOUR_CYCLES = 1.09
"""The same for four cycles, 3.32 over 3.04; the ratio of the points is 1.23."""

RESETS = (0.90, 1.11)
"""Ratios of resets to the constant rate that the intervals in Fig. 6 left allow: 2.73 over 3.04,
and 3.03 over 2.73. The ratio of the points is 1.00."""

NO_RESET: Chosen = {"interventions.reset": None}
RESET: Chosen = {"interventions.reset.kind": "reset"}
STEADY: Chosen = {"schedule.kind": "constant"}
ONE: Chosen = {"schedule.kind": "single_cycle"}
CYCLES: Chosen = {"schedule.kind": "cyclic"}
STOPPED: Chosen = {"schedule.kind": "cyclic_then_anneal"}
HIGH: Chosen = {"schedule.kind": "constant", "schedule.value": 1.0}
AGENTS = {"dqn": "DQN", "rainbow": "Rainbow"}

IQM = "interquartile mean over games of the final human-normalised score"
LEAST = "Lyle et al. 2025, Fig. 6 left; the threshold is the least that its intervals allow"
MEAN = "mean over games of the final human-normalised score"


def ratio(seed: Repetition, settings: Chosen, to: Chosen) -> float:
    """Return the interquartile mean of one arm over that of another."""
    return over(iqm(scores(seed, settings)), iqm(scores(seed, to)))


@claim(
    "lyle2025.11a",
    experiment="lyle2025_fig6l",
    says="At a low ratio of updates to data one cycle scores about 1.3 times as high as a constant "
    "rate",
    statistic=f"{IQM}: one cycle over constant rate",
    holds=above(ONE_CYCLE),
    source=LEAST,
)
def one_cycle_helps(seed: Repetition) -> float:
    """See the claim."""
    return ratio(seed, ONE | NO_RESET, STEADY | NO_RESET)


@claim(
    "lyle2025.11b",
    experiment="lyle2025_fig6l",
    says="At a low ratio four cycles score about 1.2 times as high as a constant rate",
    statistic=f"{IQM}: four cycles over constant rate",
    holds=above(FOUR_CYCLES),
    source=LEAST,
)
def four_cycles_help(seed: Repetition) -> float:
    """See the claim."""
    return ratio(seed, CYCLES | NO_RESET, STEADY | NO_RESET)


@claim(
    "lyle2025.11c",
    experiment="lyle2025_fig6l",
    says="At a low ratio resets make no difference at a constant rate",
    statistic=f"{IQM}: resets over none, constant rate",
    holds=between(*RESETS),
    source="Lyle et al. 2025, Fig. 6 left; the region is what the intervals there allow",
)
def resets_do_not_help(seed: Repetition) -> float:
    """See the claim."""
    return ratio(seed, STEADY | RESET, STEADY | NO_RESET)


@claim(
    "lyle2025.11d",
    experiment="lyle2025_fig6l",
    says="At a low ratio a decay to 1e-7 in place of the fourth cycle scores lower",
    statistic=f"{IQM}: three cycles and then the low rate, over four cycles",
    holds=below(1.0),
    source="Lyle et al. 2025, Fig. 11",
)
def early_stop_costs(seed: Repetition) -> float:
    """See the claim."""
    return ratio(seed, STOPPED | NO_RESET, CYCLES | NO_RESET)


@claim(
    "lyle2025.11e",
    experiment="lyle2025_fig6l",
    says="At a low ratio four cycles score lower with resets than without",
    statistic=f"{IQM}: four cycles with resets, over four without",
    holds=below(1.0),
    source="Lyle et al. 2025, Fig. 11",
)
def resets_cost_with_cycles(seed: Repetition) -> float:
    """See the claim."""
    return ratio(seed, CYCLES | RESET, CYCLES | NO_RESET)


def low(seed: Repetition) -> Chosen:
    """Return the settings of the constant low rate.

    Raises:
        NotMeasured: unless there is one constant rate below the high one.
    """
    of = next(iter(by_game(seed).values()))
    grid = of.grid("agent.kind", "schedule.value", where=STEADY)
    values = sorted({value for _, value in grid})
    if len(values) != 2 or not np.isclose(values[1], 1):
        raise NotMeasured("a constant high rate and one constant low rate")
    return STEADY | {"schedule.value": values[0]}


def stopping_beats(letter: str, agent: str, than: str, other: Chosen | None) -> None:
    """Register the claim that ten cycles and then a low rate score higher than another arm.

    Args:
        letter: of the claim.
        agent: kind of the agent.
        than: the other arm, in words.
        other: its settings; None for the constant low rate, whose value the arms say.
    """
    of: Chosen = {"agent.kind": agent}

    def gain_by_stopping(seed: Repetition) -> float:
        return gain(seed, STOPPED | of, (low(seed) if other is None else other) | of)

    claim(
        f"lyle2025.12{letter}",
        experiment="lyle2025_fig7",
        says=f"At a high ratio {AGENTS[agent]} scores higher with ten cycles and then a low rate "
        f"than with {than}",
        statistic=f"{MEAN}: ten cycles and then the low rate, less {than}; {AGENTS[agent]}",
        holds=above(0.0),
        source="Lyle et al. 2025, Fig. 7",
    )(gain_by_stopping)


stopping_beats("a", "dqn", "a constant high rate", HIGH)
stopping_beats("b", "dqn", "a constant low rate", None)
stopping_beats("c", "dqn", "cycles without end", CYCLES)
stopping_beats("d", "rainbow", "a constant high rate", HIGH)
stopping_beats("e", "rainbow", "a constant low rate", None)
stopping_beats("f", "rainbow", "cycles without end", CYCLES)


def recovery(returns: Track, event: float, stop: float) -> float:
    """Return after how many gradient steps a score is back where it was before an event.

    It is back at the first measurement, from the lowest one on, that is at least the last one
    before the event; at once if none is lower. A time that is not reached before `stop` is cut
    there.

    Args:
        returns: the score over gradient steps.
        event: gradient steps made before the event.
        stop: the next event, or the end of the run.
    """
    level = returns.at(event)
    after = returns.between(event + 1, stop)
    if float(np.min(after.values)) >= level:
        return 0.0
    lowest = int(np.argmin(after.values))
    back = np.flatnonzero(after.values[lowest:] >= level)
    return float(after.steps[lowest + back[0]] if len(back) else stop) - event


def recovery_share(seed: Repetition, arm: str, events: list[float]) -> float:
    """Return the mean of `recovery` over some events, as a share of the run."""
    returns = seed.track(arm, "mean_return_20")
    end = float(seed.track(arm, "learning_rate").steps[-1])
    ends = [*events[1:], end]
    times = [recovery(returns, event, stop) for event, stop in zip(events, ends, strict=True)]
    return float(np.mean(times)) / end


@claim(
    "lyle2025.13",
    experiment="lyle2025_fig6l",
    says="After a re-warm the score is back at its earlier level sooner than after a reset",
    statistic="time from an event to the first mean return of 20 games, from the lowest one on, "
    "that is at least the last one before it, cut at the next event, as a share of the run; mean "
    "over games and events: resets at a constant rate, less the re-warms of four cycles",
    holds=above(0.0),
    source="Lyle et al. 2025, section 6 and Fig. 12; how a time is taken is ours",
)
def rewarm_recovers_sooner(seed: Repetition) -> float:
    """See the claim.

    Raises:
        NotMeasured: unless there are as many resets as re-warms; both come at equal distances.
    """
    differences = []
    for of in by_game(seed).values():
        reset, cycles = of.arm(STEADY | RESET), of.arm(CYCLES | NO_RESET)
        layer = of.layers(reset, "reset")[0]
        events = [float(step) for step in of.track(reset, "reset", layer).steps]
        if len(events) + 1 != of.setting(cycles, "schedule.cycles"):
            raise NotMeasured("as many resets as re-warms")
        times = [recovery_share(of, arm, events) for arm in (reset, cycles)]
        differences.append(times[0] - times[1])
    return float(np.mean(differences))
