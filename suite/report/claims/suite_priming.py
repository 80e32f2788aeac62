"""Our own claims: whether re-warming cures a network of many updates on its first data.

After Nikishin et al. 2022, section 3.1 (heavy priming), and Lyle et al. 2025, section 6. Scores are
those of `suite.report.claims.control`, at fixed times late in a run. All arms but one are primed.
All have one peak rate, the best of the unprimed arm; a constant rate is there a second time, at the
rate that is best for it after the priming.
"""

from __future__ import annotations

from suite.report.claims.base import above, claim
from suite.report.claims.control import MOMENTS, SHARE, compared, share_of
from suite.report.claims.shared import Chosen
from suite.report.experiment import NotMeasured, Repetition

HARM = 0.2
"""Share of the score that heavy priming is to cost before there is anything to cure; ours."""

MOMENT = "fixed"
SCORE = f"{SHARE}, {MOMENTS[MOMENT]}"
OURS = "ours, after Nikishin et al. 2022, section 3.1, and Lyle et al. 2025, section 6"

NORMS: dict[str, Chosen] = {
    "NaP": {"interventions.nap.kind": "nap"},
    "free norms": {"interventions.nap": None},
}
UNPRIMED: Chosen = {"task.priming.updates": 0}
STEADY: Chosen = {
    "schedule.kind": "constant",
    "schedule.value": 1.0,
    "interventions.reset": None,
    "task.priming.updates": 20_000,
}
LOW: Chosen = {"schedule.then.kind": "constant"}
STOPPED: Chosen = {"schedule.then.kind": "cyclic_then_anneal"}
CUSUM: Chosen = {"schedule.trigger.kind": "cusum"}
ONCE: Chosen = {"schedule.kind": "constant", "interventions.reset.at_phases": True}


def peak(seed: Repetition, norms: Chosen) -> Chosen:
    """Return the peak rate that all arms with these norms have but one."""
    of = next(iter(seed.by_task().values()))
    return {"optimizer.lr": of.setting(of.arm(UNPRIMED | norms), "optimizer.lr")}


def own_rate(seed: Repetition, norms: Chosen) -> Chosen:
    """Return the rate of the constant arm that has one of its own.

    Raises:
        NotMeasured: unless there is one.
    """
    of = next(iter(seed.by_task().values()))
    rates = {rate for (rate,) in of.grid("optimizer.lr", where=STEADY | norms)}
    rates.discard(peak(seed, norms)["optimizer.lr"])
    if len(rates) != 1:
        raise NotMeasured("a constant arm at a rate of its own")
    return {"optimizer.lr": rates.pop()}


def gain(seed: Repetition, settings: Chosen, to: Chosen, norms: Chosen) -> float:
    """Return the score of an arm less that of another, both with these norms at one peak."""
    common = norms | peak(seed, norms)
    scores = [share_of(seed, common | arm, MOMENT) for arm in (settings, to)]
    return scores[0] - scores[1]


def harm(letter: str, name: str) -> None:
    """Register the claim that priming costs a constant rate a fifth or more."""

    def lost(seed: Repetition) -> float:
        norms = NORMS[name]
        return 1 - compared(seed, STEADY | norms | peak(seed, norms), UNPRIMED | norms, MOMENT)

    claim(
        f"suite.priming.1{letter}",
        experiment="priming",
        says=f"Heavy priming costs a constant rate with {name} more than a fifth",
        statistic=f"{SCORE}: 1 less the ratio of the primed to the unprimed, {name}",
        holds=above(HARM),
        source=OURS,
    )(lost)


harm("a", "NaP")
harm("b", "free norms")


def higher(letter: str, what: str, settings: Chosen, than: str, to: Chosen) -> None:
    """Register the claim that with NaP a primed arm scores higher than another."""

    def difference(seed: Repetition) -> float:
        return gain(seed, settings, to, NORMS["NaP"])

    claim(
        f"suite.priming.2{letter}",
        experiment="priming",
        says=f"After heavy priming with NaP, the score is higher with {what} than with {than}",
        statistic=f"{SCORE}: {what}, less {than}; NaP, primed",
        holds=above(0.0),
        source=OURS,
    )(difference)


higher("a", "cycles and then a low rate", STOPPED, "a constant high rate", STEADY)
higher("b", "cycles and then a low rate", STOPPED, "a constant low rate", LOW)
higher("c", "a rate raised by CUSUM", CUSUM, "a constant high rate", STEADY)
higher("d", "one reset at the end of the priming", ONCE, "a constant high rate", STEADY)
higher("e", "cycles and then a low rate", STOPPED, "one reset at the end of the priming", ONCE)


@claim(
    "suite.priming.2f",
    experiment="priming",
    says="After heavy priming with NaP, cycles and then a low rate score higher than a constant "
    "rate that is best after it",
    statistic=f"{SCORE}: cycles and then a low rate, less a constant rate chosen for the primed "
    "network; NaP, primed",
    holds=above(0.0),
    source=OURS,
)
def beats_its_own_rate(seed: Repetition) -> float:
    """See the claim."""
    norms = NORMS["NaP"]
    return gain(seed, STOPPED, STEADY | own_rate(seed, norms), norms)


@claim(
    "suite.priming.3",
    experiment="priming",
    says="After heavy priming cycles and then a low rate gain more with NaP than with free norms",
    statistic=f"{SCORE}: cycles and then a low rate, less a constant high rate; with NaP, less "
    "that with free norms",
    holds=above(0.0),
    source=OURS,
)
def nap_gains_more(seed: Repetition) -> float:
    """See the claim."""
    gains = [gain(seed, STOPPED, STEADY, norms) for norms in NORMS.values()]
    return gains[0] - gains[1]
