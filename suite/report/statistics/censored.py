"""Censored numbers: only bounds are known, such as of a step that a run was too short to reach.

A time that was not reached lies anywhere after the run's end. Sums, ratios, minima and so on of
such times propagate the bounds. So a statistic is never more exact than the data allow, and two
times that were not reached do not cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Censored:
    """A number from `lo` to `hi`, either of which may be infinite.

    >>> late, early = Censored(100, math.inf), Censored.exactly(20)
    >>> late / early, early - late
    (Censored(lo=5.0, hi=inf), Censored(lo=-inf, hi=-80))
    """

    lo: float
    hi: float

    @classmethod
    def exactly(cls, value: float) -> Censored:
        """Return a number that is known."""
        return cls(value, value)

    @property
    def exact(self) -> bool:
        """Return whether it is known."""
        return self.lo == self.hi

    def __add__(self, other: Censored | float) -> Censored:
        """Return the sum."""
        other = _censored(other)
        return Censored(self.lo + other.lo, self.hi + other.hi)

    def __sub__(self, other: Censored | float) -> Censored:
        """Return the difference."""
        other = _censored(other)
        return Censored(self.lo - other.hi, self.hi - other.lo)

    def __mul__(self, factor: float) -> Censored:
        """Return a multiple."""
        ends = [0.0 if factor == 0 else end * factor for end in (self.lo, self.hi)]
        return Censored(min(ends), max(ends))

    def __truediv__(self, other: Censored | float) -> Censored:
        """Return the ratio of two positive numbers, or of any and a positive one that is known."""
        other = _censored(other)
        return Censored(self.lo / other.hi, self.hi / other.lo)

    def __abs__(self) -> Censored:
        """Return the absolute value."""
        ends = abs(self.lo), abs(self.hi)
        return Censored(0.0 if self.lo <= 0 <= self.hi else min(ends), max(ends))

    def through(self, rising: Callable[[float], float]) -> Censored:
        """Return a rising function of the number."""
        return Censored(rising(self.lo), rising(self.hi))

    def clip(self, lo: float, hi: float = math.inf) -> Censored:
        """Return the number, or the end of a range that it lies outside of."""
        return self.through(lambda x: min(max(x, lo), hi))

    def log(self, base: float = 2.0) -> Censored:
        """Return the logarithm of a number that is not negative."""
        return self.through(lambda x: math.log(x, base) if x > 0 else -math.inf)


def _censored(value: Censored | float) -> Censored:
    return value if isinstance(value, Censored) else Censored.exactly(value)


def smallest(numbers: Iterable[Censored]) -> Censored:
    """Return the smallest of at least one number."""
    found = list(numbers)
    return Censored(min(n.lo for n in found), min(n.hi for n in found))


def largest(numbers: Iterable[Censored]) -> Censored:
    """Return the largest of at least one number."""
    found = list(numbers)
    return Censored(max(n.lo for n in found), max(n.hi for n in found))


def weighted(numbers: Sequence[Censored], weights: Sequence[float]) -> Censored:
    """Return a weighted sum."""
    total = Censored.exactly(0.0)
    for number, weight in zip(numbers, weights, strict=True):
        total += number * float(weight)
    return total


def mean(numbers: Sequence[Censored]) -> Censored:
    """Return the mean of at least one number."""
    return weighted(numbers, [1 / len(numbers)] * len(numbers))


def slope(x: Sequence[float], y: Sequence[Censored]) -> Censored:
    """Return the slope of the least-squares line through points (x, y)."""
    middle = sum(x) / len(x)
    square = sum((a - middle) ** 2 for a in x)
    return weighted(y, [(a - middle) / square for a in x])
