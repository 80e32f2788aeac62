"""The possible values of a quantity and the scale of its axis; independent of torch.

The range is declared with the quantity: of a metric in its decorator, of the engines' other rows in
`suite.rows`, and by a task for its own limits, such as the largest return of its environment. The
report gets the range from ``sweep.json``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Scale = Literal["linear", "log"]

ROUNDING = 1e-6
"""By how much of its size a value may lie beyond a bound, as sums in single precision do."""


@dataclass(frozen=True)
class Range:
    """The values that a quantity can have.

    Attributes:
        lower: the least of them; None where there is no bound.
        upper: the largest.
        scale: ``log`` for what is read by its order of magnitude; then `lower` is at least 0.

    Raises:
        ValueError: if the bounds are not finite, in the wrong order, or below 0 on a log scale.
    """

    lower: float | None = None
    upper: float | None = None
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        if not all(math.isfinite(bound) for bound in (self.lower, self.upper) if bound is not None):
            raise ValueError(f"range: got {self.lower}, {self.upper}; expected numbers or None")
        if self.low > self.high:
            raise ValueError(f"range: got {self.lower} to {self.upper}; expected lower <= upper")
        if self.scale not in ("linear", "log"):
            raise ValueError(f"scale: got {self.scale!r}; expected 'linear' or 'log'")
        if self.scale == "log" and self.low < 0:
            raise ValueError(f"range: got lower {self.lower}; expected 0 or more on a log scale")

    @property
    def low(self) -> float:
        """The least value, -inf where there is none."""
        return -math.inf if self.lower is None else self.lower

    @property
    def high(self) -> float:
        """The largest value, inf where there is none."""
        return math.inf if self.upper is None else self.upper

    @property
    def log(self) -> bool:
        """Whether it is read by its order of magnitude."""
        return self.scale == "log"

    @property
    def bounded(self) -> bool:
        """Whether it has any bound."""
        return self.lower is not None or self.upper is not None

    def difference(self) -> Range:
        """Return the range of the difference of two such values.

        >>> SHARE.difference()
        Range(lower=-1, upper=1, scale='linear')
        """
        if self.lower is None or self.upper is None:
            return ANY
        return Range(self.lower - self.upper, self.upper - self.lower)

    def through(self, rising: Callable[[float], float], scale: Scale = "linear") -> Range:
        """Return the range of a rising function of the values, read on `scale`."""
        lower = None if self.lower is None else rising(self.lower)
        upper = None if self.upper is None else rising(self.upper)
        return Range(lower, upper, scale)

    def times(self, factor: float) -> Range:
        """Return the range of the values times a positive factor."""
        return self.through(lambda value: value * factor, self.scale)

    def holding(self, least: float, largest: float) -> Range:
        """Return a range that is true of values from `least` to `largest`.

        A bound that they pass by rounding moves to them; one that they refute is dropped.

        >>> SHARE.holding(0.2, 1.5)
        Range(lower=0, upper=None, scale='linear')
        """
        lower, upper = self.lower, self.upper
        if lower is not None and least < lower:
            lower = least if lower - least <= _rounding(lower) else None
        if upper is not None and largest > upper:
            upper = largest if largest - upper <= _rounding(upper) else None
        linear = self.log and (lower is None or lower < 0)
        return Range(lower, upper, "linear" if linear else self.scale)

    def outside(self, values: Iterable[float]) -> int:
        """Return how many of the values lie outside, by more than rounding."""
        low = self.low - (0 if self.lower is None else _rounding(self.lower))
        high = self.high + (0 if self.upper is None else _rounding(self.upper))
        return sum(not low <= value <= high for value in values)

    def as_json(self) -> dict[str, Any]:
        """Return what ``sweep.json`` says of it: what is not as in `ANY`."""
        named = {"lower": self.lower, "upper": self.upper}
        found: dict[str, Any] = {key: bound for key, bound in named.items() if bound is not None}
        return found | ({"scale": self.scale} if self.log else {})


def _rounding(bound: float) -> float:
    return ROUNDING * max(abs(bound), 1.0)


def hull(ranges: Iterable[Range | None]) -> Range:
    """Return the smallest range that holds all of at least one, None left out; log if all are."""
    found = [possible for possible in ranges if possible is not None]
    lowers, uppers = ([getattr(r, end) for r in found] for end in ("lower", "upper"))
    return Range(
        None if None in lowers else min(lowers),
        None if None in uppers else max(uppers),
        "log" if all(r.log for r in found) else "linear",
    )


ANY = Range()
"""No bounds, read on a linear scale."""
SHARE = Range(0, 1)
"""A share of a whole."""
COSINE = Range(-1, 1)
"""The cosine of an angle, or another correlation."""
SIZE = Range(0)
"""A length, a count, a duration."""
MAGNITUDE = Range(0, scale="log")
"""A length that is read by its order of magnitude."""
