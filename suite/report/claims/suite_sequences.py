"""Our own claims: whether re-warming helps an agent that meets one problem after another.

After Lyle et al. 2024, Fig. 6 left, and Lyle et al. 2025, section 6, on permuted Catch. The score
of a run is the mean return over its last visits, as its task counts them. Nothing but the meaning
of inputs and actions changes, so what later visits lack beside fresh networks is plasticity.
"""

from __future__ import annotations

from suite.report.claims.base import above, claim
from suite.report.claims.shared import Chosen
from suite.report.experiment import Repetition

SOURCE = "ours, after Lyle et al. 2024, Fig. 6, and Lyle et al. 2025, section 6"
SCORE = "mean return over the last visits"

NAP: Chosen = {"interventions.nap.kind": "nap"}
FREE: Chosen = {"interventions.nap": None}
KEPT: Chosen = {"task.switch.fresh_network": False}
CONSTANT: Chosen = KEPT | {"schedule.kind": "constant", "schedule.value": 1.0}
FRESH: Chosen = {"task.switch.fresh_network": True}
ALIGNED: Chosen = KEPT | {"schedule.kind": "task_aligned"}
MISALIGNED: Chosen = KEPT | {"schedule.kind": "cyclic"}
CUSUM: Chosen = KEPT | {"schedule.kind": "triggered"}


def higher(number: str, says: str, norms: Chosen, arms: tuple[Chosen, Chosen], shown: str) -> None:
    """Register the claim that one arm scores higher than another with the same norms."""

    def difference(seed: Repetition) -> float:
        one, other = (seed.track(seed.arm(norms | arm), "visit_return").last for arm in arms)
        return one - other

    claim(
        f"suite.sequences.{number}",
        experiment="permuted_catch",
        says=says,
        statistic=f"{SCORE}: {shown}",
        holds=above(0.0),
        source=SOURCE,
    )(difference)


for _number, _name, _norms in (("1a", "NaP", NAP), ("1b", "free norms", FREE)):
    higher(
        _number,
        f"Later problems are learnt worse than by fresh networks, at a constant rate with {_name}",
        _norms,
        (FRESH, CONSTANT),
        f"fresh networks, less one network; {_name}, constant rate",
    )
for _number, _what, _arm in (
    ("2a", "cycles aligned with the switches", ALIGNED),
    ("2b", "cycles regardless of the switches", MISALIGNED),
    ("2c", "a rate raised by CUSUM", CUSUM),
):
    higher(
        _number,
        f"With NaP, the score is higher with {_what} than with a constant rate",
        NAP,
        (_arm, CONSTANT),
        f"{_what}, less a constant rate; NaP",
    )
higher(
    "2d",
    "With free norms, the score is higher with cycles aligned with the switches than with a "
    "constant rate",
    FREE,
    (ALIGNED, CONSTANT),
    "cycles aligned with the switches, less a constant rate; free norms",
)
