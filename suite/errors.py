"""The two errors that users of the suite see: an invalid request, and a run that diverged."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MOST_SHOWN = 400
"""Characters of a value in a message."""

MOST_NAMES = 60
"""Names listed in a message."""


class ConfigError(ValueError):
    """An invalid request.

    Args:
        key: full path of the offending key, such as ``task.fraction``.
        value: what was given.
        expected: what was expected, in words.
    """

    def __init__(self, key: str, value: Any, expected: str) -> None:
        self.key, self.value, self.expected = key, value, expected
        super().__init__(f"{key}: got {_shown(value)}; expected {expected}")

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, Any, str]]:
        return type(self), (self.key, self.value, self.expected)


class DivergedError(RuntimeError):
    """A run whose loss stopped being finite; a result of that run, not a fault of the suite."""


def _shown(value: Any) -> str:
    """Return a value as printed, cut if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # such as a whole number of 5,000 digits
        return f"a value of type {type(value).__name__} that is too long to print"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def listing(names: Iterable[object]) -> str:
    """Return names joined by commas, at most `MOST_NAMES` of them.

    >>> listing(range(62))[-17:]
    '58, 59 and 2 more'
    """
    known = [str(name) for name in names]
    more = len(known) - MOST_NAMES
    return ", ".join(known[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.5) -> str:
    """Say which of the `known` names exist, the closest to `name` first.

    >>> nearest("cylic", ["constant", "cyclic"])
    "'cyclic' (known: constant, cyclic)"

    Args:
        name: what was given.
        known: what there is.
        cutoff: likeness that a name must have to be the closest, between 0 and 1.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name)[:MOST_SHOWN], names, n=1, cutoff=cutoff)
    shown = listing(names)
    return f"{close[0]!r} (known: {shown})" if close else f"one of: {shown}"
