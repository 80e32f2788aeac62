"""Labels: the names of tasks and arms in tables, keys and file names.

A label is made of names that users give. Each label stands for exactly one list of names. Labels
stay distinct where case or the form of a letter is ignored, as in some file systems.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Annotated

from pydantic import AfterValidator

from suite.errors import ConfigError

MOST_NAME = 100
"""Characters of a name."""

MOST_LABEL = 200
"""Characters of a label."""

MOST_TRIALS, MOST_ARMS = 50_000, 2_000
"""Trials of a sweep, and arms of a task: reports take no more."""

SIGNS = "._-+=:@#%&()<>~^!"
"""Signs that a name may hold besides letters, digits and ``_``; ``,`` and ``;`` join names."""

_NAME = re.compile(rf"[\w{re.escape(SIGNS)}]+")


def is_name(text: str) -> bool:
    """Return whether a text can be used in a label unchanged.

    >>> is_name("low_0.3"), is_name("a,b"), is_name(".."), is_name("a b")
    (True, False, False, False)
    """
    return bool(_NAME.fullmatch(text)) and text.strip(".") != "" and len(text) <= MOST_NAME


def check_name(text: str) -> str:
    """Return a name that is one.

    Raises:
        ConfigError: if it is not; the key is left to the caller.
    """
    if is_name(text) and unicodedata.normalize("NFC", text) == text:
        return text
    wanted = f"a name of at most {MOST_NAME} letters, digits and {SIGNS}, and not only dots"
    raise ConfigError("", text, wanted)


Name = Annotated[str, AfterValidator(check_name)]
"""A field that holds a name."""


def join(names: Iterable[str], point: str = "") -> str:
    """Return the label of an arm from its names and the point of a search.

    >>> join(["nap", "rewarmed"]), join(["nap"], "lr=0.1;every=2"), join([])
    ('nap,rewarmed', 'nap,lr=0.1;every=2', 'default')
    """
    return ",".join([*names, *([point] if point else [])]) or "default"


def slug(text: str) -> str:
    """Return a name for files and ids.

    >>> slug("Modular addition, p = 59"), slug("日本") == slug("中国")
    ('modular-addition-p-59', False)
    """
    kept = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")
    if len(kept) <= 80 and text.isascii():
        return kept or "task"
    digest = hashlib.sha256(folded(text).encode()).hexdigest()[:8]  # of what is left out
    return f"{kept[:70].strip('-')}-{digest}".strip("-")


def folded(text: str) -> str:
    """Return a label in a form without differences of case and letter form.

    >>> folded("NaP") == folded("nap")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def check_apart(key: str, labels: Iterable[str], *forms: Callable[[str], str]) -> None:
    """Check that labels are short enough, and distinct in every form in which they are used.

    Args:
        key: what to call their place in messages.
        labels: all of those that stand side by side, each once.
        forms: what they are turned into; `folded` always.

    Raises:
        ConfigError: for the first that is not.
    """
    seen: dict[tuple[int, str], str] = {}
    for label in labels:
        if len(label) > MOST_LABEL:
            raise ConfigError(
                key, label, f"names that make a label of at most {MOST_LABEL} characters"
            )
        for index, form in enumerate((folded, *forms)):
            other = seen.setdefault((index, form(label)), label)
            if other != label:
                wanted = f"names that differ in more than case and signs; {other!r} exists"
                raise ConfigError(key, label, wanted)


def matcher(pattern: str, key: str) -> Callable[[str], bool]:
    """Return whether a label matches a glob, as a function of the label.

    Raises:
        ConfigError: if the pattern is too long, or no glob, naming `key`.
    """
    wanted = f"a glob of at most {MOST_LABEL} characters"
    if len(pattern) > MOST_LABEL:
        raise ConfigError(key, pattern, wanted)
    try:
        compiled = re.compile(translate(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(key, pattern, f"{wanted} ({error})") from None
    return lambda label: compiled.match(label) is not None
