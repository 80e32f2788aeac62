"""Numbers with known bounds only, such as a step that a run was too short to reach.

A time that was not reached lies anywhere after the run's end. Sums, ratios, minima and so on of
such times propagate the bounds. So a statistic is never more exact than the data allow, and two
times that were not reached do not cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """A number from `lo` to `hi`, either of which may be infinite.

    >>> late, early = Bounds(100, math.inf), Bounds.exactly(20)
    >>> late / early, early - late
    (Bounds(lo=5.0, hi=inf), Bounds(lo=-inf, hi=-80))
    """

    lo: float
    hi: float

    @classmethod
    def exactly(cls, value: float) -> Bounds:
        """Return a number that is known."""
        return cls(value, value)

    @property
    def exact(self) -> bool:
        """Return whether it is known."""
        return self.lo == self.hi

    def __add__(self, other: Bounds | float) -> Bounds:
        """Return the sum."""
        other = _bounds(other)
        return Bounds(self.lo + other.lo, self.hi + other.hi)

    def __sub__(self, other: Bounds | float) -> Bounds:
        """Return the difference."""
        other = _bounds(other)
        return Bounds(self.lo - other.hi, self.hi - other.lo)

    def __mul__(self, factor: float) -> Bounds:
        """Return a multiple."""
        ends = [0.0 if factor == 0 else end * factor for end in (self.lo, self.hi)]
        return Bounds(min(ends), max(ends))

    def __truediv__(self, other: Bounds | float) -> Bounds:
        """Return the ratio of two positive numbers, or of any and a positive one that is known."""
        other = _bounds(other)
        return Bounds(self.lo / other.hi, self.hi / other.lo)

    def __abs__(self) -> Bounds:
        """Return the absolute value."""
        ends = abs(self.lo), abs(self.hi)
        return Bounds(0.0 if self.lo <= 0 <= self.hi else min(ends), max(ends))

    def through(self, rising: Callable[[float], float]) -> Bounds:
        """Return a rising function of the number."""
        return Bounds(rising(self.lo), rising(self.hi))

    def clip(self, lo: float, hi: float = math.inf) -> Bounds:
        """Return the number, or the end of a range that it lies outside of."""
        return self.through(lambda x: min(max(x, lo), hi))

    def log(self, base: float = 2.0) -> Bounds:
        """Return the logarithm of a number that is not negative."""
        return self.through(lambda x: math.log(x, base) if x > 0 else -math.inf)


def _bounds(value: Bounds | float) -> Bounds:
    return value if isinstance(value, Bounds) else Bounds.exactly(value)


def smallest(numbers: Iterable[Bounds]) -> Bounds:
    """Return the smallest of at least one number."""
    found = list(numbers)
    return Bounds(min(n.lo for n in found), min(n.hi for n in found))


def largest(numbers: Iterable[Bounds]) -> Bounds:
    """Return the largest of at least one number."""
    found = list(numbers)
    return Bounds(max(n.lo for n in found), max(n.hi for n in found))


def weighted(numbers: Sequence[Bounds], weights: Sequence[float]) -> Bounds:
    """Return a weighted sum."""
    total = Bounds.exactly(0.0)
    for number, weight in zip(numbers, weights, strict=True):
        total += number * float(weight)
    return total


def mean(numbers: Sequence[Bounds]) -> Bounds:
    """Return the mean of at least one number."""
    return weighted(numbers, [1 / len(numbers)] * len(numbers))


def slope(x: Sequence[float], y: Sequence[Bounds]) -> Bounds:
    """Return the slope of the least-squares line through points (x, y)."""
    middle = sum(x) / len(x)
    square = sum((a - middle) ** 2 for a in x)
    return weighted(y, [(a - middle) / square for a in x])
