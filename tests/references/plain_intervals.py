"""95% intervals of a mean by hand, in plain floats: the closed forms of t at 2 and 4 degrees."""

from __future__ import annotations

import math
from collections.abc import Sequence

TAIL = 0.975


def t_quantile(degrees: int) -> float:
    """Return the 97.5% quantile of Student's t (Shaw 2006, section 3) for 2 or 4 degrees."""
    a = 4 * TAIL * (1 - TAIL)
    if degrees == 2:
        return 2 * (TAIL - 0.5) * math.sqrt(2 / a)
    assert degrees == 4
    return 2 * math.sqrt(math.cos(math.acos(math.sqrt(a)) / 3) / math.sqrt(a) - 1)


def t_interval(
    values: Sequence[float], lower: float = -math.inf, upper: float = math.inf
) -> tuple[float, float, float]:
    """Return mean and interval of 3 or 5 values, cut to what is possible."""
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    margin = t_quantile(n - 1) * math.sqrt(variance / n)
    return mean, max(lower, mean - margin), min(upper, mean + margin)


def log_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of 3 or 5 values and the interval of its logarithm, taken back."""
    mean, lo, hi = t_interval([math.log(value) for value in values])
    return math.exp(mean), math.exp(lo), math.exp(hi)
