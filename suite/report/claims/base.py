"""What a claim is: a statistic of each repetition, and the region in which the claim holds.

::

    @claim(
        "lyu2024.3",
        experiment="lyu2024_fig2c",
        says="The step of 50% test accuracy is inversely proportional to the weight decay",
        statistic="largest over smallest decay times step of 50% test accuracy",
        holds=below(1.3),
        source="Lyu et al. 2024, Fig. 2c and Theorem 3.5; 30% is ours",
    )
    def inverse_to_decay(seed: Repetition) -> float: ...

The unit of repetition is the seed. With the statistics of n seeds the effect is their mean, with
the interval of `suite.report.statistics.statistics` (Student's t up to ten seeds, bootstrap above;
none below three), or, for a statistic that is true or false, the share of seeds in which it is
true, with the exact interval of Clopper and Pearson. The verdict compares the interval with the
region:

- holds: the interval lies wholly inside;
- fails: wholly outside;
- inconclusive: neither, or there is no interval;
- not run: no repetition has what the statistic needs.

Regions are fixed with the code, before the runs. A statistic never picks a best seed. Of one that
takes in times that were not reached within the run only bounds are known
(`suite.report.statistics.censored`). If all that it can be lies inside the region, or all outside,
the bound that is nearer to the threshold counts; else the seed is left out and the verdict is
inconclusive. A seed counts once all its arms are complete: of some a claim might be told that the
others contradict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest

from suite.errors import ConfigError
from suite.registry import Registry
from suite.report.experiment import (
    Ambiguous,
    Experiment,
    NotMeasured,
    Repetition,
    Scale,
    Undetermined,
)
from suite.report.statistics.censored import Censored
from suite.report.statistics.statistics import CONFIDENCE, estimate

Statistic = Callable[[Repetition], float | bool | Censored]
Judgement = Literal["holds", "fails", "inconclusive", "not run"]


@dataclass(frozen=True)
class Region:
    """The values between `lo` and `hi`, both excluded, for which a claim holds."""

    lo: float = -math.inf
    hi: float = math.inf

    def __str__(self) -> str:
        """Return for instance ``> 1.25``, or ``0.09 to 0.11``."""
        if math.isinf(self.hi):
            return f"> {self.lo:g}"
        return f"< {self.hi:g}" if math.isinf(self.lo) else f"{self.lo:g} to {self.hi:g}"

    def judge(self, lo: float, hi: float) -> Judgement:
        """Return the verdict on an effect whose interval is from `lo` to `hi`."""
        if self.lo < lo and hi < self.hi:
            return "holds"
        return "fails" if hi <= self.lo or lo >= self.hi else "inconclusive"

    def settle(self, value: Censored) -> float:
        """Return the number if it is known, else the end of it that is nearer to a threshold.

        Raises:
            Undetermined: if it may lie inside and outside.
        """
        if value.exact:
            return value.lo
        if value.hi <= self.lo or (self.lo == -math.inf and value.hi < self.hi):
            return value.hi
        if value.lo >= self.hi or (self.hi == math.inf and value.lo > self.lo):
            return value.lo
        raise Undetermined("the end of a run that was too short")


def above(threshold: float) -> Region:
    """Return the region above a threshold."""
    return Region(lo=threshold)


def below(threshold: float) -> Region:
    """Return the region below a threshold."""
    return Region(hi=threshold)


def between(lo: float, hi: float) -> Region:
    """Return the region between two thresholds."""
    return Region(lo, hi)


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        id: ``paper.number``, a letter behind it where one item of a list makes several claims.
        experiment: the runs that it is about, see `suite.report.experiment`.
        says: what is claimed, in a sentence.
        statistic: what is computed of each seed, in words.
        holds: where.
        source: of the claim and of the threshold.
        function: the statistic.
    """

    id: str
    experiment: str
    says: str
    statistic: str
    holds: Region
    source: str
    function: Statistic

    @property
    def paper(self) -> str:
        """The paper's short name."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Verdict:
    """What came out for one claim at one scale.

    Attributes:
        claim: the claim.
        scale: published or small.
        effect: mean or share over seeds, None if not run.
        lo: lower end of its 95% interval, None without one.
        hi: upper end.
        n: seeds.
        left_out: seeds that lack what the statistic needs, or an arm, or were not run yet.
        verdict: holds, fails, inconclusive or not run.
        why: what the first seed that was left out lacks, or that nothing was run, "" otherwise.
        changed: what ``--set`` changed: not the experiment as it is shipped.
        kept: whether it is an earlier board's, and the claim is worded as it was there.
    """

    claim: Claim
    scale: Scale
    effect: float | None
    lo: float | None
    hi: float | None
    n: int
    left_out: tuple[int, ...]
    verdict: Judgement
    why: str = ""
    changed: tuple[str, ...] = ()
    kept: bool = False


CLAIMS: Registry[Claim] = Registry("claim", "suite.report.claims")


def claim(
    id: str, *, experiment: str, says: str, statistic: str, holds: Region, source: str
) -> Callable[[Statistic], Statistic]:
    """Return a decorator that registers the statistic of a claim."""

    def add(function: Statistic) -> Statistic:
        CLAIMS.register(id)(Claim(id, experiment, says, statistic, holds, source, function))
        return function

    return add


def in_order() -> list[Claim]:
    """Return all claims, paper by paper: 2 before 10, 1a before 1b, numbers before words."""
    return sorted(CLAIMS.entries().values(), key=lambda claim: _order(claim.id))


def _order(name: str) -> tuple[Any, ...]:
    """Return a key that sorts 2 before 10, 1a before 1b, numbers before words."""
    group, _, item = name.rpartition(".")
    found = re.fullmatch(r"(\D*)(\d*)(.*)", item)
    assert found is not None
    return group, found[1], int(found[2] or 0), found[3]


def judge(claim: Claim, experiment: Experiment | None, scale: Scale) -> Verdict:
    """Return the verdict on a claim.

    Args:
        claim: the claim.
        experiment: its runs, None if there are none.
        scale: of the runs.

    Raises:
        ConfigError: if the claim's function fails, or its statistic is not finite.
    """  # noqa: DOC501
    if experiment is None:
        why = f"no complete run of {claim.experiment}"
        return Verdict(claim, scale, None, None, None, 0, (), "not run", why)
    counted: dict[int, float | bool] = {}
    undetermined, why = False, ""
    for seed in experiment.repetitions:
        try:
            if seed.lacks:
                raise NotMeasured(f"{len(seed.lacks)} of the arms of seed {seed.seed}")
            counted[seed.seed] = _value(claim, seed)
        except NotMeasured as missing:
            undetermined |= isinstance(missing, Undetermined)
            why = why or f"lacks {missing}"
        except Ambiguous as several:
            why = why or str(several)
    effect, lo, hi = _effect(list(counted.values())) if counted else (None, None, None)
    judged: Judgement = "inconclusive" if counted or undetermined else "not run"
    if not undetermined and lo is not None and hi is not None:
        judged = claim.holds.judge(lo, hi)
    begun = {seed.seed for seed in experiment.repetitions}
    seeds = begun.union(experiment.planned)
    if not why and seeds > begun:
        why = f"lacks all arms of seed {min(seeds - begun)}"
    left_out, changed = tuple(sorted(seeds - counted.keys())), tuple(experiment.changed)
    return Verdict(claim, scale, effect, lo, hi, len(counted), left_out, judged, why, changed)


def _value(claim: Claim, seed: Repetition) -> float | bool:
    """Return the statistic of a seed.

    Raises:
        NotMeasured: if the seed lacks what it needs.
        Ambiguous: if several arms are what it asks for.
        ConfigError: if the claim's function fails, or its statistic is not finite.
    """
    wanted = f"a statistic that is a finite number or a truth value; seed {seed.seed} gave"
    try:
        value = claim.function(seed)
        value = claim.holds.settle(value) if isinstance(value, Censored) else value
        finite = bool(np.isfinite(value))
    except (NotMeasured, Ambiguous):
        raise
    except Exception as error:
        said = f"{wanted} {type(error).__name__}: {error}"
        raise ConfigError("claim", claim.id, said) from error
    if not finite:
        raise ConfigError("claim", claim.id, f"{wanted} {value}")
    return value


def _effect(values: list[float | bool]) -> tuple[float, float | None, float | None]:
    """Return mean or share, and its interval."""
    if all(isinstance(value, bool | np.bool_) for value in values):
        interval = binomtest(int(sum(values)), len(values)).proportion_ci(CONFIDENCE, "exact")
        return sum(values) / len(values), float(interval.low), float(interval.high)
    found = estimate([float(value) for value in values])
    assert found.mean is not None
    return found.mean, found.lo, found.hi
